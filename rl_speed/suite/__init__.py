"""Games x seeds x presets as one job that can be ended and started again at any time, and what its scores say.

A run is a process of its own (child.py), which trains, plays the evaluation and leaves score.json; schedule.py starts
what is missing; report.py reads what is there. Nothing else is remembered: the folder is the state.
"""
