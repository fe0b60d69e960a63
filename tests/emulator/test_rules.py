"""The language of the games' rules."""

from rl_speed.emulator.games import find_game, game_names
from rl_speed.emulator.rules import rule_source


def test_every_rule_is_understood():
    for name in game_names():
        text = find_game(name).rule_source()
        assert text.count("{") == text.count("}")
        assert "rule_program" in text


def test_rule_language():
    text = rule_source(
        {
            "rule": {
                "init": {"lives": 3},
                "step": "delta(bcd(2,1)); if (ram[4] == 0x80) { terminal = 1 } else { x = count(0,1, it > 2) }",
                "lives": "terminal ? 0 : lives",
            },
            "mode_select": "while (ram[1] != m) { select(2) } reset()",
            "starting_actions": [["FIRE", 16]],
        }
    )
    assert "(1 * bcd(s.ram[2]) + 100 * bcd(s.ram[1]))" in text
    assert "if (s.ram[4] == 0x80) { s.rule[2] = 1; } else { s.rule[4] = ((s.ram[0] > 2 ? 1 : 0) + " in text
    assert "return s.rule[2] ? 0 : s.rule[3];" in text
    assert "while ((s.ram[1] != m) && s.frames_left > 0) { select_held(e, 2); }" in text
    assert "k < 16; k++) rule_frame(e, 1);" in text
