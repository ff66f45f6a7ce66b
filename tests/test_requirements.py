"""The lowest versions that are tested are those that `pyproject.toml` allows."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no toml")

#: Extras that are tested at their lowest besides; compilers and front ends are not.
EXTRAS = ("images", "new")
#: Tools that serve those tests.
TOOLS = {"hypothesis", "pytest", "pytest-xdist", "ruff", "sybil"}


def lowest(requirements: list[str]) -> dict[str, str]:
    """The lower bound of each requirement that has one."""
    found = (re.match(r"([\w-]+)>=([\w.]+)", requirement) for requirement in requirements)
    return {match[1]: match[2] for match in found if match}


def test_the_lowest_versions_are_those_that_are_allowed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = lowest([*project["dependencies"], *(r for extra in EXTRAS for r in extras[extra])])
    wanted |= {name: bound for name, bound in lowest(extras["dev"]).items() if name in TOOLS}
    wanted.pop("tomli")  # Python 3.10 alone needs it.
    pinned = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8")
    assert dict(re.findall(r"^([\w-]+)==([\w.]+)$", pinned, re.M)) == wanted
