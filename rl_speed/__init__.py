"""rl_speed: train a DQN on Atari as fast as the machine allows, and see which speed-up paid."""

__version__ = "0.1.0"
