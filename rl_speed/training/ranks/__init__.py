"""Several processes that learn together (ranks): where each is, how they are started, what they tell each other.

Each rank plays games of its own into a replay of its own; the gradients of a step are averaged over all of them, so
all networks stay the same. docs/devices.md says what is summed and what is per rank.
"""
