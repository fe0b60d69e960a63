"""Saving and restoring a run: Lightning's checkpoint, and beside it what that does not hold.

A checkpoint is a folder `gradient_steps=N` with `model.ckpt` (networks, optimizer, loops, callbacks, written by
Lightning) and one `experience_rank<R>.pt` per rank (replay, games, generators of random numbers, counters). The
folder is filled under a temporary name and renamed, so what has the final name is whole.
"""
