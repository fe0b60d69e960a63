"""Every ROM that ale-py ships, on every backend: started, played, judged and filmed, or refused by name.

python benchmarks/campaign/games.py [GAME ...]

Our own emulator is compiled for each game, which takes most of an hour where the cache is empty.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ale_py import roms

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.any_game import BACKENDS, NOT_FOR_ONE_PLAYER, try_out


def outcome(game: str, folder: str) -> str:
    """What became of a game, in a process of its own: a ROM that ale-py does not play can end that."""
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            refusals = process.submit(try_out, game, folder, BACKENDS).result()
    except Exception as error:
        return f"LOST: {type(error).__name__}: {str(error).strip()[:200]}"
    refused = [backend for backend, sentence in refusals.items() if sentence is not None]
    if (len(refused) == len(BACKENDS)) != (game in NOT_FOR_ONE_PLAYER) or 0 < len(refused) < len(BACKENDS):
        return f"LOST: {refusals}"
    return "refused by name" if refused else "played alike, judged and filmed"


def main() -> int:
    games = sys.argv[1:] or sorted(roms.get_all_rom_ids())
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for game in games:
            text = outcome(game, folder)
            counts[text.partition(":")[0]] += 1
            print(f"{game}: {text}", flush=True)
    print(f"{len(games)} ROMs on {len(BACKENDS)} backends: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    return int(counts["LOST"] > 0)


if __name__ == "__main__":
    sys.exit(main())
