"""4 KB test programs for the console, which ale-py also loads (under the name of a game whose rule asks little)."""

from __future__ import annotations

import numpy as np

HOST_GAME = "amidar"  # 4K, joystick, NTSC or PAL by line count, no mode selection, no starting actions
ORIGIN = 0xF000
GAME_OVER_BYTE = 86  # the host's rule takes 0x80 there for the end of the game


class Program:
    """Bytes at ORIGIN; the reset vector points to the first."""

    def __init__(self) -> None:
        self.code = bytearray()

    @property
    def here(self) -> int:
        return ORIGIN + len(self.code)

    def add(self, *values: int) -> None:
        self.code += bytes(values)

    def load(self, value: int) -> None:
        self.add(0xA9, value)  # LDA #

    def write(self, register: int) -> None:
        self.add(0x85, register)  # STA zp

    def wsync(self) -> None:
        self.write(0x02)

    def jump(self, address: int) -> None:
        self.add(0x4C, address & 0xFF, address >> 8)

    def loop(self, count: int) -> int:
        """LDX #count; returns where the body begins, to be closed by `end_loop`."""
        self.add(0xA2, count)
        return self.here

    def end_loop(self, start: int) -> None:
        self.add(0xCA)  # DEX
        self.add(0xF0, 3)  # BEQ over the jump
        self.jump(start)

    def vsync(self) -> None:
        """Three lines of VSYNC, which end the frame."""
        self.load(2)
        self.write(0x00)
        for _ in range(3):
            self.wsync()
        self.load(0)
        self.write(0x00)

    def rom(self) -> bytes:
        assert len(self.code) < 4096 - 16, len(self.code)
        data = bytearray([0xEA] * 4096)
        data[: len(self.code)] = self.code
        data[0xFFC:0x1000] = bytes([ORIGIN & 0xFF, ORIGIN >> 8] * 2)
        return bytes(data)


def tia_program(seed: int, lines: int = 262, changing: float = 0.0) -> bytes:
    """Random writes to the TIA, at random cycles, with reads of collisions and inputs into RAM.

    Args:
        seed: of the writes.
        lines: of a frame, more or less.
        changing: the share of values and of delays that change from frame to frame, most of them seldom; then lines are
            shorter, and few of them read collisions.
    """
    rng = np.random.default_rng(seed)
    program = Program()
    program.add(0xD8, 0xA2, 0xFF, 0x9A)  # CLD; LDX #$FF; TXS
    frame = program.here
    program.vsync()
    if changing:
        program.add(0xE6, 0xF1)  # INC $F1
    drawn = 3
    registers = [*range(0x04, 0x15), *range(0x1B, 0x2D), 0x2A, 0x2A, 0x10, 0x11, 0x1B, 0x1C, 0x1D, 0x1F, 0x01]
    while drawn < lines - 60 and len(program.code) < 3300:
        body = program.loop(int(rng.integers(1, 9)))
        program.wsync()
        for _ in range(int(rng.integers(1, 7 if changing else 11))):
            kind = rng.random()
            if kind < 0.75:
                value = int(rng.integers(256))
                register = int(rng.choice(registers))
                value = value & ~2 if register == 0x01 else value
                if changing and rng.random() < 0.3:
                    value = 0  # what nobody sees
                if changing and register != 0x01 and rng.random() < changing:
                    bits = 1 << int(rng.integers(1, 8))
                    program.add(0xA5, 0xF1, 0x29, bits, 0x49, value)  # LDA $F1; AND #; EOR #
                else:
                    program.load(value)
                program.write(register)
            elif changing and kind > 1 - changing:
                # LDA $F1; AND #; BEQ over the rest; NOP; NOP
                program.add(0xA5, 0xF1, 0x29, 1 << int(rng.integers(1, 8)), 0xF0, 0x02, 0xEA, 0xEA)
            elif kind < (0.76 if changing else 0.85):
                program.add(0xA5, int(rng.integers(16)), 0x95, 0x90)  # LDA TIA; STA $90,X
            else:
                program.add(*[0xEA] * int(rng.integers(1, 6)))
        program.end_loop(body)
        drawn += 9
    # A picture that ends too early is drawn exactly.
    rest = program.loop(150 if changing else int(rng.integers(20, 70)))
    program.wsync()
    program.end_loop(rest)
    for register in range(8 if changing else 0):
        program.add(0xA5, register, 0x85, 0xA0 + register)  # LDA CXxx; STA $A0 and so on
    if changing:
        program.write(0x2C)
    program.jump(frame)
    return program.rom()


