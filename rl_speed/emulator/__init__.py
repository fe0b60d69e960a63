"""Our own Atari 2600: the same frames as ale-py, bit for bit, from many consoles at once (docs/emulator.md)."""
