"""Equations of Einsum: the letters of each operand's axes, and of the result's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import attrs

from cml_core.plugin_api import AttributeValueError

__all__ = ["Equation"]

Label = str | int
"""A letter, or for an axis that an ellipsis covers its distance from the ellipsis' end."""


@attrs.frozen(slots=True)
class Equation:
    """What each axis of operands and result is, and how long.

    Parameters
    ----------
    terms : tuple of tuples
        Labels of the axes of each operand.
    output : tuple
        Labels of the axes of the result.
    sizes : dict
        Length of each label's axes.
    """

    terms: tuple[tuple[Label, ...], ...]
    output: tuple[Label, ...]
    sizes: dict[Label, int]

    @classmethod
    def parse(cls, text: str, shapes: Sequence[tuple[int, ...]]) -> Equation:
        """Read an equation for operands of these shapes."""

        def wanted(what: str) -> AttributeValueError:
            return AttributeValueError("equation", text, what)

        left, arrow, right = text.replace(" ", "").partition("->")
        written = left.split(",")
        if len(written) != len(shapes):
            raise wanted(f"one term for each of {len(shapes)} operands")
        terms, sizes, covered = [], {}, 0
        for term, shape in zip(written, shapes, strict=True):
            count = len(shape) - len(_letters(term, wanted))
            if count < 0 or (count > 0 and "..." not in term):
                raise wanted(f"one letter in {term!r} for each axis of the shape {tuple(shape)}")
            labels = _expanded(term, count)
            covered = max(covered, count)
            for label, size in zip(labels, shape, strict=True):
                known = sizes.setdefault(label, size)
                if known == 1:
                    sizes[label] = size
                elif size not in (1, known):
                    raise wanted(f"axes {label!r} of one length, not {known} and {size}")
            terms.append(labels)
        if arrow:
            output = _expanded(right, covered) if _letters(right, wanted) or right else ()
            unknown = [label for label in output if label not in sizes]
            if unknown or len(set(output)) < len(output):
                raise wanted("a result whose letters occur in the operands, each once")
            if covered and "..." not in right:
                raise wanted("an ellipsis in the result, as there is one in the operands")
        else:
            often = Counter(letter for term in terms for letter in term)
            once = sorted(x for x, count in often.items() if isinstance(x, str) and count == 1)
            output = (*range(covered, 0, -1), *once)
        return cls(tuple(terms), tuple(output), sizes)


def _letters(term: str, wanted) -> str:
    letters = term.replace("...", "", 1)
    if letters and not (letters.isalpha() and letters.isascii()):
        raise wanted("letters, commas, spaces, '...' and one '->'")
    return letters


def _expanded(term: str, count: int) -> tuple[Label, ...]:
    """Labels of a term whose ellipsis covers `count` axes, which are numbered down to 1."""
    before, dots, after = term.partition("...")
    return (*before, *(range(count, 0, -1) if dots else ()), *after)
