"""`python -m rl_speed.emulator pong`, or `--all`: compiles games ahead, as `rl-speed emulator warm` does."""

from __future__ import annotations

import argparse
import sys

from rl_speed.emulator.games import find_game, game_names
from rl_speed.emulator.libraries import warm
from rl_speed.system.code_cache import describe_cache
from rl_speed.system.cores import usable_cores
from rl_speed.system.errors import UserError


def main() -> None:
    """Exit status 2 for a game that is not there, or no compiler."""
    parser = argparse.ArgumentParser(prog="python -m rl_speed.emulator", description="Compile games ahead.")
    parser.add_argument("games", nargs="*", help="such as pong")
    parser.add_argument("--all", action="store_true", help="every game")
    arguments = parser.parse_args()
    if arguments.all == bool(arguments.games):
        parser.error("give either games or --all")
    try:
        games = [find_game(name) for name in (game_names() if arguments.all else arguments.games)]
        for done, ready in enumerate(warm(games, usable_cores().count), 1):
            print(f"{ready.name} is ready ({done} of {len(games)})")
    except UserError as error:
        sys.exit(parser.error(str(error)))
    print(describe_cache())


if __name__ == "__main__":
    main()
