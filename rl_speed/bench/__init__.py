"""The bench: which speed-up pays on this machine, by how much, and what limits it."""
