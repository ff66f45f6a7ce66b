"""Packages of plugins, written to a folder on the import path."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest


def source(op_type: str, versions: tuple[int, ...] = (1,), overrides: str | None = None) -> str:
    """A module that provides an operator of the domain `test`."""
    return textwrap.dedent(f"""
        from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl

        def numpy_op(x):
            return (x,)

        @hookimpl
        def cml_op():
            schema = OpSchema({op_type!r}, {versions!r}, domain="test")
            return OpPlugin(schema, numpy_op, overrides={overrides!r})
    """)


def point(module: str, name: str = "some") -> EntryPoint:
    return EntryPoint(name, module, "cml.ops")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`write({"package/module.py": text})` makes modules that can be imported during the test."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def write_files(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()

    yield write_files
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
