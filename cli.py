"""`python cli.py` is `rl-speed` without an installed script; the program is rl_speed/cli.py."""

from rl_speed.cli import main

if __name__ == "__main__":
    main()
