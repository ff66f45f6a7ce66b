"""Or before opset 7: the disjunction of a boolean tensor and one laid along its axes."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import hookimpl
from cml_ops_builtin._shared.legacy_booleans import legacy_boolean


@hookimpl
def cml_op():
    return legacy_boolean("Or", np.logical_or)
