"""What a player can do, as ale-py names and numbers it."""

from __future__ import annotations

# In the order of ale-py's numbers, which begin at 0.
ACTION_NAMES = (
    "NOOP", "FIRE", "UP", "RIGHT", "LEFT", "DOWN", "UPRIGHT", "UPLEFT", "DOWNRIGHT", "DOWNLEFT", "UPFIRE",
    "RIGHTFIRE", "LEFTFIRE", "DOWNFIRE", "UPRIGHTFIRE", "UPLEFTFIRE", "DOWNRIGHTFIRE", "DOWNLEFTFIRE",
)  # fmt: skip
# With the console's reset switch, which games' rules press and agents do not; numbered as in source/agent.h.
ACTION_NUMBERS = {name: number for number, name in enumerate((*ACTION_NAMES, "RESET"))}
