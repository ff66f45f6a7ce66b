"""The conformance kit: the checks that every operator plugin, builtin or not, must pass."""

from __future__ import annotations

from cml_core.testing.conformance import (
    LEGS,
    CheckResult,
    ConformanceError,
    check_example,
    check_op,
)
from cml_core.testing.models import example_model

__all__ = ["LEGS", "CheckResult", "ConformanceError", "check_example", "check_op", "example_model"]
