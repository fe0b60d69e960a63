"""Iterators of Rollout."""
