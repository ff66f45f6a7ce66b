"""How a command fails: one paragraph on stderr and an exit status, never a traceback."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TextIO

import typer

from cml_core.cli.terminal import console, printable
from cml_core.errors import CmlError

__all__ = ["guarded", "say_error", "set_debug"]

P = ParamSpec("P")

_FAILED, _INTERRUPTED = 1, 130
_debug = False


def set_debug(wanted: bool) -> None:
    """Say whether tracebacks are shown."""
    global _debug
    _debug = wanted


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Give a command the command line's way of warning and failing.

    Errors become a paragraph and exit status 1, an interrupt one line and status 130. Warnings
    become one line each.
    """

    @functools.wraps(command)
    def guard(*args: P.args, **kwargs: P.kwargs) -> None:
        with _warnings_in_one_line():
            try:
                command(*args, **kwargs)
            except (typer.Exit, typer.Abort):
                raise
            except KeyboardInterrupt:
                say_error("interrupted", label="")
                raise typer.Exit(_INTERRUPTED) from None
            except BrokenPipeError:
                _forget_stdout()
                raise typer.Exit(_FAILED) from None
            except CmlError as error:
                _show_traceback()
                say_error(error.message())
                raise typer.Exit(_FAILED) from None
            except (Exception, SystemExit) as error:
                # No command exits by itself: it is a plugin or a library that tries to.
                _show_traceback()
                say_error(_unexpected(error))
                raise typer.Exit(_FAILED) from None

    return guard


def say_error(text: str, *, label: str = "error: ") -> None:
    """Print a paragraph on stderr, wrapped to the terminal, with nothing in it interpreted."""
    from rich.text import Text

    console(stderr=True).print(Text(label, style="bold red").append(printable(text), style="none"))


def _unexpected(error: BaseException) -> str:
    text = str(error).strip()
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    hint = "" if _debug else "\nThe option --debug, as in `cml --debug …`, shows where it happened."
    return f"something failed that cml did not expect: {what}{hint}"


def _show_traceback() -> None:
    if _debug:
        traceback.print_exc()


def _forget_stdout() -> None:
    """Nobody reads stdout any more: let the interpreter's last flush go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _warnings_in_one_line() -> Any:
    from cml_core.plugins.discovery import PluginWarning
    from cml_core.quantization.client import SaturationWarning
    from cml_core.quantization.module import OverflowWarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        # By way of sys.stderr, so that it appears above a progress bar.
        sys.stderr.write(f"warning: {printable(' '.join(str(message).split()))}\n")
        sys.stderr.flush()

    with warnings.catch_warnings():
        for category in (PluginWarning, SaturationWarning, OverflowWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield
