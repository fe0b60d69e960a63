"""Consoles on the CPU: beside ale-py's, saved and restored, on programs of our own, and misused."""

import os
import platform
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from rl_speed.emulator.games import find_game
from rl_speed.emulator.settings import ConsoleSettings
from rl_speed.emulator.verify import first_difference, make_ale
from rl_speed.system.compiler import find_compiler
from rl_speed.system.errors import UserError
from tests.emulator.factory import VARIED, console
from tests.emulator.roms import HOST_GAME, Program, cpu_program, crashing_program, tia_program


def test_saved_consoles_go_on_as_if_nothing_had_happened(pong):
    rng = np.random.default_rng(0)
    pong.seed(np.array([3, 4, 5]))
    for _ in range(40):
        pong.step(rng.integers(6, size=3))
    saved = pong.save()
    actions = rng.integers(6, size=(60, 3))
    first = [(step.observation.copy(), step.reward) for step in (pong.step(row) for row in actions)]
    pong.seed(np.array([9, 9, 9]))
    pong.restore(saved)
    for row, (observation, reward) in zip(actions, first, strict=True):
        step = pong.step(row)
        np.testing.assert_array_equal(step.observation, observation)
        np.testing.assert_array_equal(step.reward, reward)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pong", "ms_pacman", *VARIED])
def test_a_saved_game_goes_on_elsewhere(name):
    """One of each kind of cartridge; 1,000 frames after a save, in consoles that have played something else."""
    here, elsewhere = (console(name, num_consoles=2) for _ in range(2))
    rng = np.random.default_rng(2)
    most = len(here.action_names)
    here.seed(np.array([3, 4]))
    elsewhere.seed(np.array([7, 8]))
    for _ in range(int(rng.integers(40, 200))):
        here.step(rng.integers(most, size=2))
        elsewhere.step(rng.integers(most, size=2))
    elsewhere.restore(here.save())
    for step in range(250):
        actions = rng.integers(most, size=2)
        first, second = here.step(actions), elsewhere.step(actions)
        np.testing.assert_array_equal(first.observation, second.observation, err_msg=f"step {step}")
        np.testing.assert_array_equal(first.reward, second.reward)
        np.testing.assert_array_equal(here.state["console"], elsewhere.state["console"], err_msg=f"step {step}")
    here.close()
    elsewhere.close()


def test_a_console_does_not_depend_on_the_others(pong):
    rng = np.random.default_rng(1)
    actions = rng.integers(6, size=(80, 3))
    first = pong.seed(np.array([11, 12, 13])).observation
    together = np.stack([pong.step(row).observation for row in actions])
    for index in range(3):
        alone = console()
        np.testing.assert_array_equal(alone.seed(np.array([11 + index])).observation[0], first[index])
        for time in range(80):
            np.testing.assert_array_equal(
                alone.step(actions[time, index : index + 1]).observation[0], together[time, index]
            )
        alone.close()


def test_starts_that_are_copied_are_those_that_are_played():
    """Pong's 30 starts, FIRE and 0 to 28 no-ops: played, copied, and ale-py's."""
    import ale_py

    # One seed for each number of no-ops.
    generator, chosen = np.random.MT19937(), {}
    for seed in range(500):
        generator._legacy_seeding(seed)
        chosen.setdefault(int(generator.random_raw()) * 30 >> 32, seed)
    seeds = np.array([chosen[drawn] for drawn in range(30)])
    count = len(seeds)
    copied, played = (console(num_consoles=count, settings=ConsoleSettings(cache_starts=on)) for on in (True, False))
    # The second time, every start has been played before.
    copied.seed(seeds)
    observation = copied.seed(seeds).observation
    np.testing.assert_array_equal(observation, played.seed(seeds).observation)
    ale = make_ale(find_game("pong"), 0, 0.0)
    ale.reset_game()
    expected = {}
    for noops in range(30):
        ale.act(ale_py.Action.NOOP if noops else ale_py.Action.FIRE)
        expected[ale.getEpisodeFrameNumber()] = ale.getRAM().tobytes() + ale.getScreen().tobytes()
    for index in range(count):
        first, second = copied.inspect(index), played.inspect(index)
        assert first.registers == second.registers
        for readout in (first, second):
            assert readout.ram.tobytes() + readout.screen.tobytes() == expected[readout.episode_frame]
        assert first.episode_frame == max(index, 1)
    copied.close()
    played.close()


