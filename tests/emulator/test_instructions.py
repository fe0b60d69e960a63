"""The table of opcodes."""

from rl_speed.emulator.instructions import OPCODES, interpreter


def test_opcode_table():
    assert [op.code for op in OPCODES] == list(range(256))
    assert interpreter().count("case 0x") == 256
    by_name = {(op.mnemonic, op.mode): op for op in OPCODES}
    assert by_name["LDA", "abx"].page_penalty
    assert not by_name["STA", "abx"].page_penalty
    assert (by_name["JSR", "abs"].length, by_name["BRK", "imp"].length, by_name["LDA", "imm"].length) == (3, 1, 2)
