"""The contracts of import-linter name every module that they are about."""

from __future__ import annotations

import pkgutil

import pytest

import cml_core
from tests.pages import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no toml")

#: Every module and package directly in the core, but for `__main__`.
MODULES = {
    f"cml_core.{module.name}"
    for module in pkgutil.iter_modules(cml_core.__path__)
    if not module.name.startswith("__")
}


def contract(about: str) -> dict:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (found,) = (each for each in settings["importlinter"]["contracts"] if about in each["name"])
    return found


def in_core(names: list[str]) -> set[str]:
    return {name for name in names if name.startswith("cml_core")}


def test_operators_may_import_the_plugin_api_alone():
    forbidden = contract("Operators import the plugin API")["forbidden_modules"]
    assert in_core(forbidden) == MODULES - {"cml_core.plugin_api"}


def test_all_but_the_backends_may_not_import_a_compiler():
    sources = contract("Only the FHE backends")["source_modules"]
    assert in_core(sources) == MODULES - {"cml_core.fhe"}
