"""Which examples are cheap enough to be encrypted wherever operators are checked."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable

from cml_core.fhe.backend import installed_backends
from cml_core.testing.trial import Trial

__all__ = ["BUDGET", "MOST", "QUICK_COMPILERS", "complexities", "too_dear"]

#: Predicted complexity up to which an example is encrypted: about five lookups of four bits. The
#: cheapest example of each operator is even if it costs more.
BUDGET = 5e8
#: What that may cost at most, so that its keys are generated in seconds.
MOST = 3e9
#: Compilers that generate the keys of such an example in seconds.
QUICK_COMPILERS = ("concrete-python",)


def complexities(trials: Iterable[Trial]) -> dict[int, float]:
    """Predicted complexity of the trials that have something to encrypt, by their place.

    Those that cannot be quantized are left out: another leg says why.
    """
    found = {}
    for place, trial in enumerate(trials):
        if trial.example.encrypted and trial.plugin.quantized:
            with contextlib.suppress(Exception, SystemExit), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if trial.is_encrypted:
                    found[place] = trial.quantized().report().complexity
    return found


def too_dear(complexity: float | None, cheapest: float) -> str:
    """Why an example is not encrypted for real; empty if it is.

    Parameters
    ----------
    complexity : float or None
        Of the example; None if there is nothing to encrypt, which is another's to say.
    cheapest : float
        Of the operator's cheapest example.
    """
    if complexity is None:
        return ""
    limit = max(BUDGET, min(cheapest, MOST))
    if complexity > limit:
        return f"its predicted complexity of {complexity:.1e} is beyond the budget of {limit:.0e}"
    compiler = next((backend.name for backend in installed_backends()), "")
    if compiler and compiler not in QUICK_COMPILERS:
        return f"{compiler} takes minutes to generate keys"
    return ""
