"""Models of one node, and what other runtimes make of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

import cml_core as cml
from cml_core.errors import NodeError


def one_node(op_type, inputs, *, opset, n_outputs=1, constants=(), **attributes):
    """A model of one node; inputs are arrays, None where one is left out.

    Those at the positions in `constants` are constants of the model.
    """
    names = ["" if array is None else f"input{k}" for k, array in enumerate(inputs)]
    given = {k: np.asarray(array) for k, array in enumerate(inputs) if array is not None}
    outputs = [f"output{k}" for k in range(n_outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, name="node", **attributes)],
        "one_node",
        [
            helper.make_tensor_value_info(
                names[k], helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for k, array in given.items()
            if k not in constants
        ],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(given[k], names[k]) for k in constants if k in given],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def feeds_of(inputs, constants=()):
    return {
        f"input{k}": np.asarray(array)
        for k, array in enumerate(inputs)
        if array is not None and k not in constants
    }


def results(op_type, inputs, **options):
    """What cml's float reference makes of a node."""
    model = one_node(op_type, inputs, **options)
    return list(cml.NumpyModule.from_onnx(model).run(feeds_of(inputs)).values())


def of_onnxruntime(op_type, inputs, **options):
    onnxruntime = pytest.importorskip("onnxruntime")
    model = one_node(op_type, inputs, **options)
    # It takes a model whose outputs have no type, but not one of an undefined type.
    for output in model.graph.output:
        output.ClearField("type")
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), quiet, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds_of(inputs))


def of_reference(op_type, inputs, **options):
    model = one_node(op_type, inputs, **options)
    return onnx.reference.ReferenceEvaluator(model).run(None, feeds_of(inputs))


def assert_as(other, op_type, inputs, *, tolerance=1e-5, **options):
    """The float reference gives what another runtime gives, and leaves its inputs alone."""
    copies = [None if array is None else np.array(array) for array in inputs]
    got, wanted = results(op_type, inputs, **options), other(op_type, copies, **options)
    for mine, theirs in zip(got, wanted, strict=True):
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape
        if mine.dtype.kind in "iub":
            np.testing.assert_array_equal(mine, theirs)
        else:
            np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    for array, copy in zip(inputs, copies, strict=True):
        assert array is None or np.array_equal(array, copy)


def assert_refused(match, op_type, inputs, **options):
    """The float reference refuses a node, by an error that says why."""
    with pytest.raises(NodeError, match=match):
        results(op_type, inputs, **options)


def shuffled(rng, feeds):
    """Other samples with the same values."""
    return {
        name: rng.permuted(array.reshape(-1)).reshape(array.shape) for name, array in feeds.items()
    }


def quantized(op_type, inputs, *, encrypted, n_bits=8, samples=20, tail="server", **options):
    """A one-node model on integers, the inputs at the positions in `encrypted` encrypted.

    It is calibrated on the inputs and on shuffled ones, and compared on some of each.

    Returns
    -------
    The quantized module, and its largest error relative to the range of each output.
    """
    constants = tuple(k for k in range(len(inputs)) if k not in encrypted)
    model = one_node(op_type, inputs, constants=constants, **options)
    module, feeds = cml.NumpyModule.from_onnx(model), feeds_of(inputs, constants)
    rng = np.random.default_rng(0)
    several = [feeds, *(shuffled(rng, feeds) for _ in range(samples - 1))]
    stacked = {name: np.stack([one[name] for one in several]) for name in feeds}
    config = cml.QuantConfig.with_bits(n_bits, tail=tail)
    integers = cml.quantize(module, stacked, config)
    wanted, got = ([run(one) for one in several[:5]] for run in (module.run, integers.run))
    errors = [0.0]
    for name in wanted[0]:
        want, have = (np.stack([one[name] for one in all_]) for all_ in (wanted, got))
        assert have.dtype == want.dtype
        want, have = want.astype(np.float64), have.astype(np.float64)
        if want.size and np.ptp(want):
            errors.append(np.abs(have - want).max() / np.ptp(want))
    return integers, max(errors)
