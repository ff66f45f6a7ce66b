"""The conformance kit on whole packages: every example of every plugin, without pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from cml_core.errors import DuplicateOperatorError
from cml_core.fhe.backend import FheOptions
from cml_core.plugins.loading import LoadedPlugin
from cml_core.testing.budget import complexities, too_dear
from cml_core.testing.conformance import CheckResult, check_trial, known_legs
from cml_core.testing.legs import why_not
from cml_core.testing.trial import Trial

__all__ = ["PluginCheck", "check_plugin"]


@attrs.frozen(slots=True)
class PluginCheck:
    """A plugin along the legs: the results of its examples, or why there are none.

    Parameters
    ----------
    plugin : str
        Its name.
    operator : str
        What it provides; empty if it did not load.
    results : tuple of CheckResult
        In order; of a plugin that did not load, a single one whose leg is `"loading"`, which also
        comes first of one that others keep from serving.
    """

    plugin: str
    operator: str
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> bool:
        """Whether anything did."""
        return any(result.status == "failed" for result in self.results)


def check_plugin(
    source: LoadedPlugin,
    *,
    legs: Iterable[str] | None = None,
    options: FheOptions | None = None,
    others: tuple[LoadedPlugin, ...] = (),
    clash: DuplicateOperatorError | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> PluginCheck:
    """Check every example of a plugin along every leg; what is dear is not encrypted for real.

    Parameters
    ----------
    source : LoadedPlugin
        What `load_group` gave.
    legs : iterable of str, optional
        Which of `LEGS`; by default all.
    options : FheOptions, optional
        For the circuits of the last two legs.
    others : tuple of LoadedPlugin
        Those of the same package, for operators that are written with others.
    clash : DuplicateOperatorError, optional
        What keeps it from serving beside the others; see `clashes`.
    advance : callable
        Is told how many examples are done, and of how many.
    """
    chosen = known_legs(legs)
    if source.status != "loaded":
        return PluginCheck(source.name, "", (_not_loaded(source),))
    plugin = source.provides
    operator = plugin.schema.op_type
    if not plugin.examples:
        reason = "the plugin has no examples"
        cause = "give OpPlugin examples=(OpExample(inputs, outputs=…),): they are what is checked"
        failed = CheckResult(operator, "", chosen[0], "failed", reason, cause=cause)
        return PluginCheck(source.name, operator, (failed,))
    results = [] if clash is None else [_contested(operator, source.name, clash)]
    package = source.name.partition(".")[0]
    options = options or FheOptions()
    trials = [Trial(plugin, one, options=options, others=others) for one in plugin.examples]
    costs: dict[int, float] | None = None
    for place, trial in enumerate(trials):
        for leg in chosen:
            if leg == "encryption" and not trial.failed and not why_not(trial, leg):
                costs = complexities(trials) if costs is None else costs
                reason = too_dear(costs.get(place), min(costs.values(), default=0.0))
                if reason:
                    found = (operator, trial.label, leg, "skipped", reason)
                    results.append(CheckResult(*found))
                    continue
            results.append(check_trial(trial, leg, package))
        advance(place + 1, len(trials))
    return PluginCheck(source.name, operator, tuple(results))


def _contested(operator: str, name: str, clash: DuplicateOperatorError) -> CheckResult:
    other = next(other for other in clash.plugins if other != name)
    reason = f"it provides {clash.key}, and so does {other!r}: neither serves it"
    cause = (
        "one of them is left from a copy or a former name: remove it, or let one declare "
        f"OpPlugin(overrides={other!r})"
    )
    return CheckResult(operator, "", "loading", "failed", reason, cause=cause)


def _not_loaded(source: LoadedPlugin) -> CheckResult:
    if source.status == "blocked":
        return CheckResult("", "", "loading", "skipped", "CML_DISABLE_PLUGINS blocks it")
    reason = f"the plugin does not load: {source.error}"
    return CheckResult("", "", "loading", "failed", reason, cause=source.hint)
