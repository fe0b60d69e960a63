"""The 6507's instructions as C++ text, in terms of source/cpu.h.

One text serves twice: in the interpreter the operand is a variable that was just fetched, in compiled blocks it is a
constant, and the C++ compiler folds the address decoding away.
"""

from __future__ import annotations

from dataclasses import dataclass

from rl_speed.emulator.tables import opcode_rows


@dataclass(frozen=True)
class Opcode:
    """One of the 256 opcodes.

    Attributes:
        code: 0..255.
        mnemonic: as in the 6502's handbooks; undocumented ones by their usual names.
        mode: imp acc imm zp zpx zpy abs abx aby izx izy ind rel.
        access: what it does to its data: none, read, write, rmw.
        cycles: without page crossings and taken branches.
        page_penalty: a read across a page costs one more.
    """

    code: int
    mnemonic: str
    mode: str
    access: str
    cycles: int
    page_penalty: bool

    @property
    def operand_bytes(self) -> int:
        """0, 1 or 2. BRK and JSR fetch theirs themselves, JSR only its second."""
        if self.mnemonic == "JSR":
            return 1
        return {"imp": 0, "acc": 0, "abs": 2, "abx": 2, "aby": 2, "ind": 2}.get(self.mode, 1)

    @property
    def length(self) -> int:
        """Bytes of the instruction in memory."""
        return 3 if self.mnemonic == "JSR" else 1 + self.operand_bytes


OPCODES = [Opcode(code, *row[:4], bool(row[4])) for code, row in enumerate(opcode_rows())]

# What a read does with its byte m.
_READS = {
    "ORA": "p.set_nz(p.a |= m);",
    "AND": "p.set_nz(p.a &= m);",
    "EOR": "p.set_nz(p.a ^= m);",
    "ADC": "p.add(m);",
    "SBC": "p.subtract(m);",
    "CMP": "p.compare(p.a, m);",
    "CPX": "p.compare(p.x, m);",
    "CPY": "p.compare(p.y, m);",
    "LDA": "p.set_nz(p.a = m);",
    "LDX": "p.set_nz(p.x = m);",
    "LDY": "p.set_nz(p.y = m);",
    "BIT": "p.test_bits(m);",
    "LAX": "p.set_nz(p.a = p.x = m);",
    "NOP": "(void)m;",
    "ANC": "p.set_nz(p.a &= m); p.c = p.a >> 7;",
    "ASR": "p.a = p.shift_right(p.a & m);",
    "ARR": "p.and_rotate(m);",
    "ANE": "p.set_nz(p.a = (p.a | 0xEE) & p.x & m);",
    "LXA": "p.set_nz(p.a = p.x = (p.a | 0xEE) & m);",
    "SBX": "{ i32 left = (p.a & p.x) - m; p.c = left >= 0; p.set_nz(p.x = left & 0xFF); }",
    "LAS": "p.set_nz(p.a = p.x = p.sp = p.sp & m);",
}

# What a write stores.
_WRITES = {
    "STA": "p.a",
    "STX": "p.x",
    "STY": "p.y",
    "SAX": "p.a & p.x",
    "SHA": "p.a & p.x & ((address >> 8) + 1) & 0xFF",
    "SHX": "p.x & ((address >> 8) + 1) & 0xFF",
    "SHY": "p.y & ((address >> 8) + 1) & 0xFF",
    "SHS": "p.sp & ((address >> 8) + 1) & 0xFF",
}

# What becomes of the byte m of a read-modify-write, and what else is done with the result.
_MODIFIES = {
    "ASL": ("p.shift_left(m)", ""),
    "LSR": ("p.shift_right(m)", ""),
    "ROL": ("p.rotate_left(m)", ""),
    "ROR": ("p.rotate_right(m)", ""),
    "INC": ("(m + 1) & 0xFF", "p.set_nz(m);"),
    "DEC": ("(m - 1) & 0xFF", "p.set_nz(m);"),
    "SLO": ("p.shift_left(m)", "p.set_nz(p.a |= m);"),
    "RLA": ("p.rotate_left(m)", "p.set_nz(p.a &= m);"),
    "SRE": ("p.shift_right(m)", "p.set_nz(p.a ^= m);"),
    "RRA": ("p.rotate_right(m)", "p.add(m);"),
    "DCP": ("(m - 1) & 0xFF", "p.compare(p.a, m);"),
    "ISB": ("(m + 1) & 0xFF", "p.subtract(m);"),
}

_IMPLIED = {
    "CLC": "p.c = 0;",
    "SEC": "p.c = 1;",
    "CLI": "p.i = 0;",
    "SEI": "p.i = 1;",
    "CLV": "p.v = 0;",
    "CLD": "p.d = 0;",
    "SED": "p.d = 1;",
    "NOP": "",
    "TAX": "p.set_nz(p.x = p.a);",
    "TXA": "p.set_nz(p.a = p.x);",
    "TAY": "p.set_nz(p.y = p.a);",
    "TYA": "p.set_nz(p.a = p.y);",
    "TSX": "p.set_nz(p.x = p.sp);",
    "TXS": "p.sp = p.x;",
    "INX": "p.set_nz(p.x = (p.x + 1) & 0xFF);",
    "INY": "p.set_nz(p.y = (p.y + 1) & 0xFF);",
    "DEX": "p.set_nz(p.x = (p.x - 1) & 0xFF);",
    "DEY": "p.set_nz(p.y = (p.y - 1) & 0xFF);",
    "PHA": "p.push(p.a);",
    "PHP": "p.push(p.flags());",
    "PLA": "p.peek(); p.set_nz(p.a = p.pull());",
    "PLP": "p.peek(); p.set_flags(p.pull());",
    "JAM": "p.s.jammed = 1; budget = 0;",
}

