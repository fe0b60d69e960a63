"""`python -m rl_speed` is the command line."""

from rl_speed.cli import main

if __name__ == "__main__":
    main()
