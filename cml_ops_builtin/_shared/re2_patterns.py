r"""Patterns in RE2's syntax, written for Python's `re`.

All that a full match depends on is kept: classes are ASCII, $ is the end of the text (Python's
also stands before a last line break), flags hold to the end of their group. Groups need no names
and repetitions no greed, as only whether the whole text matches counts. Unicode classes (\p) and
single bytes (\C) are refused.

Syntax: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

import re

from cml_core.plugin_api import AttributeValueError
from cml_ops_builtin._shared.re2_characters import (
    Ranges,
    escaped,
    perl_class,
    posix_class,
    set_of,
)

__all__ = ["python_pattern"]

_BOUNDS = re.compile(r"\{(\d+)(?:(,)(\d*))?\}", re.ASCII)
_FLAGS = re.compile(r"\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAME = re.compile(r"\?P?<\w+>")
_POSIX = re.compile(r"\[:(\^?\w*):\]")
#: The most that RE2 repeats something.
_MOST = 1000


def python_pattern(pattern: str) -> str:
    """Write an RE2 pattern in Python's syntax, for full matches.

    Raises
    ------
    AttributeValueError
        RE2 lacks something that the pattern uses, or it is none.
    """
    reader = _Reader(pattern)
    translated = reader.alternatives(frozenset())
    if reader.rest:
        raise reader.refusal("a ( for each )")
    return translated


class _Reader:
    """Reads a pattern from its start to its end."""

    def __init__(self, pattern):
        self.pattern, self.rest = pattern, pattern

    def refusal(self, expected):
        return AttributeValueError("pattern", self.pattern, f"RE2's syntax: {expected}")

    def skip(self, count):
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def matched(self, expression):
        found = expression.match(self.rest)
        if found:
            self.skip(found.end())
        return found

    def alternatives(self, flags):
        """Read up to the end of a group."""
        parts, repeatable = [], False
        while self.rest and self.rest[0] != ")":
            quantifier = self.quantifier()
            if quantifier:
                if not repeatable:
                    raise self.refusal("something to repeat before each repetition")
                parts.append(quantifier)
                repeatable = False
                continue
            if self.rest.startswith("(?") and not _NAME.match(self.rest[1:]):
                self.skip(1)
                flags, scoped = self.flags(flags)
                if scoped is None:
                    continue
                parts.append(self.group(scoped))
            else:
                parts.append(self.atom(flags))
            repeatable = parts[-1] != "|"
        return "".join(parts)

    def quantifier(self):
        bounds = self.matched(_BOUNDS)
        if bounds:
            least, comma, most = bounds.groups()
            numbers = [int(number) for number in (least, most) if number]
            if numbers != sorted(numbers) or numbers[-1] > _MOST:
                raise self.refusal(f"repetitions of at most {_MOST} times")
            text = f"{{{least}{comma or ''}{most or ''}}}"
        elif self.rest[0] in "*+?":
            text = self.skip(1)
        else:
            return ""
        self.skip(self.rest.startswith("?"))
        return text

    def flags(self, flags):
        """Read flags: those in force from here on, and those of a group, None if there is none."""
        found = self.matched(_FLAGS)
        if not found:
            if re.match(r"\?<?[=!]", self.rest):
                raise self.refusal("no look-around")
            raise self.refusal(f"no group that begins with ({self.rest[:2]}")
        added, removed, end = found.groups()
        changed = (flags | set(added)) - set(removed or "")
        return (flags, changed) if end == ":" else (changed, None)

    def group(self, flags):
        inner = self.alternatives(flags)
        if self.skip(1) != ")":
            raise self.refusal("a ) for each (")
        return f"(?:{inner})"

    def atom(self, flags):
        character = self.skip(1)
        if character == "(":
            self.matched(_NAME)
            return self.group(flags)
        if character == "|":
            return "|"
        if character == ".":
            return "(?s:.)" if "s" in flags else "."
        if character == "^":
            return "(?m:^)" if "m" in flags else r"(?:\A)"
        if character == "$":
            return "(?m:$)" if "m" in flags else r"(?:\Z)"
        if character == "[":
            negated = self.rest.startswith("^")
            self.skip(negated)
            return self.folded(set_of(self.ranges("i" in flags), negated), flags)
        if character == "\\":
            return self.escape(flags)
        return self.folded(re.escape(character), flags)

    @staticmethod
    def folded(text, flags):
        return f"(?i:{text})" if "i" in flags else text

    def escape(self, flags):
        kind = self.rest[:1]
        anchors = {"A": r"(?:\A)", "z": r"(?:\Z)", "b": r"(?a:\b)", "B": r"(?:(?!(?a:\b)))"}
        if kind in anchors:
            self.skip(1)
            return anchors[kind]
        named = perl_class(kind, "i" in flags)
        if named:
            self.skip(1)
            return self.folded(set_of(named), flags)
        if kind == "Q":
            self.skip(1)
            text, _, self.rest = self.rest.partition("\\E")
            # What follows repeats the last character alone.
            return "".join(self.folded(re.escape(character), flags) for character in text)
        return self.folded(re.escape(chr(self.code_point())), flags)

    def code_point(self):
        point, length = escaped(self.rest)
        if not length:
            kind = self.rest[:1]
            if kind and kind in "123456789":
                raise self.refusal("no back-references")
            raise self.refusal(f"no escape \\{kind}" if kind else "something after each \\")
        self.skip(length)
        return point

    def ranges(self, folded) -> Ranges:
        """Read the members of a set and its ]."""
        found: Ranges = []
        while self.rest[:1] != "]" or not found:
            named = self.matched(_POSIX)
            perl = perl_class(self.rest[1:2], folded) if self.rest[:1] == "\\" else None
            if not (self.rest or named):
                raise self.refusal("a ] for each [")
            if named:
                ranges = posix_class(named[1], folded)
                if ranges is None:
                    raise self.refusal(f"no class {named[0]}")
                found += ranges
            elif perl:
                self.skip(2)
                found += perl
            else:
                low = high = self.member()
                if self.rest[:1] == "-" and self.rest[1:2] not in ("]", ""):
                    self.skip(1)
                    high = self.member()
                if low > high:
                    raise self.refusal("the lower end of a range first")
                found.append((low, high))
        self.skip(1)
        return found

    def member(self):
        character = self.skip(1)
        return self.code_point() if character == "\\" else ord(character)
