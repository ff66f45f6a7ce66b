r"""Characters in RE2 patterns: classes such as \d and [:alpha:], and escapes such as \x{1F600}."""

from __future__ import annotations

import re

__all__ = ["Ranges", "escaped", "perl_class", "posix_class", "set_of"]

#: Code points from the first to the second of each pair.
Ranges = list[tuple[int, int]]

#: The last code point.
_LAST = 0x10FFFF


def _ranges(pairs: str) -> Ranges:
    return [(ord(a), ord(b)) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]


def complement(ranges: Ranges) -> Ranges:
    """All other code points."""
    rest, start = [], 0
    for low, high in sorted(ranges):
        if start < low:
            rest.append((start, low - 1))
        start = max(start, high + 1)
    return [*rest, (start, _LAST)]


#: RE2 knows ASCII letters, digits and white space only; the latter without the vertical tab.
_PERL = {"d": _ranges("09"), "s": _ranges("\t\n\f\r  "), "w": _ranges("09AZ__az")}
_POSIX = {
    name: _ranges(pairs)
    for name, pairs in {
        "alnum": "09AZaz",
        "alpha": "AZaz",
        "ascii": "\0\x7f",
        "blank": "\t\t  ",
        "cntrl": "\0\x1f\x7f\x7f",
        "digit": "09",
        "graph": "!~",
        "lower": "az",
        "print": " ~",
        "punct": "!/:@[`{~",
        "space": "\t\r  ",
        "upper": "AZ",
        "word": "09AZ__az",
        "xdigit": "09AFaf",
    }.items()
}


def perl_class(name: str, folded: bool) -> Ranges | None:
    r"""Characters of \d, \s or \w, or all others if in upper case; None if there is none."""
    return _class(_PERL.get(name.lower()), name.isupper(), folded)


def posix_class(name: str, folded: bool) -> Ranges | None:
    """Characters of a class such as alpha, or all others if a ^ precedes; None if there is none."""
    return _class(_POSIX.get(name.removeprefix("^")), name.startswith("^"), folded)


def _class(ranges, negated, folded):
    if not negated or ranges is None:
        return ranges
    if folded:
        # Letters in both cases, and the Kelvin sign and the long s, whose cases are k and s.
        letters = {chr(point) for low, high in ranges for point in range(low, high + 1)}
        letters |= {letter.swapcase() for letter in letters}
        letters |= {
            other for other, letter in (("\u212a", "k"), ("\u017f", "s")) if letter in letters
        }
        ranges = [(ord(letter), ord(letter)) for letter in letters]
    return complement(ranges)


_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_CODE = re.compile(r"([0-7]{2,3}|0)|x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})")


def escaped(text: str) -> tuple[int, int]:
    r"""Which code point an escape at the start of the text (after its \) stands for.

    Returns
    -------
    tuple of int
        The code point, and how many characters the escape has; (-1, 0) if it is none.
    """
    code = _CODE.match(text)
    if code:
        octal, short, long = code.groups()
        point = int(octal, 8) if octal else int(short or long, 16)
        return (point, code.end()) if point <= _LAST else (-1, 0)
    if text[:1] in _CONTROLS:
        return ord(_CONTROLS[text[0]]), 1
    if text[:1].isascii() and re.match(r"[\W_]", text):
        return ord(text[0]), 1
    return -1, 0


def set_of(ranges: Ranges, negated: bool = False) -> str:
    """Write a set of characters as Python's `re` has it."""
    members = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
    return f"[^{members}]" if negated else f"[{members}]"