def test_only_masked_consoles_are_seeded(pong):
    pong.seed(np.array([1, 2, 3]))
    before = pong.save()
    pong.seed(np.array([7, 7, 7]), mask=np.array([False, True, False]))
    after = pong.save()
    for name in before:
        np.testing.assert_array_equal(before[name][[0, 2]], after[name][[0, 2]])
    assert (before["generators"][1] != after["generators"][1]).any()


def differences_on(rom, seed, folder, frames=15):
    path = folder / f"{HOST_GAME}.bin"
    path.write_bytes(rom)
    ours = console(HOST_GAME, rom=rom)
    ours.load(seed=0)
    ale = make_ale(find_game(HOST_GAME), 0, 0.0, rom=str(path))
    actions = np.random.default_rng(seed).integers(18, size=frames)
    differences = first_difference(ale, ours.inspect())
    import ale_py

    for action in actions:
        if differences:
            break
        ale.act(ale_py.Action(int(action)))
        ours.act(int(action))
        differences = first_difference(ale, ours.inspect())
    ours.close()
    return differences


@pytest.mark.parametrize("seed", range(4))
def test_own_programs_for_the_tia(seed, tmp_path):
    assert differences_on(tia_program(seed, 262 if seed % 3 else 312), seed, tmp_path) == []


@pytest.mark.parametrize("seed", range(4))
def test_own_programs_for_the_processor(seed, tmp_path):
    assert differences_on(cpu_program(seed), seed, tmp_path) == []


@pytest.mark.slow
def test_many_own_programs(tmp_path):
    for seed in range(100, 150):
        assert differences_on(tia_program(seed, 262 if seed % 3 else 312), seed, tmp_path) == [], f"tia {seed}"
        assert differences_on(cpu_program(seed), seed, tmp_path) == [], f"cpu {seed}"


def star_drift_program():
    """Starts the drift of missile 0 (HMM0 from 7 to 6, 21 cycles after HMOVE), writes NUSIZ0 again and again, and reads
    the missile's collisions."""
    program = Program()
    program.add(0xD8, 0xA2, 0xFF, 0x9A)
    frame = program.here
    program.vsync()
    for value, register in (
        (2, 0x1D),
        (0xFF, 0x0D),
        (0x55, 0x0E),
        (0xAA, 0x0F),
        (0x70, 0x22),
        (0x44, 0x08),
        (0x0E, 0x06),
    ):
        program.load(value)
        program.write(register)
    program.wsync()
    program.write(0x2A)  # HMOVE
    program.load(0x60)
    program.add(*[0xEA] * 8)  # 16 cycles
    program.write(0x22)
    body = program.loop(200)
    program.wsync()
    program.load(0)
    program.add(*[0xEA] * 12)
    program.write(0x04)
    program.write(0x28)
    program.add(0xA5, 0x04, 0x95, 0x80)  # LDA CXM0FB; STA $80,X
    program.write(0x2C)
    program.end_loop(body)
    program.jump(frame)
    return program.rom()


SHORTCUT_ROMS = {
    "picture 0": lambda: tia_program(0),
    "picture 1": lambda: tia_program(1, 312),
    "stands still": lambda: crashing_program(0, 150, vsync=True),
    "never ends": lambda: crashing_program(1, 151, vsync=False),
    "drift": star_drift_program,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORTCUT_ROMS)
