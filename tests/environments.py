"""Environments of their own, with wheels of cml and of other packages in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path

import attrs

__all__ = ["ROOT", "Environment", "environment_with", "pip", "wheels_of"]

ROOT = Path(__file__).parents[1]
#: What a wheel of cml is made from.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "cml_*")


@attrs.frozen
class Environment:
    """A virtual environment of its own; `run` starts programs in it."""

    folder: Path

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def run(self, *command: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess:
        program, *arguments = command
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CML_"))}
        done = subprocess.run(
            [str(self.scripts / program), *arguments],
            cwd=self.folder,
            env={**clean, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def json(self, *command: str, **variables: str):
        return json.loads(self.run(*command, **variables).stdout)

    def python(self, code: str, **variables: str):
        """The last line that some code prints, read as JSON."""
        return json.loads(self.run("python", "-c", code, **variables).stdout.splitlines()[-1])

    def install(self, *sources: Path | str) -> None:
        """Install wheels or folders, and nothing that they depend on."""
        options = ("--no-deps", "--no-index", "--no-build-isolation")
        pip("--python", self.scripts / "python", "install", *options, *sources)


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def wheels_of(tmp_path_factory, *packages: Path) -> list[Path]:
    """Wheels of cml and of packages, built from copies of their sources."""
    folder = tmp_path_factory.mktemp("wheels")
    copies = tmp_path_factory.mktemp("sources")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    (copies / "cml").mkdir()
    for source in (path for pattern in SOURCES for path in ROOT.glob(pattern)):
        if source.is_dir():
            shutil.copytree(source, copies / "cml" / source.name, ignore=ignore)
        else:
            shutil.copy(source, copies / "cml")
    for package in packages:
        shutil.copytree(package, copies / package.name, ignore=ignore)
    sources = [copies / name for name in ("cml", *(package.name for package in packages))]
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, *sources)
    return sorted(folder.glob("*.whl"))


def environment_with(tmp_path_factory, wheels: Iterable[Path]) -> Environment:
    """An environment with some wheels, and other libraries from the one that runs the tests.

    A `.pth` file puts those libraries on the path. Python reads no `.pth` file in a folder that
    came by another, so an editable install of cml that is there does not count.
    """
    made = Environment(tmp_path_factory.mktemp("environment").resolve())
    venv.create(made.folder, with_pip=False)
    site = Path(
        made.python("import json, sysconfig; print(json.dumps(sysconfig.get_path('purelib')))")
    )
    assert site.is_relative_to(made.folder)
    ours = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (site / "libraries.pth").write_text("\n".join(ours))
    made.install(*wheels)
    return made
