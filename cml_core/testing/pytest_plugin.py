"""`pytest --cml-ops PACKAGE`: the conformance kit as tests, one for each example and leg.

pytest loads this module in every run of an environment that has cml. So it imports nothing but
pytest until the option is given.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cml_core.errors import DuplicateOperatorError
    from cml_core.plugins.discovery import LoadedPlugin
    from cml_core.testing.trial import Trial


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the conformance kit."""
    group = parser.getgroup("cml", "cml's conformance kit")
    group.addoption(
        "--cml-ops",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="check the operators of a package (or module, entry point, distribution) along every "
        "leg from float to encryption; may be given several times. With no test files named, "
        "only they are run",
    )
    group.addoption(
        "--cml-legs",
        metavar="LEGS",
        help="only these legs, separated by commas: float, calibration, integers, widths, saving, "
        "simulation, encryption",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the operators, so that a wrong name is told before anything runs."""
    names = config.getoption("cml_ops")
    if not names:
        return
    from cml_core.errors import CmlError
    from cml_core.testing.conformance import known_legs
    from cml_core.testing.selection import import_from_here, operators_of

    import_from_here()
    asked = config.getoption("cml_legs")
    try:
        legs = known_legs(None if asked is None else [leg.strip() for leg in asked.split(",")])
        plugins = operators_of(names)
    except CmlError as error:
        raise pytest.UsageError(str(error)) from None
    keys = tempfile.TemporaryDirectory(prefix="cml-keys-")
    config.add_cleanup(keys.cleanup)
    config.pluginmanager.register(ConformanceKit(plugins, legs, Path(keys.name)), "cml-kit")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        # Nobody named a file: only the operators, not what `testpaths` or the folder holds.
        config.args, config.args_source = [], pytest.Config.ArgsSource.ARGS


class ConformanceKit:
    """What is done when the option is given.

    Parameters
    ----------
    plugins : tuple of LoadedPlugin
        What is checked.
    legs : tuple of str
        Along which legs.
    keys : path
        Where keys are kept until the session ends.
    """

    def __init__(
        self, plugins: tuple[LoadedPlugin, ...], legs: tuple[str, ...], keys: Path
    ) -> None:
        self.plugins = plugins
        self.legs = legs
        self.keys = keys

    @functools.cached_property
    def clashing(self) -> Mapping[str, DuplicateOperatorError]:
        """How plugins keep each other from serving, by their names."""
        from cml_core.testing.clashes import clashes

        return clashes(self.plugins)[0]

    def pytest_report_header(self, config: pytest.Config) -> str:
        """Say what is checked, and with which compiler."""
        from cml_core.fhe.backend import installed_backends

        compiler = next((backend.name for backend in installed_backends()), "none")
        names = ", ".join(config.getoption("cml_ops"))
        return f"cml: operators of {names}; compiler: {compiler}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add the items; they belong to no file."""
        for source in self.plugins:
            path = getattr(sys.modules.get(source.name), "__file__", None)
            operator = Operator.from_parent(
                session,
                name=source.name,
                nodeid=source.name,
                path=Path(path) if path else session.path,
                source=source,
                kit=self,
            )
            items.extend(session.genitems(operator))


class Operator(pytest.Collector):
    """One plugin: its examples, or why there are none to check."""

    def __init__(self, *, source: LoadedPlugin, kit: ConformanceKit, **node: Any) -> None:
        super().__init__(**node)
        self.source = source
        self.kit = kit

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """One collector per example."""
        from cml_core.fhe.backend import FheOptions
        from cml_core.testing.trial import Trial

        source = self.source
        if source.status != "loaded":
            yield Loading.from_parent(self, name="loading", source=source)
            return
        if not source.provides.examples:
            yield NoExamples.from_parent(self, name="examples")
        clash = self.kit.clashing.get(source.name)
        if clash is not None:
            yield Contested.from_parent(self, name="loading", clash=clash)
        options = FheOptions(key_cache=self.kit.keys)
        names: set[str] = set()
        for place, example in enumerate(source.provides.examples):
            trial = Trial(source.provides, example, options=options, others=self.kit.plugins)
            name = trial.label.replace(" ", "_")
            name = f"{name}_{place}" if name in names else name
            names.add(name)
            yield Example.from_parent(self, name=name, trial=trial, legs=self.kit.legs)


class Example(pytest.Collector):
    """One example; its legs share what they make of it."""

    def __init__(self, *, trial: Trial, legs: tuple[str, ...], **node: Any) -> None:
        super().__init__(**node)
        self.trial = trial
        self.legs = legs

    def collect(self) -> Iterator[pytest.Item]:
        """One item per leg."""
        for leg in self.legs:
            yield Leg.from_parent(self, name=leg, trial=self.trial)


class Leg(pytest.Item):
    """One example along one leg."""

    def __init__(self, *, trial: Trial, **node: Any) -> None:
        super().__init__(**node)
        self.trial = trial

    def runtest(self) -> None:
        """Walk the leg."""
        from cml_core.testing.conformance import CheckResult, ConformanceError, check_leg

        fault = skipped = ""
        try:
            skipped = check_leg(self.trial, self.name)
        except ConformanceError as error:
            if self.config.getoption("fulltrace"):
                raise
            package = self.nodeid.partition("::")[0].partition(".")[0]
            failed = CheckResult.of_failure(error, package)
            fault = error.reason
            fault += f"\nraised at {failed.place}" if failed.place else ""
            fault += f"\nlikely cause: {failed.cause}" if failed.cause else ""
        if fault:
            pytest.fail(fault, pytrace=False)
        if skipped:
            pytest.skip(skipped)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is, and what a failure's headline says."""
        operator = self.trial.plugin.schema.op_type
        return self.path, None, f"{operator}, example {self.trial.label!r}, {self.name}"


class Loading(pytest.Item):
    """A plugin that could not be loaded, or was blocked."""

    def __init__(self, *, source: LoadedPlugin, **node: Any) -> None:
        super().__init__(**node)
        self.source = source

    def runtest(self) -> None:
        """Say why."""
        if self.source.status == "blocked":
            pytest.skip("CML_DISABLE_PLUGINS blocks it")
        pytest.fail(f"the plugin does not load: {self.source.reason}", pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is, and what a failure's headline says."""
        return self.path, None, self.nodeid


class Contested(pytest.Item):
    """A plugin that another one of those checked keeps from serving."""

    def __init__(self, *, clash: DuplicateOperatorError, **node: Any) -> None:
        super().__init__(**node)
        self.clash = clash

    def runtest(self) -> None:
        """Fail."""
        pytest.fail(self.clash.message(), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is, and what a failure's headline says."""
        return self.path, None, self.nodeid


class NoExamples(pytest.Item):
    """A plugin that gives nothing to check."""

    def runtest(self) -> None:
        """Fail."""
        pytest.fail("the plugin has no examples", pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is, and what a failure's headline says."""
        return self.path, None, self.nodeid
