"""Names that packages import on first use."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("package", "home"),
    [("cml_core", "cml_core.api"), ("cml_core.testing", "cml_core.testing.conformance")],
)
def test_a_package_gives_the_names_of_its_home_and_no_other(package, home):
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
