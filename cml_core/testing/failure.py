"""How a leg of the conformance kit fails: by a difference, or by what an operator raised."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from cml_core.errors import CmlError

__all__ = ["Difference", "raised_at"]


@attrs.define(eq=False, slots=False)
class Difference(CmlError):
    """What came is not what should have come.

    Parameters
    ----------
    kind : str
        `"type"` (dtype or shape), `"values"`, `"tolerance"`, `"changed"`, `"lookups"`, `"bits"`,
        `"circuit"`, `"saving"`, `"simulation"`, `"encryption"` or `"reference"`.
    reason : str
        What is different, in words.
    got, expected : object
        Arrays for tensors; None where there is nothing to compare.
    quoted : bool
        Whether the message shows both.
    found, allowed : float
        For a tolerance: the error and its limit, relative to the range of the output.
    step : float
        For a tolerance: a step of the example's grid, relative to the same.
    suspect : str
        What is at fault, where that is known: `"prepare"`, `"comma"` (an array given as the
        example's outputs) or `"clear"` (numbers in place of an encrypted tensor); or empty.
    """

    kind: str
    reason: str
    got: Any = None
    expected: Any = None
    quoted: bool = False
    found: float = 0.0
    allowed: float = 0.0
    step: float = 0.0
    suspect: str = ""

    def message(self) -> str:
        """What is different, with both below each other if there is something to see."""
        if not self.quoted:
            return self.reason
        heads = {"got       ": self.got, "expected  ": self.expected}
        return self.reason + "".join(
            f"\n{head}{_text(value, prefix=head)}" for head, value in heads.items()
        )

    @property
    def texts(self) -> tuple[str, str]:
        """What came and what was expected, as text; empty if there is nothing to compare."""
        if self.got is None and self.expected is None:
            return "", ""
        show = _kind_of if self.kind == "type" else _text
        return show(self.got), show(self.expected)


def _text(value: Any, prefix: str = "") -> str:
    if isinstance(value, np.ndarray):
        return np.array2string(value, threshold=100, separator=", ", prefix=prefix)
    return str(value)


def _kind_of(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else str(value)


def raised_at(error: BaseException, package: str) -> str:
    """The last place in a package that an error came through, as `file:line, in function`."""
    place = ""
    cause: BaseException | None = error
    while cause is not None:
        trace = cause.__traceback__
        while trace is not None:
            frame, line, trace = trace.tb_frame, trace.tb_lineno, trace.tb_next
            if frame.f_globals.get("__name__", "").partition(".")[0] == package:
                place = f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_name}"
        cause = cause.__cause__ or cause.__context__
    return place
