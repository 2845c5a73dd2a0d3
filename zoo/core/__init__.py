"""What every method is made of; imports no method."""
