"""Measured processes, and what is read off them."""
