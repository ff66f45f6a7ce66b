"""The files of a new operator, from the Copier template in `cml_core/template`."""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from cml_core.errors import ConfigError, MissingLibraryError, OutputFileError
from cml_core.new_package.operator import NewOperator
from cml_core.storage import write_file

__all__ = ["TEMPLATE", "write_operator"]

TEMPLATE = Path(__file__).parents[1] / "template"
_ENTRY_POINTS = "cml.ops"


def write_operator(operator: NewOperator, folder: Path) -> tuple[Path, ...]:
    """Write a new package with an operator, or its module into a package that is there.

    Parameters
    ----------
    operator : NewOperator
        The operator.
    folder : Path
        The distribution's folder. If it has a `pyproject.toml` with an entry point of group
        `cml.ops`, a module is added to that package; otherwise it must be new or empty, and its
        name becomes the distribution's.

    Returns
    -------
    tuple of Path
        The files written, the operator's module first.

    Raises
    ------
    ConfigError
        The folder's name cannot be that of a distribution and of a package.
    OutputFileError
        There is something in the folder's place, or it cannot be written.
    MissingLibraryError
        Copier is not installed.
    """
    present = _package_in(folder)
    if present is not None:
        return _add_module(operator, present)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputFileError(
            folder, "is there already, and is no package of operators: name a new folder"
        )
    distribution, package = _names(folder)
    answers = {**operator.answers(), "distribution": distribution, "package": package}
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".cml.") as room:
            made = Path(room) / folder.absolute().name
            _render(answers, made)
            files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
            if folder.is_dir():  # It may be somebody's current folder, so it stays what it is.
                for path in made.iterdir():
                    path.rename(folder / path.name)
            else:
                made.rename(folder)
    except OSError as error:
        raise OutputFileError(folder, f"cannot be written: {error.strerror or error}") from error
    first = Path(package) / f"{operator.module}.py"
    return (folder / first, *(folder / path for path in files if path != first))


def _add_module(operator: NewOperator, package: Path) -> tuple[Path, ...]:
    path = package / f"{operator.module}.py"
    if path.exists():
        raise OutputFileError(path, "is there already")
    answers = {**operator.answers(), "distribution": package.name, "package": package.name}
    with tempfile.TemporaryDirectory(prefix="cml-") as room:
        _render(answers, Path(room) / "made")
        write_file(path, (Path(room) / "made" / package.name / path.name).read_bytes())
    return (path,)


def _render(answers: dict[str, Any], folder: Path) -> None:
    try:
        import copier
    except ImportError as error:
        raise MissingLibraryError("copier", "new") from error
    # A copy, as the template may lie in a working tree of git, which Copier would ask of.
    with tempfile.TemporaryDirectory(prefix="cml-template-") as room:
        template = shutil.copytree(TEMPLATE, Path(room) / "template")
        copier.run_copy(str(template), folder, data=answers, defaults=True, quiet=True)


def _names(folder: Path) -> tuple[str, str]:
    """The distribution's name and the package's, both from the folder's."""
    name = folder.absolute().name
    package = re.sub(r"[-.]+", "_", name).lower()
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name, re.ASCII) or not (
        package.isidentifier() and not keyword.iskeyword(package)
    ):
        expected = "a folder whose name is one for a distribution, such as my-operators"
        raise ConfigError("DIR", str(folder), expected)
    if importlib.util.find_spec(package) is not None:
        expected = f"a folder of another name: there is a package {package!r} already"
        raise ConfigError("DIR", str(folder), expected)
    return name, package


def _package_in(folder: Path) -> Path | None:
    """The package of operators that a folder's `pyproject.toml` names, if there is one."""
    path = folder / "pyproject.toml"
    try:
        project = _toml().loads(path.read_text(encoding="utf-8")).get("project", {})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        expected = f"a folder with a pyproject.toml that can be read ({error})"
        raise ConfigError("DIR", str(folder), expected) from error
    named = project.get("entry-points", {}).get(_ENTRY_POINTS, {}).values()
    places = (root.joinpath(*n.split(".")) for n in named for root in (folder, folder / "src"))
    return next((place for place in places if place.is_dir()), None)


def _toml() -> Any:
    try:
        return importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise MissingLibraryError("tomli", "new") from error
