"""What happens around a batch: schedules, the learner's chores, finished games, speed, and the ends of a run.

Callbacks run in the order of `build.make_callbacks`: whoever takes the finished games comes before whoever judges them.
"""
