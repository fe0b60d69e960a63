"""Mistakes that somebody could make in this program, and the tests that would notice each."""
