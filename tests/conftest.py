"""Fixtures that several test packages share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import hypothesis
import numpy as np
import pytest

import cml_core as cml
from cml_core.fhe.backend import installed_backends

DIGITS = Path(__file__).parents[1] / "docs" / "examples" / "digits"

# Machines that run tests are slow at times; no test here is about time.
hypothesis.settings.register_profile("cml", deadline=None, print_blob=True)
hypothesis.settings.load_profile("cml")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, share out what takes longest.

    That is single tests of the conformance kit, and single pages of the documentation.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            if file.endswith("test_documents.py"):
                page = nodeid.partition("[")[2].rpartition(":")[0]
                return f"{file}::{page}" if page.endswith(".md") else file
            return nodeid if file.endswith("test_conformance.py") else file

    return ByFile(config, log) if config.option.dist == "loadfile" else None


@attrs.frozen
class Digits:
    """The demo's model and its data."""

    path: Path
    module: cml.NumpyModule
    calibration: np.ndarray
    test: np.ndarray
    labels: np.ndarray


@pytest.fixture(scope="session")
def digits() -> Digits:
    data = np.load(DIGITS / "digits.npz")
    path = DIGITS / "digits.onnx"
    module = cml.NumpyModule.from_onnx(path)
    return Digits(path, module, data["calibration"], data["test"], data["labels"])


@pytest.fixture(scope="session")
def key_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where keys are kept from one test run to the next, for `FheOptions(key_cache=…)`."""
    cache = getattr(request.config, "cache", None)
    return cache.mkdir("keys") if cache is not None else tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def needs_compiler() -> None:
    """Skip the test where no FHE compiler is installed."""
    if not installed_backends():
        pytest.skip("no FHE compiler is installed")


@pytest.fixture(scope="session")
def encrypts_quickly(needs_compiler: None) -> None:
    """Skip the test where a circuit of some lookups takes minutes to generate its keys."""
    if "concrete-python" not in [backend.name for backend in installed_backends()]:
        pytest.skip("concrete-numpy takes minutes for its keys; operators are simulated with it")