CONDITIONS = {
    "BPL": "!(p.n & 0x80)",
    "BMI": "p.n & 0x80",
    "BVC": "!p.v",
    "BVS": "p.v",
    "BCC": "!p.c",
    "BCS": "p.c",
    "BNE": "p.z != 0",
    "BEQ": "p.z == 0",
}

_ADDRESSES = {
    "zp": "{k}",
    "zpx": "({k} + p.x) & 0xFF",
    "zpy": "({k} + p.y) & 0xFF",
    "abs": "{k}",
    "abx": "({k} + p.x) & 0xFFFF",
    "aby": "({k} + p.y) & 0xFFFF",
}


def _address(op: Opcode, k: str) -> str:
    if op.mode in ("abx", "aby") and op.page_penalty:
        index = "p.x" if op.mode == "abx" else "p.y"
        return f"p.cyc += (({k} & 0xFF) + {index}) >> 8; i32 address = {_ADDRESSES[op.mode].format(k=k)};"
    if op.mode in _ADDRESSES:
        return f"i32 address = {_ADDRESSES[op.mode].format(k=k)};"
    # The high byte of a pointer comes from the next address, without going round at the end of the page.
    pointer = f"({k} + p.x) & 0xFF" if op.mode == "izx" else k
    text = f"i32 pointer = {pointer}; i32 low = p.load(pointer); i32 base = low | (p.load(pointer + 1) << 8);"
    if op.mode == "izx":
        return text + " i32 address = base;"
    if op.page_penalty:
        text += " p.cyc += (low + p.y) >> 8;"
    return text + " i32 address = (base + p.y) & 0xFFFF;"


def body(op: Opcode, k: str, is_constant: bool = False) -> str:
    """C++ of an instruction other than a jump, branch, call or return.

    Args:
        op: the opcode.
        k: its operand.
        is_constant: the operand is known, and with it the address of modes without an index.
    """
    if op.mode == "imm":
        return f"i32 m = {k}; {_READS[op.mnemonic]}"
    if is_constant and op.mode in ("zp", "abs"):
        address, load, store = f"constexpr i32 address = {k};", f"p.load_at<{k}>()", f"p.store_at<{k}>("
    else:
        address, load, store = _address(op, k), "p.load(address)", "p.store(address, "
    if op.access == "read":
        return f"{address} i32 m = {load}; {_READS[op.mnemonic]}"
    if op.access == "write":
        before = "p.sp = p.a & p.x; " if op.mnemonic == "SHS" else ""
        return f"{before}{address} {store}{_WRITES[op.mnemonic]});"
    if op.access == "rmw":
        change, then = _MODIFIES[op.mnemonic]
        return f"{address} i32 m = {load}; m = {change}; {store}m); {then}"
    if op.mode == "acc":
        return f"i32 m = p.a; p.a = {_MODIFIES[op.mnemonic][0]};"
    return _IMPLIED[op.mnemonic]


def jumps(op: Opcode) -> bool:
    """True if the next instruction is not always the following one."""
    return op.mode == "rel" or op.mnemonic in ("JMP", "JSR", "RTS", "RTI", "BRK")


def jump(op: Opcode, k: str) -> str:
    """C++ of an instruction that sets the program counter, which holds the following instruction's address."""
    if op.mode == "rel":
        return f"p.branch({CONDITIONS[op.mnemonic]}, p.pc, {k});"
    if op.mnemonic == "JMP" and op.mode == "abs":
        return f"p.pc = {k};"
    if op.mnemonic == "JMP":
        # The high byte comes from the same page.
        return f"i32 low = p.load({k}); p.pc = low | (p.load(({k} & 0xFF00) | (({k} + 1) & 0xFF)) << 8);"
    if op.mnemonic == "JSR":
        return f"p.jump_subroutine({k}, (p.pc - 1) & 0xFFFF);"
    if op.mnemonic == "BRK":
        return "p.software_interrupt((p.pc - 1) & 0xFFFF);"
    return "p.return_subroutine();" if op.mnemonic == "RTS" else "p.return_interrupt();"


def interpreter() -> str:
    """C++ that runs one instruction, whatever it is, from wherever the program counter points."""
    lines = ["{", "const i32 opcode = p.fetch(p.pc);", "switch (opcode) {"]
    for op in OPCODES:
        fetch = {
            0: "",
            1: "const i32 k = p.fetch(p.pc + 1); ",
            2: "const i32 k = p.fetch_word(p.pc + 1); ",
        }[0 if op.mnemonic == "BRK" else op.operand_bytes]
        length = 1 if op.mnemonic == "BRK" else op.length
        step = f"p.cyc += {op.cycles}; {fetch}p.pc = (p.pc + {length}) & 0xFFFF; "
        text = jump(op, "k") if jumps(op) else body(op, "k")
        # One place for all accesses: the interpreter is seldom reached, and so compiles in half the time.
        text = text.replace("p.load(", "p.load_any(").replace("p.store(", "p.store_any(")
        if op.mnemonic in ("RTS", "RTI", "BRK") or op.mode == "ind":
            text += " arrived = 1;"
        lines.append(f"case 0x{op.code:02X}: {{ {step}{text} break; }}  // {op.mnemonic} {op.mode}")
    return "\n".join([*lines, "}", "}"]) + "\n"
