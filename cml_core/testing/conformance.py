"""check_op: an operator's examples, each along every leg from float to encryption."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

import attrs

from cml_core.errors import CmlError, ConfigError
from cml_core.fhe.backend import FheOptions
from cml_core.ops.example import OpExample
from cml_core.ops.plugin import OpPlugin
from cml_core.plugins.registry import OpRegistry
from cml_core.testing.diagnosis import likely_cause
from cml_core.testing.failure import Difference, raised_at
from cml_core.testing.legs import LEGS, walk, why_not
from cml_core.testing.models import example_model
from cml_core.testing.trial import Trial

__all__ = [
    "LEGS",
    "CheckResult",
    "ConformanceError",
    "check_example",
    "check_op",
    "example_model",
]


@attrs.define(eq=False, slots=False)
class ConformanceError(CmlError):
    """An operator does not do what its plugin says."""

    operator: str
    example: str
    leg: str
    reason: str

    def message(self) -> str:
        """Say which example, which leg, and what came in place of what was expected."""
        return f"{self.operator}, example {self.example!r}, {self.leg}: {self.reason}"


@attrs.frozen(slots=True)
class CheckResult:
    """One example along one leg.

    Parameters
    ----------
    operator, example, leg : str
        What was checked.
    status : str
        `"passed"`, `"skipped"` or `"failed"`.
    reason : str
        Why it was skipped or failed.
    got, expected : str
        The first difference, as text; empty if there is nothing to compare.
    cause : str
        What is most likely wrong.
    place : str
        Where in the operator's own package something was raised.
    """

    operator: str
    example: str
    leg: str
    status: str
    reason: str = ""
    got: str = attrs.field(default="", kw_only=True)
    expected: str = attrs.field(default="", kw_only=True)
    cause: str = attrs.field(default="", kw_only=True)
    place: str = attrs.field(default="", kw_only=True)

    @classmethod
    def of_failure(cls, error: ConformanceError, package: str = "") -> CheckResult:
        """What a failure comes to; its cause is what the leg raised."""
        cause = error.__cause__ or error
        got, expected = cause.texts if isinstance(cause, Difference) else ("", "")
        return cls(
            error.operator,
            error.example,
            error.leg,
            "failed",
            error.reason,
            got=got,
            expected=expected,
            cause=likely_cause(cause),
            place=raised_at(error, package) if package else "",
        )


def check_op(
    plugin: OpPlugin,
    *,
    legs: Iterable[str] | None = None,
    options: FheOptions | None = None,
    registry: OpRegistry | None = None,
) -> tuple[CheckResult, ...]:
    """Check every example of a plugin along every leg.

    Parameters
    ----------
    plugin : OpPlugin
        What to check.
    legs : iterable of str, optional
        Which of `LEGS`; by default all. Those that do not apply are skipped with the reason.
    options : FheOptions, optional
        For the circuits of the last two legs.
    registry : OpRegistry, optional
        By default one that holds this plugin alone.

    Raises
    ------
    ConformanceError
        For the first leg that fails: the example, what was expected and what came.
    """
    if not plugin.examples:
        raise ConformanceError(plugin.schema.op_type, "", "float", "the plugin has no examples")
    chosen = known_legs(legs)
    results: list[CheckResult] = []
    for example in plugin.examples:
        results += _results(_trial(plugin, example, options, registry), chosen)
    return tuple(results)


def check_example(
    plugin: OpPlugin,
    example: OpExample,
    *,
    legs: Iterable[str] | None = None,
    options: FheOptions | None = None,
    registry: OpRegistry | None = None,
) -> tuple[CheckResult, ...]:
    """Check one example; a leg that fails is reported, and the later ones are skipped.

    Parameters
    ----------
    plugin : OpPlugin
        The operator.
    example : OpExample
        One of its examples, or another.
    legs : iterable of str, optional
        Names of `LEGS`; by default all.
    options : FheOptions, optional
        How the legs that need a circuit compile it.
    registry : OpRegistry, optional
        The other operators, by default all that are installed.

    Returns
    -------
    tuple of CheckResult
        One for each leg, in their order.
    """
    trial = _trial(plugin, example, options, registry)
    return tuple(check_trial(trial, leg) for leg in known_legs(legs))


def check_trial(trial: Trial, leg: str, package: str = "") -> CheckResult:
    """Check one example along one leg, and report it if that fails.

    Parameters
    ----------
    trial : Trial
        The example; a leg after one that failed is skipped.
    leg : str
        Which of `LEGS`.
    package : str
        Where the operator's own code is, to say where it raised.
    """
    try:
        return next(_results(trial, [leg]))
    except ConformanceError as error:
        return CheckResult.of_failure(error, package)


def check_leg(trial: Trial, leg: str) -> str:
    """Check one example along one leg; say why it was skipped, or nothing if it passed.

    Raises
    ------
    ConformanceError
        It failed. Its cause is what was raised.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reason = why_not(trial, leg)
            if not reason:
                walk(trial, leg)
    except (Exception, SystemExit) as error:
        trial.failed = leg
        operator, reason = trial.plugin.schema.op_type, str(error) or type(error).__name__
        if isinstance(error, SystemExit):
            reason = f"something in it ends the program (SystemExit: {error})"
        raise ConformanceError(operator, trial.label, leg, reason) from error
    return reason


def known_legs(legs: Iterable[str] | None) -> tuple[str, ...]:
    """Return the legs asked for, by default all, in the order in which they are walked.

    Raises
    ------
    ConfigError
        There is no such leg.
    """
    asked = tuple(LEGS if legs is None else legs)
    unknown = [leg for leg in asked if leg not in LEGS]
    if unknown or not asked:
        raise ConfigError("legs", ", ".join(unknown), f"some of {', '.join(LEGS)}")
    return tuple(leg for leg in LEGS if leg in asked)


def _trial(
    plugin: OpPlugin,
    example: OpExample,
    options: FheOptions | None,
    registry: OpRegistry | None,
) -> Trial:
    given = {"options": options, "registry": registry}
    return Trial(plugin, example, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]


def _results(trial: Trial, legs: Iterable[str]) -> Iterator[CheckResult]:
    for leg in legs:
        reason = check_leg(trial, leg)
        status = "skipped" if reason else "passed"
        yield CheckResult(trial.plugin.schema.op_type, trial.label, leg, status, reason)
