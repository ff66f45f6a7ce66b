"""Reading bit widths out of a circuit's MLIR, the text that a Concrete compiler works from."""

from __future__ import annotations

import math
import re
from collections import Counter

from cml_core.fhe.backend import CompiledWidths

__all__ = ["read_widths"]

#: An encrypted integer, in a tensor of some shape or alone.
_INTEGER = r"(?:tensor<((?:\d+x)*))?!FHE\.es?int<(\d+)>"
_LOOKUP = re.compile(
    r'"FHE(?:Linalg)?\.apply_(?:\w+_)?lookup_table"\([^)]*\)\s*(?:\{[^}]*\}\s*)?:\s*\(' + _INTEGER
)


def read_widths(mlir: str) -> CompiledWidths:
    """Find the widest integer and the lookups by width."""
    lookups: Counter[int] = Counter()
    for shape, width in _LOOKUP.findall(mlir):
        lookups[int(width)] += math.prod(int(size) for size in shape.split("x") if size)
    widest = max((int(width) for _, width in re.findall(_INTEGER, mlir)), default=0)
    return CompiledWidths(widest, dict(lookups))