def test_what_is_not_drawn_changes_nothing(name):
    rom = SHORTCUT_ROMS[name]()
    settings = ConsoleSettings(noop_max=0)
    fast, exact = (
        console(HOST_GAME, rom=rom, settings=settings, extra_flags=flags) for flags in ((), ("-DALWAYS_CAREFUL=1",))
    )
    first, second = (one.seed(np.array([3])) for one in (fast, exact))
    rng = np.random.default_rng(0)
    for step in range(25):
        np.testing.assert_array_equal(first.observation, second.observation, err_msg=f"step {step}")
        np.testing.assert_array_equal(fast.inspect().ram, exact.inspect().ram, err_msg=f"step {step}")
        actions = rng.integers(10, size=1)
        first, second = (one.step(actions) for one in (fast, exact))
    fast.close()
    exact.close()


def hide_and_seek_program():
    """A player that is shown in two lines only, in the first of them 16 frames of 32, and moves every 32; then a ball
    whose colour changes. At the end the collisions go into RAM."""
    program = Program()
    program.add(0xD8, 0xA2, 0xFF, 0x9A)
    frame = program.here
    program.vsync()
    program.add(0xE6, 0xF1)  # INC $F1
    for value, register in ((0xFF, 0x0E), (0x46, 0x08), (0x0E, 0x06), (0x82, 0x09), (0, 0x2C)):
        program.load(value)
        program.write(register)
    program.wsync()
    program.add(0xA5, 0xF1, 0x29, 0x20, 0xF0, 0x04, *[0xEA] * 4)  # LDA $F1; AND #$20; BEQ over four NOPs
    program.add(*[0xEA] * 8)
    program.write(0x10)
    program.write(0x14)

    def lines(count):
        body = program.loop(count)
        program.wsync()
        program.end_loop(body)

    def show(*value):
        program.wsync()
        program.add(*value)
        program.write(0x1B)
        program.wsync()
        program.load(0)
        program.write(0x1B)

    lines(60)
    show(0xA5, 0xF1, 0x29, 0x10, 0x49, 0x10)  # LDA $F1; AND #$10; EOR #$10
    lines(40)
    show(0xA9, 0xFF)
    lines(40)
    # The ball's colour, where there is no playfield.
    for value, register in ((0, 0x0E), (2, 0x1F)):
        program.load(value)
        program.write(register)
    for line in range(8):
        program.wsync()
        program.add(0xA5, 0xF1, 0x29, 0x08, 0x09, 0x40)  # LDA $F1; AND #8; ORA #$40
        program.write(0x08)
        program.wsync()
        program.load(0x80 + 2 * line)
        program.write(0x09)
    program.load(0)
    program.write(0x1F)
    lines(95)
    for register in range(8):
        program.add(0xA5, register, 0x85, 0xA0 + register)
    program.jump(frame)
    return program.rom()


def run_ahead_program():
    """In every other line a player that is never seen is placed at the same cycle, and the background's colour follows
    at once: two pixels later where the player stood close by, for 32 frames of 64."""
    program = Program()
    program.add(0xD8, 0xA2, 0xFF, 0x9A)
    frame = program.here
    program.vsync()
    program.add(0xE6, 0xF1)  # INC $F1
    body = program.loop(100)
    program.wsync()
    program.load(0x82)
    program.write(0x09)
    program.add(0xA5, 0xF1, 0x29, 0x20, 0xF0, 0x04, *[0xEA] * 4)  # LDA $F1; AND #$20; BEQ over four NOPs
    program.add(*[0xEA] * 5)
    program.write(0x10)
    program.wsync()
    program.load(0x40)
    program.add(*[0xEA] * 12)
    program.write(0x10)
    program.write(0x09)
    program.end_loop(body)
    program.load(0)
    program.write(0x09)
    body = program.loop(58)
    program.wsync()
    program.end_loop(body)
    program.jump(frame)
    return program.rom()


def kept_rows(one):
    """Rows of both pictures that can be recalled: those with a key, the first half of their 16 bytes."""
    return np.count_nonzero(one._drawn_rows[0].view(np.uint64)[::2])


