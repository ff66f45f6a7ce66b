"""Progress of long work, on stderr, and only where a person watches it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cml_core.cli.terminal import console

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Steps", "watched"]

Advance = Callable[[int, int], None]


class Steps:
    """The steps of a command: shows each while it lasts and keeps how long it took.

    Attributes
    ----------
    seconds : dict of str to float
        Duration of the finished steps.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Advance]:
        """One step; gives a function `advance(done, total)`, which need not be called."""
        start = time.perf_counter()
        if self._progress is None:
            yield lambda done, total: None
        else:
            yield self._show(self._progress, name)
        self.seconds[name] = time.perf_counter() - start

    @staticmethod
    def _show(progress: Progress, name: str) -> Advance:
        for task in progress.task_ids:
            progress.remove_task(task)
        task = progress.add_task(name, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(
                task, completed=done, total=total, description=f"{name}, {done} of {total}"
            )

        return advance


@contextlib.contextmanager
def watched() -> Iterator[Steps]:
    """Steps with progress on stderr if it is a terminal, silent otherwise."""
    if not sys.stderr.isatty():
        yield Steps()
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console(stderr=True), transient=True, redirect_stdout=False
    ) as progress:
        yield Steps(progress)
