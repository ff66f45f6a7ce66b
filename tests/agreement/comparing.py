"""Comparing a node of a case with what onnxruntime, the reference or a formula makes of it."""

from __future__ import annotations

import functools
import re
from typing import Any

import attrs
import numpy as np

import cml_core as cml
from tests.agreement.runtimes import CannotError, of_onnxruntime, of_reference
from tests.one_node import feeds_of

__all__ = ["compare"]


def compare(case: Any, node: Any) -> str | None:
    """Compare a node; return why it could not be, or None."""
    model, feeds = node.model(case.op_type, case.opset), feeds_of(node.inputs, node.constants)
    results = [_of_cml(model, feeds)]
    if _prepares(case.op_type, case.opset) and len(node.inputs) > 1:
        constant = attrs.evolve(node, constants=range(1, len(node.inputs)))
        others = constant.model(case.op_type, case.opset)
        results.append(_of_cml(others, feeds_of(node.inputs, constant.constants)))
    wanted, source = _expected(case, node, model, feeds)
    if wanted is None:
        return source
    for got in results:
        assert len(got) == len(wanted)
        for mine, theirs in zip(got, map(np.asarray, wanted), strict=True):
            assert mine.dtype == theirs.dtype, f"{mine.dtype}, not {theirs.dtype} as of {source}"
            assert mine.shape == theirs.shape, f"{mine.shape}, not {theirs.shape} as of {source}"
            _close(mine, theirs, case.operator.tolerance_of(mine.dtype), source)
    return None


def _of_cml(model, feeds):
    """Run a model twice, and make sure that runs leave their inputs and earlier results alone."""
    before = {name: array.copy() for name, array in feeds.items()}
    module = cml.NumpyModule.from_onnx(model)
    first = list(module.run(feeds).values())
    kept = [array.copy() for array in first]
    again = list(module.run(feeds).values())
    for name, array in feeds.items():
        _same_bits(array, before[name], "the operator changed its input")
    for array, copy, second in zip(first, kept, again, strict=True):
        _same_bits(array, copy, "a second run changed the results of the first")
        _same_bits(second, copy, "a second run gives other results")
    return kept


@functools.cache
def _prepares(op_type: str, opset: int) -> bool:
    """Whether the operator computes otherwise where all its inputs but the first are constants."""
    found = cml.default_registry().resolve("", op_type, opset)
    return found is not None and found[1].plugin.prepare is not None


#: By operator, revision and types: what onnxruntime has no kernel for, asked only once.
_without_kernel: dict[tuple, str] = {}
#: Attributes that say which type an output has.
_TYPES = ("to", "dtype", "output_dtype", "output_datatype")


def _expected(case, node, model, feeds):
    """What another runtime computes, and which; or None and why none did."""
    types = [None if x is None else x.dtype.str for x in node.inputs]
    asked = [node.attributes.get(name) for name in _TYPES]
    kernel = (case.op_type, case.opset, *types, *asked)
    reasons = []
    fault = _known(case, node, "onnxruntime")
    if fault:
        reasons.append(f"onnxruntime: {fault.why}")
    elif kernel in _without_kernel:
        reasons.append(_without_kernel[kernel])
    else:
        try:
            return of_onnxruntime(model, feeds), "onnxruntime"
        except CannotError as error:
            if error.always:
                _without_kernel[kernel] = str(error)
            reasons.append(str(error))
        except Exception as error:
            fault = _known(case, node, "onnxruntime", str(error))
            if not fault:
                raise
            reasons.append(f"onnxruntime: {fault.why}")
    fault = _known(case, node, "reference")
    if fault:
        reasons.append(f"reference: {fault.why}")
    else:
        try:
            return of_reference(model, feeds), "onnx.reference"
        except CannotError as error:
            reasons.append(str(error))
    if case.operator.by_hand is not None:
        with np.errstate(all="ignore"):
            return case.operator.by_hand(node, case), "the specification, by hand"
    return None, "; ".join(reasons)


def _known(case, node, runtime, message=None):
    """Find the fault listed for a runtime: by the node before it runs, by its error after."""
    for fault in case.operator.faults:
        if fault.runtime != runtime:
            continue
        if message is None:
            if fault.says is None and (fault.when is None or fault.when(node, case)):
                return fault
        elif fault.says is not None and re.search(fault.says, message):
            if fault.when is None or fault.when(node, case):
                return fault
    return None


def _close(mine, theirs, tolerance, source):
    if mine.dtype.isbuiltin == 2:  # of ml_dtypes
        mine, theirs = mine.astype(np.float32), theirs.astype(np.float32)
    if mine.dtype.kind not in "fc" or tolerance == 0:
        np.testing.assert_array_equal(mine, theirs, err_msg=f"as of {source}")
        if mine.dtype.kind == "f":
            signs = np.signbit(np.where(np.isnan(mine), 0, [mine, theirs]))
            np.testing.assert_array_equal(*signs, err_msg=f"signs, as of {source}")
    else:
        np.testing.assert_allclose(
            mine, theirs, rtol=tolerance, atol=tolerance, err_msg=f"as of {source}"
        )


def _same_bits(array, other, fault):
    assert array.dtype == other.dtype
    assert array.shape == other.shape
    same = (array == other).all() if array.dtype == object else array.tobytes() == other.tobytes()
    assert same, fault