@pytest.mark.slow
def test_lines_that_come_out_as_before_are_right():
    """Most of what these programs write is the same in every frame; what was drawn of it is not drawn again."""
    settings = ConsoleSettings(noop_max=0, image_height=210, image_width=160, observation="rgb", frame_skip=3)
    steps, programs = 60, 0
    roms = [tia_program(seed, 262 if seed % 3 else 312, changing=(1 + seed % 4) * 0.03) for seed in range(40)]
    for seed, rom in enumerate([*roms, hide_and_seek_program(), run_ahead_program()]):
        seen = []
        for flags in ((), ("-DALWAYS_CAREFUL=1",)):
            with closing(console(HOST_GAME, rom=rom, settings=settings, extra_flags=flags)) as one:
                one.seed(np.array([seed]))
                saved, shown = one.save(), []
                for step in range(2 * steps):
                    if step == steps:
                        one.restore(saved)  # with the pictures of then
                    shown += [one.step(np.array([step % 5])).observation.copy(), one.inspect().ram.copy()]
                    if step == steps // 3:
                        saved = one.save()
                seen.append(shown)
                programs += bool(kept_rows(one))
        for step, (fast, exact) in enumerate(zip(*seen, strict=True)):
            np.testing.assert_array_equal(fast, exact, err_msg=f"program {seed}, step {step // 2}")
    assert 25 < programs <= 42  # of the others every frame is drawn exactly


SANITIZED = """
import sys
from contextlib import closing
import numpy as np
sys.path.insert(0, sys.argv[1])
from roms import HOST_GAME
from rl_speed.emulator.consoles import Consoles
from rl_speed.emulator.games import find_game
from rl_speed.emulator.settings import ConsoleSettings

rng = np.random.default_rng(0)
flags = tuple(sys.argv[2:])


def disturb(one, trial):
    for place in range(128):
        one.poke(place, int(rng.integers(256)))
    pc = int(rng.integers(0x80, 0x100) if trial % 2 else rng.integers(0x10000))
    one.set_registers(pc, *rng.integers(256, size=5).tolist())


# Random programs, some of which start in RAM.
for seed in range(12):
    rom = bytearray(rng.integers(256, size=4096, dtype=np.uint8).tobytes())
    rom[0xFFC:0x1000] = bytes([0, 0xF0, 0, 0xF0]) if seed % 3 else bytes([0x80, 0, 0x80, 0])
    one = Consoles(find_game(HOST_GAME), rom=bytes(rom), recompile=False, extra_flags=flags)
    one.load(seed=seed)
    for frame in range(20):
        one.poke(int(rng.integers(128)), int(rng.integers(256)))
        one.act(int(rng.integers(18)))
        one.inspect()
    one.close()
# Games that are disturbed, recompiled and not: one by one, since beside each other they share no fence.
for name, recompile in (("pong", False), ("pong", True), ("pitfall2", False), ("elevator_action", False)):
    one = Consoles(find_game(name), 1, recompile=recompile, extra_flags=flags)
    one.seed(np.array([0]))
    for trial in range(40):
        disturb(one, trial)
        for step in range(3):
            one.step(rng.integers(6, size=1))
        one.seed(np.array([trial])) if trial % 20 == 19 else one.reset_game()
    one.close()
# Colours, RAM, stacks, every way to reset, some at a time, and rows of states.
for settings in (
    {"observation": "rgb", "frame_stack": 3, "reset_mode": "next_step", "image_height": 210, "image_width": 160},
    {"observation": "ram", "frame_stack": 4, "reset_mode": "disabled", "draw_all": True},
    {"frame_stack": 2, "first_row": 10, "rows": 50, "life_loss_ends": True},
):
    one = Consoles(
        find_game("pong"), 3, ConsoleSettings(max_frames=30, noop_max=4, **settings), recompile=False, extra_flags=flags
    )
    one.seed(np.arange(3))
    for step in range(25):
        ended = one.step(rng.integers(6, size=3), rng.integers(-900_000, 900_000, size=3)).ended
        if ended.any() and one.settings.reset_mode == "disabled":
            one.reset(ended)
        one.restore(one.save(np.array([2])), np.array([0]))
        one.show()
    for step in range(30):
        one.send_some(np.array([step % 3], dtype=np.int32), rng.integers(6, size=1))
        one.recv_some(1)
    one.close()
print("fine")
"""


