"""The first look at a source: characters, strings, numbers, brackets and lengths, before anything is parsed.

Decides which text CPython's parser gets to see. Refuses to know the grammar. Two reasons: the parser must not
meet what exhausts it, and every version of Python must read the same program. So what versions treat
differently is refused here: escapes they warn about, quotes inside f-string fields, names beyond ASCII.
"""

import re

from zizhu.chain.contracts.port import Problem
from zizhu.chain.contracts.script import prices

_TOKEN = re.compile(
    r"""(?P<newline>\n)
    |(?P<space>[ ]+)
    |(?P<comment>\#[^\n]*)
    |(?P<prefix>[A-Za-z]*)(?P<body>"{3}(?s:[^\\]|\\.)*?"{3}|'{3}(?s:[^\\]|\\.)*?'{3}
        |"(?:[^\\"\n]|\\[^\n])*"|'(?:[^\\'\n]|\\[^\n])*')
    |(?P<number>(?:0[xX][0-9a-fA-F_]{1,80}|[0-9][0-9_]{0,99})(?![0-9A-Za-z_.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<open>[\[({])
    |(?P<close>[\])}])
    |(?P<operator>\.(?![0-9.])|[-+*/%<>=!&|^~,:@])""",
    re.VERBOSE,
)
_FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Controls (tab and carriage return too), marks that reverse the direction of text, lone surrogates."""
_ESCAPES = {
    "": re.compile(r"""\\(?:[\\'"nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""),
    "b": re.compile(r"""\\(?:[\\'"nrt]|x[0-9a-fA-F]{2})"""),
}
_FIELD = re.compile(r"[A-Za-z0-9_ .,()\[\]+\-*/%<>&|^~]+")
"""What may stand between the braces of an f-string: no quotes, braces, colons, escapes or equals signs."""


def scan(text: str) -> list[Problem]:
    """The first problem of a text, if it has one."""
    scanner = _Scanner(text)
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        scanner.position = forbidden.start()
        return [scanner.problem("script.character", f"character U+{ord(forbidden.group()):04X} is not allowed")]
    problem = scanner.run()
    return [] if problem is None else [problem]


class _Scanner:
    """Walks the tokens of one text, with the counts that are limited."""

    __slots__ = ("depth", "elifs", "position", "text", "tokens")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.tokens = 0
        self.elifs = 0

    def problem(self, rule: str, words: str) -> Problem:
        """A problem at the present position."""
        line = self.text.count("\n", 0, self.position) + 1
        column = self.position - (self.text.rfind("\n", 0, self.position) + 1)
        return Problem(line, column, rule, words)

    def run(self) -> Problem | None:
        """The first problem."""
        while self.position < len(self.text):
            match = _TOKEN.match(self.text, self.position)
            if match is None:
                return self._unknown()
            problem = self._token(match)
            if problem is not None:
                return problem
            self.position = match.end()
        return None

    def _unknown(self) -> Problem:
        character = self.text[self.position]
        if character in "\"'":
            return self.problem("script.string", "a string is not closed")
        if character.isdigit() or character == ".":
            return self.problem("script.number", "only ints below 2**256 are numbers; no floats")
        return self.problem("script.character", f"{character!r} is not allowed outside of strings and comments")

    def _token(self, match: re.Match[str]) -> Problem | None:
        kind = match.lastgroup
        if kind == "newline":
            if self.depth == 0:
                self.tokens = 0
            return None
        if kind in ("space", "comment"):
            return None
        self.tokens += 1
        if self.tokens > prices.LINE_TOKENS_MAX:
            return self.problem("script.size", f"a line has more than {prices.LINE_TOKENS_MAX} tokens")
        if kind == "body":
            return self._string(match)
        if kind == "open":
            self.depth += 1
            if self.depth > prices.BRACKETS_MAX:
                return self.problem("script.nesting", f"more than {prices.BRACKETS_MAX} brackets inside each other")
        elif kind == "close":
            self.depth -= 1
            if self.depth < 0:
                return self.problem("script.syntax", "a bracket closes that was not opened")
        elif kind == "name":
            return self._name(match.group())
        return None

    def _name(self, name: str) -> Problem | None:
        if len(name) > prices.NAME_CHARACTERS_MAX:
            return self.problem("script.name", f"a name has more than {prices.NAME_CHARACTERS_MAX} characters")
        if name == "elif":
            self.elifs += 1
            if self.elifs > prices.ELIF_MAX:
                return self.problem("script.size", f"more than {prices.ELIF_MAX} elif")
        return None

    def _string(self, match: re.Match[str]) -> Problem | None:
        prefix = match.group("prefix")
        body = match.group("body")
        if prefix not in ("", "b", "f"):
            return self.problem("script.string", f"string prefix {prefix!r}; only b and f are known")
        content = body[3:-3] if body[:3] in ('"""', "'''") else body[1:-1]
        escapes = _ESCAPES["b" if prefix == "b" else ""]
        # An escape leaves a quote behind, which no field of an f-string may contain.
        rest = escapes.sub('"', content)
        if "\\" in rest:
            return self.problem("script.string", r"escapes are \\ \' \" \n \r \t \xHH, in text also \uHHHH \UHHHHHHHH")
        if prefix == "f":
            return self._fields(rest)
        return None

    def _fields(self, content: str) -> Problem | None:
        """Checks the {fields} of an f-string; its escapes have become quotes."""
        position = 0
        while position < len(content):
            character = content[position]
            if character not in "{}":
                position += 1
            elif content[position + 1 : position + 2] == character:
                position += 2
            elif character == "}":
                return self.problem("script.string", "a single } in an f-string")
            else:
                end = content.find("}", position)
                field = content[position + 1 : end] if end >= 0 else ""
                if len(field) > prices.FIELD_CHARACTERS_MAX or _FIELD.fullmatch(field) is None:
                    return self.problem(
                        "script.string", "an f-string field is a short expression without quotes, braces, : ! or ="
                    )
                position = end + 1
        return None
