"""A run: planned, built, carried out, saved, confirmed."""