@pytest.mark.slow
def test_nothing_outside_a_consoles_memory_is_touched(tmp_path):
    command = find_compiler()
    asan = subprocess.run([*command, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(asan):
        pytest.skip("this compiler has no address sanitizer")
    flags = ["-fsanitize=address,bounds", "-fno-sanitize-recover=all", "-g1"]
    environment = {**os.environ, "LD_PRELOAD": asan, "ASAN_OPTIONS": "detect_leaks=0"}
    script = tmp_path / "script.py"
    script.write_text(SANITIZED)
    folder = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, script, folder, *flags], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("fine")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_consoles": 0}, ["num_envs", "0", "1 to 65,536"]),
        ({"num_consoles": 70_000}, ["num_envs", "70000", "1 to 65,536"]),
        ({"settings": ConsoleSettings(mode=77)}, ["mode", "77", "pong"]),
        ({"settings": ConsoleSettings(difficulty=9)}, ["difficulty", "9", "pong"]),
        ({"settings": ConsoleSettings(frame_skip=0)}, ["frame_skip", "0", "1 to 60"]),
        ({"settings": ConsoleSettings(first_row=40, rows=60)}, ["rows", "60", "1 to 44"]),
        ({"settings": ConsoleSettings(image_width=300)}, ["image", "84 x 300", "20 to 160"]),
        ({"settings": ConsoleSettings(actions=("NOOP", "JUMP"))}, ["actions", "JUMP"]),
        ({"rom": bytes(100)}, ["rom", "2,048", "100"]),
    ],
)
def test_impossible_consoles_are_refused(arguments, words):
    with pytest.raises(UserError) as error:
        console(**arguments)
    assert all(word in str(error.value) for word in words)


def test_misuse_is_refused(pong):
    with pytest.raises(UserError, match=r"actions: .* must be indices from 0 to 5"):
        pong.step(np.array([0, 6, 0]))
    for seeds in ([1, 2], [1, 2, -1], [1, 2, 2**32]):
        with pytest.raises(UserError, match=r"seeds: .* must be 3 numbers from 0 to 2\^32 - 1"):
            pong.seed(np.array(seeds))
    with pytest.raises(IndexError, match="console 3 of 3"):
        pong.act(0, index=3)
    state = pong.save()
    with pytest.raises(UserError, match="saved by another version"):
        pong.restore({**state, "fingerprint": state["fingerprint"][::-1].copy()})
    closed = console()
    closed.close()
    closed.close()
    with pytest.raises(RuntimeError, match="closed"):
        closed.act(0)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86-64's levels")
@pytest.mark.parametrize(
    ("game", "size"),
    [
        ("crossbow", {}),
        ("pong", {"image_height": 60, "image_width": 100, "first_row": 7, "rows": 41}),
        pytest.param("pong", {}, marks=pytest.mark.exhaustive),
    ],
    ids=["pieces", "other-size", "usual"],
)
def test_processors_of_every_kind_show_the_same(game, size):
    """Painting and resizing are written for AVX-512, for AVX2, and for what has neither."""
    rng = np.random.default_rng(4)
    actions = rng.integers(0, 3, (300, 4))
    seen = []
    for flags in ((), ("-march=x86-64-v3",), ("-march=x86-64-v2",)):
        one = console(game, num_consoles=4, settings=ConsoleSettings(**size), extra_flags=flags)
        one.seed(np.arange(4))
        seen.append([one.step(step).observation.copy() for step in actions])
        one.close()
    np.testing.assert_array_equal(seen[1], seen[0])
    np.testing.assert_array_equal(seen[2], seen[0])
