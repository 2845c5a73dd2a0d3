"""Methods that learn within an episode by what their network remembers."""