def crashing_program(seed: int, frames: int, vsync: bool) -> bytes:
    """Like tia_program for some frames; then the processor stands still or, without VSYNC, never ends a frame again.

    Args:
        seed: of the picture.
        frames: counted in RAM since power-on, which resets do not clear; less than 256.
        vsync: false: instead of standing still it runs on and writes nothing to the TIA.
    """
    rng = np.random.default_rng(seed)
    program = Program()
    program.add(0xD8, 0xA2, 0xFF, 0x9A)
    frame = program.here
    program.vsync()
    body = program.loop(90)
    program.wsync()
    for register in rng.integers(0x04, 0x2D, size=8):
        program.load(int(rng.integers(256)))
        program.write(int(register))
    program.end_loop(body)
    program.add(0xE6, 0xF0, 0xA5, 0xF0, 0xC9, frames)  # INC $F0; LDA $F0; CMP #
    program.add(0x90, 0x04 if vsync else 0x05)  # BCC over what follows
    program.wsync()
    if vsync:
        program.add(0x02, 0xEA)  # JAM
    else:
        here = program.here
        program.jump(here)
    rest = program.loop(160)
    program.wsync()
    program.end_loop(rest)
    program.jump(frame)
    return program.rom()


def cpu_program(seed: int, longest: int = 700) -> bytes:
    """Random instructions on registers, RAM and the timer, documented or not, with decimal mode at times.

    To find the instruction behind a difference, make it shorter with `longest`.
    """
    from rl_speed.emulator.instructions import OPCODES, jumps

    rng = np.random.default_rng(seed)
    program = Program()
    program.add(0xA2, 0xFF, 0x9A)  # LDX #$FF; TXS
    frame = program.here
    program.vsync()
    usable = [op for op in OPCODES if not jumps(op) and op.mnemonic not in ("JAM", "TXS", "SHS", "LAS", "PHA", "PHP")]
    usable = [op for op in usable if op.mnemonic not in ("PLA", "PLP")]
    for _ in range(min(longest, int(rng.integers(200, 700)))):
        op = usable[int(rng.integers(len(usable)))]
        if op.mode in ("izx", "izy"):
            # A pointer into RAM, in RAM.
            program.add(0xA0, int(rng.integers(8)), 0xA2, int(rng.integers(4)))  # LDY #; LDX #
            program.add(0xA9, int(rng.integers(0x80, 0xF0)), 0x85, 0xA0, 0xA9, 0x00, 0x85, 0xA1)
            program.add(op.code, 0xA0)
        elif op.operand_bytes == 2:
            target = int(
                rng.choice([0x80 + rng.integers(100), 0x0284 + rng.integers(4), 0x0294 + rng.integers(4), 0xF010])
            )
            program.add(op.code, target & 0xFF, target >> 8)
        elif op.mode in ("zp", "zpx", "zpy"):
            program.add(op.code, int(rng.integers(0x80, 0xF0)))
        elif op.operand_bytes == 1:
            program.add(op.code, int(rng.integers(256)))
        else:
            program.add(op.code)
        if rng.random() < 0.1:
            program.add(0x08, 0x68, 0x85, 0x80 + int(rng.integers(4)))  # PHP; PLA; STA: the flags
    # The rule's end-of-game byte must not come about.
    program.load(1)
    program.write(0x80 + GAME_OVER_BYTE)
    program.add(0xD8)
    body = program.loop(30)
    program.wsync()
    program.end_loop(body)
    program.jump(frame)
    return program.rom()
