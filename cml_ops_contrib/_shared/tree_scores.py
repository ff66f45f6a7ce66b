"""From tree ensembles to scores and labels, in NumPy and as nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cml_core.plugin_api import AttributeValueError, GraphWriter
from cml_ops_contrib._shared.tree_plan import make_plans
from cml_ops_contrib._shared.trees import Ensemble

__all__ = ["base_values", "samples_of", "write_sums"]


def samples_of(x: np.ndarray, ensemble: Ensemble) -> np.ndarray:
    """Samples as a matrix that has all features, in the type that nodes compare in.

    Raises
    ------
    AttributeValueError
        There are too few features.
    """
    rows = x.reshape(1, -1) if x.ndim == 1 else x
    if rows.ndim != 2 or rows.shape[1] < ensemble.features:
        expected = f"(N, F) with at least {ensemble.features} features, which the trees ask for"
        raise AttributeValueError("shape of X", x.shape, expected)
    return rows if rows.dtype.kind == "f" else rows.astype(ensemble.value.dtype)


def base_values(stated: Sequence[float] | None, exact: np.ndarray | None, count: int) -> np.ndarray:
    """What is added to the scores before they are transformed.

    Raises
    ------
    AttributeValueError
        There is neither one for all nor one for each.
    """
    values = exact.reshape(-1) if exact is not None and exact.size else np.float32(stated or ())
    if values.size not in (0, 1, count):
        raise AttributeValueError("number of base_values", values.size, f"0, 1 or {count}")
    return np.broadcast_to(values if values.size else np.zeros(1, np.float32), (count,))


def write_sums(
    writer: GraphWriter, x: str, ensemble: Ensemble, how: str, base: np.ndarray, dtype: Any
) -> str:
    """Nodes that add up the leaves of all trees, `(N, targets)`, and a base.

    Raises
    ------
    AttributeValueError
        The trees are not added up.
    """
    if how not in ("SUM", "AVERAGE"):
        raise AttributeValueError("aggregate_function", how, "SUM or AVERAGE, to be encrypted")
    plans = make_plans(ensemble)
    share = 1 / len(ensemble.roots) if how == "AVERAGE" else 1.0
    weights = [np.vstack([plan.join * share, plan.base * share + base]) for plan in plans]
    if plans[0].weights.shape[1] == 0:
        nothing = writer.constant(np.zeros((1, len(base))), dtype)
        first = writer.cast(writer.add("Gather", x, writer.constant([0]), axis=1), dtype)
        whole = writer.constant(weights[0][-1], dtype)
        return writer.add("Add", writer.add("MatMul", first, nothing), whole)
    arrays = [np.array([len(plan.stages) for plan in plans])]
    for plan in plans:
        arrays += [plan.cuts, plan.feature, plan.weights, plan.start, plan.top]
        for stage in plan.stages:
            arrays += [stage.index, stage.factor, stage.start, stage.table]
    inputs = [writer.constant(array, array.dtype) for array in arrays]
    sums = writer.add("TreePaths", x, *inputs, domain="cml")
    joins = [writer.constant(each, dtype) for each in weights]
    return writer.add("Recombine", sums, *joins, domain="cml")
