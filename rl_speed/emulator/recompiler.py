"""Turns a game's ROM into straight-line C++: each run of instructions becomes a block with its operands as constants.

Blocks come from following the code from where it was seen to run. Whatever that misses, such as code in RAM, is
left to the interpreter, which is part of the same function: a block hands over by setting the program counter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rl_speed.emulator.instructions import CONDITIONS, OPCODES, Opcode, body, jumps
from rl_speed.system.arrays import UInt8Array

BANKS = 8
_ENDS = ("RTS", "RTI", "BRK", "JAM")
# Stacks in the TIA's half of page 1, and pointers, may write any register: these ask afterwards if the frame ended.
_PUSHES = ("PHA", "PHP")


@dataclass(frozen=True)
class Instruction:
    """An instruction at a place in the ROM."""

    bank: int
    address: int
    op: Opcode
    operand: int

    @property
    def next_address(self) -> int:
        """Of the following instruction."""
        return (self.address + self.op.length) & 0xFFFF

    @property
    def target(self) -> int | None:
        """Where it jumps to, if it says so."""
        if self.op.mode == "rel":
            return (self.next_address + (self.operand ^ 0x80) - 0x80) & 0xFFFF
        if self.op.mnemonic == "JSR" or (self.op.mnemonic == "JMP" and self.op.mode == "abs"):
            return self.operand
        return None


class _Rom:
    """What the processor fetches, where that has no side effect."""

    def __init__(self, cart: str, rom: bytes) -> None:
        self._rom = rom
        self.cart = cart
        self._offset: Callable[[int, int], int | None] = {
            "2K": lambda bank, a: a & 0x7FF,
            "4K": lambda bank, a: a & 0xFFF,
            "FE": lambda bank, a: (a & 0xFFF) + (0 if a & 0x2000 else 0x1000),
            "F8": self._banked(0, 0xFF8, 0xFF9),
            "F8SC": self._banked(0x100, 0xFF8, 0xFF9),
            "F6": self._banked(0, 0xFF6, 0xFF9),
            "F6SC": self._banked(0x100, 0xFF6, 0xFF9),
            "DPC": self._banked(0x80, 0xFC0, 0xFFF),
            "E0": lambda bank, a: None if 0xFE0 <= a & 0xFFF <= 0xFF7 else (bank << 10) + (a & 0x3FF),
        }[cart]

    @staticmethod
    def _banked(first: int, hot_from: int, hot_to: int) -> Callable[[int, int], int | None]:
        def offset(bank: int, address: int) -> int | None:
            i = address & 0xFFF
            return None if i < first or hot_from <= i <= hot_to else (bank << 12) + i

        return offset

    @property
    def is_banked(self) -> bool:
        return self.cart not in ("2K", "4K", "FE")

    def bank_at(self, bank: int, source: int, address: int) -> int | None:
        """The bank at an address that code in `bank` at `source` names; None if that is not known."""
        if self.cart == "E0" and (source ^ address) & 0xC00:
            return 7 if (address >> 10) & 3 == 3 else None
        return bank

    def may_switch(self, address: int) -> bool:
        """True if an access there can switch banks."""
        return self.is_banked and bool(address & 0x1000) and self._is_hot(address & 0xFFF)

    def _is_hot(self, i: int) -> bool:
        if self.cart == "E0":
            return 0xFE0 <= i <= 0xFF7
        return (0xFF6 if self.cart.startswith("F6") else 0xFF8) <= i <= 0xFF9

    def decode(self, bank: int, address: int) -> Instruction | None:
        """The instruction there, unless fetching it would do something."""
        if not address & 0x1000:
            return None
        values: list[int] = []
        length = 1
        while len(values) < length:
            place = (address + len(values)) & 0xFFFF
            offset = self._offset(bank, place)
            if not place & 0x1000 or offset is None or self.bank_at(bank, address, place) != bank:
                return None
            values.append(self._rom[offset])
            if len(values) == 1:
                op = OPCODES[values[0]]
                length = op.length
        return Instruction(bank, address, op, values[1] + 256 * values[2] if length == 3 else values[-1])


def _reachable(rom: _Rom, coverage: UInt8Array) -> tuple[dict[tuple[int, int], Instruction], set[tuple[int, int]]]:
    """All instructions that can be reached from those that ran, and the places where blocks begin."""
    instructions: dict[tuple[int, int], Instruction] = {}
    leaders: set[tuple[int, int]] = set()
    places = [(int(place) >> 16, int(place) & 0xFFFF) for place in np.flatnonzero(coverage)]
    leaders.update((int(place) >> 16, int(place) & 0xFFFF) for place in np.flatnonzero(coverage & 2))
    while places:
        place = places.pop()
        if place in instructions:
            continue
        instruction = rom.decode(*place)
        if instruction is None:
            continue
        instructions[place] = instruction
        bank, address = place
        if instruction.target is not None:
            there = rom.bank_at(bank, address, instruction.target)
            if there is not None:
                leaders.add((there, instruction.target))
                places.append((there, instruction.target))
        op = instruction.op
        ends = op.mnemonic in (*_ENDS, "JMP") or (op.mode == "abs" and rom.may_switch(instruction.operand))
        follows = rom.bank_at(bank, address, instruction.next_address)
        if op.mnemonic == "JSR" and follows is not None:
            # It returns here, in the end; what a subroutine does to the banks is not followed.
            leaders.add((follows, instruction.next_address))
        if (not ends) and follows is not None:
            places.append((follows, instruction.next_address))
    return instructions, {leader for leader in leaders if leader in instructions}


def _label(bank: int, address: int) -> str:
    return f"block_{bank}_{address:04X}"


class _Writer:
    def __init__(
        self, rom: _Rom, instructions: dict[tuple[int, int], Instruction], leaders: set[tuple[int, int]]
    ) -> None:
        self._rom = rom
        self._instructions = instructions
        self._leaders = leaders

    def _go(self, instruction: Instruction, address: int) -> str:
        bank = self._rom.bank_at(instruction.bank, instruction.address, address)
        if bank is not None and (bank, address) in self._leaders:
            return f"GO({_label(bank, address)}, 0x{address:04X});"
        return f"p.pc = 0x{address:04X}; goto next_block;"

    def _leaves(self, instruction: Instruction, left: int) -> str:
        """What is asked after an instruction that may have ended the frame or switched banks, `left` before the end."""
        op, k = instruction.op, instruction.operand
        conditions = []
        may_reach_tia = not k & 0x1080 if op.mode in ("zp", "abs") else True
        if (op.access in ("write", "rmw") and may_reach_tia) or op.mnemonic in _PUSHES:
            conditions.append("p.done")
        if self._rom.is_banked and op.access != "none" and op.mode in ("abx", "aby", "izx", "izy"):
            conditions.append(f"code_bank(s, 0x{instruction.address:04X}) != {instruction.bank}")
        text = ""
        if conditions:
            out = f"budget += {left}; p.pc = 0x{instruction.next_address:04X}; goto next_block;"
            text = f" if (unlikely({' || '.join(conditions)})) {{ {out} }}"
        if op.mode == "abs" and op.access != "none" and self._rom.may_switch(k):
            text += f" p.pc = 0x{instruction.next_address:04X}; goto next_block;"
        return text

    def _instruction(self, instruction: Instruction, left: int) -> str:
        op, k = instruction.op, instruction.operand
        following = instruction.next_address
        last = (k >> 8) if op.length == 3 and op.mnemonic != "JSR" else k & 0xFF if op.length > 1 else op.code
        text = f"p.cyc += {op.cycles}; p.bus = {last}; "
        if op.mode == "rel":
            target = instruction.target
            assert target is not None
            extra = 2 if (following ^ target) & 0xFF00 else 1
            return text + f"if ({CONDITIONS[op.mnemonic]}) {{ p.cyc += {extra}; {self._go(instruction, target)} }}"
        if op.mnemonic == "JMP" and op.mode == "abs":
            return text + self._go(instruction, k)
        if jumps(op) or op.mnemonic == "JAM":
            return self._odd_jump(instruction, text)
        operand = f"0x{k:X}"
        return f"{text}{{ {body(op, operand, is_constant=True)} }}{self._leaves(instruction, left)}"

    def _odd_jump(self, instruction: Instruction, text: str) -> str:
        op, k = instruction.op, instruction.operand
        if op.mnemonic == "JSR":
            third = (instruction.next_address - 1) & 0xFFFF
            text += f"p.bus = {k & 0xFF}; p.peek(); p.push({third >> 8}); p.push({third & 0xFF}, false); "
            text += f"p.bus = {k >> 8}; if (unlikely(p.done)) {{ p.pc = 0x{k:04X}; goto next_block; }} "
            return text + self._go(instruction, k)
        if op.mode == "ind":
            second = (k & 0xFF00) | ((k + 1) & 0xFF)
            return text + f"{{ i32 low = p.load({k}); p.pc = low | (p.load({second}) << 8); }} goto next_block;"
        if op.mnemonic == "BRK":
            return text + f"p.software_interrupt({instruction.address}); goto next_block;"
        if op.mnemonic == "JAM":
            return text + f"p.pc = {instruction.next_address}; {body(op, '0')} goto next_block;"
        return (
            text + ("p.return_subroutine();" if op.mnemonic == "RTS" else "p.return_interrupt();") + " goto next_block;"
        )

    def _block(self, leader: tuple[int, int]) -> list[Instruction]:
        block: list[Instruction] = []
        place = leader
        while place in self._instructions and (not block or place not in self._leaders):
            instruction = self._instructions[place]
            block.append(instruction)
            op = instruction.op
            if op.mnemonic in (*_ENDS, "JMP", "JSR") or op.mode == "rel":
                break
            if op.mode == "abs" and op.access != "none" and self._rom.may_switch(instruction.operand):
                break
            follows = self._rom.bank_at(instruction.bank, instruction.address, instruction.next_address)
            if follows is None:
                break
            place = (follows, instruction.next_address)
        return block

    @staticmethod
    def _waiting(block: list[Instruction]) -> str:
        """What goes before a block that does nothing but read the timer until it is zero."""
        if len(block) != 2 or block[0].op.mode != "abs" or block[0].operand & 0x1285 != 0x284:
            return ""
        load, branch = block
        is_round = branch.op.mnemonic == "BNE" and branch.target == load.address
        if load.op.mnemonic not in ("LDA", "LDX", "LDY") or not is_round:
            return ""
        taken = 2 if (branch.next_address ^ load.address) & 0xFF00 else 1
        return f"p.await_timer<{load.op.cycles}, {load.op.cycles + branch.op.cycles + taken}>(budget);"

    def text(self) -> str:
        cases, blocks = [], []
        order = sorted(self._leaders)
        for leader in order:
            bank, address = leader
            block = self._block(leader)
            cases.append(f"case 0x{(bank << 16) | address:X}: goto {_label(*leader)};")
            lines = [
                f"{_label(*leader)}:{self._waiting(block)}",
                f"if (unlikely(budget < {len(block)})) {{ p.pc = 0x{address:04X}; goto interpret; }}",
                f"budget -= {len(block)};",
            ]
            lines += [self._instruction(one, len(block) - 1 - place) for place, one in enumerate(block)]
            last = block[-1]
            if last.op.mnemonic not in (*_ENDS, "JMP", "JSR"):
                lines.append(self._go(last, last.next_address))
            blocks.append("\n".join(lines))
        return "\n".join(["switch (place) {", *cases, "default: goto interpret;", "}", *blocks])


def blocks(cart: str, rom: bytes, coverage: UInt8Array) -> str:
    """blocks.inc of a ROM.

    Args:
        cart: the cartridge's type.
        rom: its bytes.
        coverage: [BANKS * 65536] uint8, as Frame::coverage in source/picture.h describes.
    """
    source = _Rom(cart, rom)
    instructions, leaders = _reachable(source, coverage)
    # A block ends before a leader; what follows a branch begins one.
    for instruction in list(instructions.values()):
        if instruction.op.mode == "rel":
            follows = source.bank_at(instruction.bank, instruction.address, instruction.next_address)
            if follows is not None and (follows, instruction.next_address) in instructions:
                leaders.add((follows, instruction.next_address))
    return _Writer(source, instructions, leaders).text() + "\n"
