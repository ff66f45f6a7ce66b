"""The command line: `cml`. One file per command or group of commands.

Results go to stdout; warnings, errors and progress go to stderr. Commands import what is heavy
when they run, so that help is quick.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cml_core.cli import client, ops, plugins
from cml_core.cli.check import check
from cml_core.cli.compile import compile_model
from cml_core.cli.evaluate import evaluate
from cml_core.cli.export import export
from cml_core.cli.failures import guarded, say_error, set_debug
from cml_core.cli.inspect import inspect
from cml_core.cli.predict import predict
from cml_core.cli.run import run
from cml_core.cli.stdout import open_streams
from cml_core.cli.view import view
from cml_core.errors import CmlError

__all__ = ["app", "main"]

app = typer.Typer(
    name="cml",
    help="Run machine-learning models on encrypted data, operator by operator.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(ops.app, name="ops")
app.add_typer(plugins.app, name="plugins")
app.add_typer(client.app, name="client")
app.command("check")(guarded(check))
app.command("run")(guarded(run))
app.command("compile")(guarded(compile_model))
app.command("predict")(guarded(predict))
app.command("evaluate")(guarded(evaluate))
app.command("inspect")(guarded(inspect))
app.command("export")(guarded(export))
app.command("view")(guarded(view))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"cml {metadata.version('cml')}")
        raise typer.Exit


@app.callback()
def _global_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    set_debug(debug)


def main() -> None:
    """Run the command line; the entry point `cml`."""
    open_streams()
    try:
        app(prog_name="cml")
    except CmlError as error:  # What is printed beside the commands, such as help, can fail too.
        say_error(error.message())
        sys.exit(1)
