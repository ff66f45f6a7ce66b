"""How large a tensor may be whose size a model's values decide.

A model can ask for a tensor of any size with a few bytes: a shape to expand to, a number of
repetitions, an amount of padding. Operators whose outputs are so determined check the size first.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cml_core.errors import ConfigError, TensorSizeError

__all__ = ["check_size", "tensor_limit"]

#: Environment variable that sets the limit in bytes.
VARIABLE = "CML_MAX_TENSOR_BYTES"
#: The limit where nobody sets one: 4 GiB.
DEFAULT = 4 * 2**30

_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("tensor_limit", default=None)


@contextlib.contextmanager
def tensor_limit(max_bytes: int) -> Iterator[None]:
    """Within a `with` block, set how many bytes a tensor may take whose size values decide.

    Elsewhere, the environment variable `CML_MAX_TENSOR_BYTES` sets it, and 4 GiB is the default.

    Parameters
    ----------
    max_bytes : int
        Largest size of one tensor, in bytes.

    Raises
    ------
    ConfigError
        It is no positive integer.
    """
    token = _limit.set(_checked("max_bytes", max_bytes))
    try:
        yield
    finally:
        _limit.reset(token)


def check_size(shape: Sequence[int], dtype: Any) -> None:
    """Refuse a tensor that would take more than the limit, before it is made.

    Parameters
    ----------
    shape : sequence of int
        Its sizes.
    dtype : dtype
        Its element type.

    Raises
    ------
    TensorSizeError
        It would be too large; the error says how large, and how the limit is set.
    """
    size = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize
    # Most tensors are small, and need no look at the environment.
    if size > 2**20 and size > (limit := _current()):
        raise TensorSizeError(tuple(int(n) for n in shape), str(np.dtype(dtype)), size, limit)


def _current() -> int:
    set_here = _limit.get()
    if set_here is not None:
        return set_here
    text = os.environ.get(VARIABLE, "").strip()
    return _checked(VARIABLE, text) if text else DEFAULT


def _checked(name: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or isinstance(value, float):
        raise ConfigError(name, value, "a positive number of bytes")
    return number
