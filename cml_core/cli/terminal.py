"""What a person or a program reads: tables and facts, or JSON, on stdout."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["console", "printable", "show_facts", "show_json", "show_table", "show_text"]

#: Columns where the output is not a terminal: files and pipes get whole lines.
_WIDE = 10_000


def console(*, stderr: bool = False) -> Console:
    """Return a console that interprets nothing in what it prints."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def printable(text: str) -> str:
    """Text with control characters escaped: names in a model may hold anything."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _show(renderable: RenderableType) -> None:
    """Print on stdout; into a file or pipe without the blanks that fill a table's lines."""
    target = console()
    if target.is_terminal:
        target.print(renderable)
        return
    with target.capture() as captured:
        target.print(renderable)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()


def show_text(text: str) -> None:
    """Print a paragraph on stdout."""
    from rich.text import Text

    _show(Text(printable(text)))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns of numbers are aligned to the right, None leaves a cell empty."""
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        cells = [row[place] for row in rows if row[place] is not None]
        numbers = bool(cells) and all(isinstance(cell, (int, float)) for cell in cells)
        table.add_column(Text(name), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in row))
    _show(table)


def show_facts(facts: Mapping[str, object], *, indent: int = 2) -> None:
    """Print names and values below each other."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(printable(name)), Text(printable(str(value))))
    _show(Padding(table, (0, 0, 0, indent), expand=False))


def show_json(value: Any) -> None:
    """Print JSON and nothing else on stdout."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """The value as what JSON can hold; NaN and infinities become text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
