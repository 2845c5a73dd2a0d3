"""Timed comparisons, run by hand."""
