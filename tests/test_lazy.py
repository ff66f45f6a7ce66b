"""Names that packages import on first use."""

import importlib
import subprocess
import sys
from importlib import metadata

import pytest

import cml_core


@pytest.mark.parametrize(
    ("package", "home", "needs"),
    [
        ("cml_core", "cml_core.api", ()),
        ("cml_core.testing", "cml_core.testing.conformance", ()),
        ("cml_frontends", "cml_frontends.api", ()),
        ("cml_frontends.sklearn", "cml_frontends.sklearn.api", ("sklearn", "xgboost", "lightgbm")),
    ],
)
def test_a_package_gives_the_names_of_its_home_and_no_other(package, home, needs):
    for library in needs:
        pytest.importorskip(library, reason=f"{library} is not installed")
    package, home = importlib.import_module(package), importlib.import_module(home)
    assert dir(package) == sorted(home.__all__) == sorted(package.__all__)
    for name in home.__all__:
        assert getattr(package, name) is getattr(home, name)
    scope: dict[str, object] = {}
    exec(f"from {package.__name__} import *", scope)
    assert set(home.__all__) <= set(scope)
    for wrong in ("no_such_name", "__wrapped__", "Any"):
        with pytest.raises(AttributeError, match=wrong):
            getattr(package, wrong)


def test_the_version_is_that_of_the_distribution():
    assert cml_core.__version__ == metadata.version("cml")


def test_importing_the_core_imports_nothing_that_takes_time():
    code = """
import sys
before = set(sys.modules)
import cml_core
print(*set(sys.modules) - before)
cml_core.__version__
print(*set(sys.modules) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    at_first, with_version = (set(line.split()) for line in done.stdout.splitlines())
    assert not at_first & {"importlib.metadata", "numpy", "onnx", "cml_core.api"}
    assert not with_version & {"numpy", "onnx", "cml_core.api"}
