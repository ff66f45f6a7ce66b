"""The command line run in this process, and small models and files to give it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from cml_core.cli import app
from cml_core.ops.elementwise import ElementwiseQuantizedOp
from cml_core.ops.plugin import OpPlugin
from cml_core.ops.schema import OpKind, OpSchema
from cml_core.plugins.discovery import LoadedPlugin
from cml_core.plugins.registry import OpRegistry, default_registry
from tests.networks import Net, mlp, samples


@attrs.frozen
class Result:
    """What a run of the command line gave."""

    status: int
    out: str
    err: str


def _checked(result: Result, status: int) -> Result:
    assert result.status == status, result
    assert "Traceback" not in result.out + result.err
    if status == 1:
        assert result.err.splitlines()[-1].strip(), "an error says something"
        assert "error: " in result.err
    return result


def runner() -> CliRunner:
    """What runs commands in this process; stderr apart, as click below 8.2 has to be asked for."""
    asked = "mix_stderr" in inspect.signature(CliRunner.__init__).parameters
    return CliRunner(**{"mix_stderr": False} if asked else {})


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Run the command line in this process and check its exit status, 0 unless stated."""

    def run(*arguments: object, status: int = 0) -> Result:
        done = runner().invoke(app, [str(argument) for argument in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return _checked(Result(done.exit_code, done.stdout, done.stderr), status)

    return run


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Result]:
    """Run the installed command in a process of its own, with extra folders to import from."""

    def run(*arguments: object, status: int = 0, folder: Path | None = None, **env: str) -> Result:
        done = subprocess.run(
            command(*arguments),
            capture_output=True,
            text=True,
            env=environment(folder, **env),
            timeout=120,
            check=False,
        )
        return _checked(Result(done.returncode, done.stdout, done.stderr), status)

    return run


def command(*arguments: object) -> list[str]:
    """The entry point `cml`, as an installed script would call it."""
    start = "import sys; from cml_core.cli import main; sys.argv[0] = 'cml'; main()"
    return [sys.executable, "-c", start, *map(str, arguments)]


def environment(folder: Path | None = None, **env: str) -> dict[str, str]:
    """This process's environment, with one more folder to import from."""
    path = os.pathsep.join(filter(None, [str(folder or ""), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, **env}


@pytest.fixture
def plugin_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder to import from, as if a distribution with operator plugins were installed."""

    def make(**modules: str) -> Path:
        folder = tmp_path / "site"
        info = folder / "others-2.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 2.5\n")
        lines = [f"{name} = {name}" for name in modules]
        (info / "entry_points.txt").write_text("[cml.ops]\n" + "\n".join(lines) + "\n")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        return folder

    return make


@pytest.fixture(scope="session")
def net_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 3 inputs and 2 outputs, with one Relu."""
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    onnx.save(mlp([3, 2, 2]), path)
    return path


@pytest.fixture(scope="session")
def calibration_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calibration samples for it."""
    path = tmp_path_factory.mktemp("calibration") / "calibration.npz"
    np.savez(path, x=samples([3]))
    return path


@pytest.fixture(scope="session")
def input_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of those samples to predict."""
    path = tmp_path_factory.mktemp("input") / "input.npz"
    np.savez(path, x=samples([3])[:2])
    return path


@pytest.fixture(scope="session")
def cml_path(net_path: Path, calibration_path: Path, tmp_path_factory) -> Path:
    """The network, quantized to 3 bits by the command line, not compiled."""
    path = tmp_path_factory.mktemp("cml") / "net.cml"
    arguments = ["--calibration", calibration_path, "--n-bits", "3", "--no-circuit"]
    done = runner().invoke(app, list(map(str, ["compile", net_path, *arguments, "--output", path])))
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture
def example_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add operators of the domain `org.example`: a float-only one, and one with restrictions."""

    def plugin(name, quantized, restrictions=""):
        return OpPlugin(
            OpSchema(name, (1,), OpKind.CUSTOM, domain="org.example"),
            lambda x: (x / 2,),
            ElementwiseQuantizedOp(lambda x: (x / 2,)) if quantized else None,
            restrictions=restrictions,
        )

    added = [
        LoadedPlugin("example.half", "example", "1.0", provides=plugin("Half", False)),
        LoadedPlugin("example.part", "example", "1.0", provides=plugin("Part", True, "on Fridays")),
    ]
    registry = OpRegistry.from_plugins([*default_registry().plugins, *added])
    for module in ("cml_core.plugins.registry", "cml_core.numpy_module"):
        monkeypatch.setattr(f"{module}.default_registry", lambda: registry)


@pytest.fixture
def model_with(tmp_path: Path) -> Callable[..., Path]:
    """Write a model of operators in a row, between two Gemm nodes unless `bare`."""

    def make(*operators: str, domain: str = "", opset: int = 17, bare: bool = False) -> Path:
        net = Net(["batch", 3], opset=opset)
        x = "x" if bare else net.dense("x", 3, 3)
        for operator in operators:
            x = net.add(operator, x, domain=domain)
        x = x if bare else net.dense(x, 3, 2)
        model = net.model(x)
        if domain:
            model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        return path

    return make
