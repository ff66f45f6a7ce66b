"""What is loaded once per process, whichever of its threads asks first."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["LOADING", "once"]

_T = TypeVar("_T")

#: Held while plugins are loaded: they are imported, and stdout is another while they are.
LOADING = threading.RLock()


def once(function: Callable[[], _T]) -> Callable[[], _T]:
    """Call a function the first time, and give the same result from then on.

    `functools.cache` lets threads that come at the same time all call it.
    """
    cached = functools.cache(function)

    @functools.wraps(function)
    def result() -> _T:
        with LOADING:
            return cached()

    result.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
    return result
