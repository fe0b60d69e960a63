"""The rules of the games, from the language of data/games.json to C++.

A rule says after each frame what the reward is, whether the game is over and how many lives are left, from the bytes
of the console's RAM. The language is C's expressions with a few functions of its own (see `fields` and `language` in
data/games.json), so most of it is copied through; only names and functions are replaced.
"""

from __future__ import annotations

import re
from typing import Any

from rl_speed.emulator.actions import ACTION_NUMBERS

_TOKEN = re.compile(r"\s*(0x[0-9A-Fa-f]+|\d+|[A-Za-z_]\w*|\|\||&&|==|!=|<=|>=|<<|>>|.)")
_FIXED = ("reward", "score", "terminal", "lives")
_MAX_VARIABLES = 24


class _Translator:
    def __init__(self) -> None:
        self.variables: dict[str, int] = {name: number for number, name in enumerate(_FIXED)}

    def variable(self, name: str) -> str:
        number = self.variables.setdefault(name, len(self.variables))
        assert number < _MAX_VARIABLES, "source/console.h keeps fewer variables of a rule than this"
        return f"s.rule[{number}]"

    # Statements.

    def program(self, text: str) -> str:
        tokens = _TOKEN.findall(text.strip())
        lines, at = self._block(tokens, 0)
        assert at == len(tokens), f"cannot read {text!r} from token {at}"
        return "\n    ".join(lines)

    def _block(self, tokens: list[str], at: int) -> tuple[list[str], int]:
        lines: list[str] = []
        while at < len(tokens) and tokens[at] != "}":
            if tokens[at] == ";":
                at += 1
                continue
            line, at = self._statement(tokens, at)
            lines.append(line)
        return lines, at

    def _statement(self, tokens: list[str], at: int) -> tuple[str, int]:
        word = tokens[at]
        if word in ("if", "while"):
            end = self._closing(tokens, at + 1)
            condition = self.expression(tokens[at + 2 : end])
            if word == "while":
                condition = f"({condition}) && s.frames_left > 0"
            body, at = self._braces(tokens, end + 1)
            text = f"{word} ({condition}) {{ {body} }}"
            if word == "if" and at < len(tokens) and tokens[at] == "else":
                body, at = self._braces(tokens, at + 1)
                text += f" else {{ {body} }}"
            return text, at
        end = at
        depth = 0
        while end < len(tokens) and not (depth == 0 and tokens[end] in (";", "}")):
            depth += {"(": 1, ")": -1}.get(tokens[end], 0)
            end += 1
        statement = tokens[at:end]
        if len(statement) > 1 and statement[1] == "=":
            return f"{self.variable(word)} = {self.expression(statement[2:])};", end
        return self._procedure(word, statement[2:-1]), end

    def _braces(self, tokens: list[str], at: int) -> tuple[str, int]:
        assert tokens[at] == "{"
        lines, end = self._block(tokens, at + 1)
        assert tokens[end] == "}"
        return " ".join(lines), end + 1

    def _procedure(self, name: str, arguments: list[str]) -> str:
        if name == "delta":
            value = self.expression(arguments)
            return f"{{ const i32 value = {value}; s.rule[0] = value - s.rule[1]; s.rule[1] = value; }}"
        if name == "select":
            return f"select_held(e, {self.expression(arguments)});"
        if name == "reset":
            return "soft_reset(e);"
        assert name == "act", f"{name} is no procedure"
        return f"act(e, {ACTION_NUMBERS[arguments[0]]}, stickiness);"

    # Expressions.

    @staticmethod
    def _closing(tokens: list[str], at: int) -> int:
        depth = 0
        for position in range(at, len(tokens)):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(tokens[position], 0)
            if depth == 0:
                return position
        raise AssertionError(f"no closing bracket after {' '.join(tokens[at:])}")

    def expression(self, tokens: list[str], it: str | None = None) -> str:
        out: list[str] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            following = tokens[at + 1] if at + 1 < len(tokens) else ""
            if token in ("ram", "cart"):
                end = self._closing(tokens, at + 1)
                array = "s.ram" if token == "ram" else "s.cart_ram"
                out.append(f"{array}[{self.expression(tokens[at + 2 : end], it)}]")
                at = end
            elif token[0].isalpha() and following == "(":
                end = self._closing(tokens, at + 1)
                out.append(self._function(token, self._arguments(tokens[at + 2 : end]), it))
                at = end
            elif token == "it" and it is not None:
                out.append(it)
            elif token == "m":
                out.append("m")
            elif token[0].isalpha():
                out.append(self.variable(token))
            else:
                out.append(token)
            at += 1
        return " ".join(out)

    @staticmethod
    def _arguments(tokens: list[str]) -> list[list[str]]:
        arguments: list[list[str]] = [[]]
        depth = 0
        for token in tokens:
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token, 0)
            if token == "," and depth == 0:
                arguments.append([])
            else:
                arguments[-1].append(token)
        return arguments

    def _function(self, name: str, arguments: list[list[str]], it: str | None) -> str:
        if name == "rng":
            return "random_draw(e.g.sticky)"
        if name in ("count", "sum"):
            first, last = int(arguments[0][0]), int(arguments[1][0])
            terms = [self.expression(arguments[2], f"s.ram[{index}]") for index in range(first, last + 1)]
            return "(" + " + ".join(f"({term} ? 1 : 0)" if name == "count" else f"({term})" for term in terms) + ")"
        if name == "same":
            first, length = int(arguments[0][0]), int(arguments[1][0])
            pairs = [f"s.ram[{first}] == s.ram[{index}]" for index in range(first + 1, first + length)]
            return "(" + " && ".join(pairs) + " ? 1 : 0)"
        values = [self.expression(argument, it) for argument in arguments]
        if name == "bcd":
            terms = [f"{100**power} * bcd(s.ram[{value}])" for power, value in enumerate(values)]
            return "(" + " + ".join(terms) + ")"
        if name == "u8":
            return f"(({values[0]}) & 0xFF)"
        function = {"s8": "signed_byte", "min": "lesser", "max": "greater"}[name]
        return f"{function}({', '.join(values)})"


def rule_source(game: dict[str, Any]) -> str:
    """rule.inc of a game: rule_program, rule_lives, rule_reset, mode_select and starting_actions."""
    translator = _Translator()
    rule = game["rule"]
    init = {"reward": 0, "score": 0, "terminal": 0, **rule["init"]}
    step = translator.program(rule["step"])
    lives = translator.expression(_TOKEN.findall(rule["lives"]))
    select = translator.program(game["mode_select"])
    reset = "\n    ".join(f"{translator.variable(name)} = {value};" for name, value in init.items())
    starts = "\n    ".join(
        f"for (i32 k = 0; k < {frames}; k++) rule_frame(e, {ACTION_NUMBERS[action]});"
        for action, frames in game["starting_actions"]
    )
    return f"""\
INLINE void rule_program(Console& s) {{
    {step}
}}
INLINE i32 rule_lives(const Console& s) {{ return {lives}; }}
INLINE void rule_reset(Console& s) {{
    {reset}
}}
OUTLINE void mode_select(Env& e, i32 m, double stickiness) {{
    Console& s = e.s;
    (void)s; (void)m; (void)stickiness;
    {select}
}}
OUTLINE void starting_actions(Env& e) {{
    (void)e;
    {starts}
}}
"""
