"""Consoles for tests: interpreted ones, which are ready at once, and kernels that run on the CPU."""

from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.cuda import kernel_parts
from rl_speed.emulator.games import find_game
from rl_speed.emulator.settings import ConsoleSettings
from rl_speed.emulator.simulated import SimulatedLauncher

# Types of cartridge that Pong is not, a game that runs out of instructions, and a PAL one: each takes ten seconds to
# compile. `rl-speed emulator verify --all` takes them all.
VARIED = [
    "elevator_action", "crossbow", "montezuma_revenge", "robotank", "pitfall2", "tic_tac_toe_3d", "adventure",
]  # fmt: skip

# Games that end soon, and fewer pixels: the kernels are slow on the CPU.
SETTINGS = ConsoleSettings(max_frames=107, first_row=10, rows=60, noop_max=4)


def console(game="pong", **arguments):
    return Consoles(find_game(game), **{"recompile": False, **arguments})


def simulated(game, recompile=False, splits=0, **defines):
    generated, usual = kernel_parts(game, recompile)
    return SimulatedLauncher(generated, {**usual, **defines}, splits)
