"""Models of one node of ai.onnx.ml, and what onnxruntime makes of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cml_core as cml

ML = "ai.onnx.ml"


def model_of(op_type, inputs, *, version=1, n_outputs=1, opset=15, constants=(), **attributes):
    """A model of one node; inputs at the positions in `constants` are constants of the model."""
    arrays = [np.asarray(array) for array in inputs]
    names = [f"input{k}" for k in range(len(arrays))]
    outputs = [f"output{k}" for k in range(n_outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, name="node", domain=ML, **attributes)],
        "one_node",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for k, (name, array) in enumerate(zip(names, arrays, strict=True))
            if k not in constants
        ],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(arrays[k], names[k]) for k in constants],
    )
    imports = [helper.make_opsetid(ML, version), helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def feeds_of(inputs, constants=()):
    return {f"input{k}": np.asarray(a) for k, a in enumerate(inputs) if k not in constants}


def session_of(model):
    """An onnxruntime session that says nothing."""
    onnxruntime = pytest.importorskip("onnxruntime")
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    return onnxruntime.InferenceSession(model, quiet, providers=["CPUExecutionProvider"])


def of_onnxruntime(op_type, inputs, **options):
    model = model_of(op_type, inputs, **options)
    # It takes a model whose outputs have no type, but not one of an undefined type.
    for output in model.graph.output:
        output.ClearField("type")
    return session_of(model).run(None, feeds_of(inputs, options.get("constants", ())))


def of_cml(op_type, inputs, *, expanded=False, **options):
    module = cml.NumpyModule.from_onnx(model_of(op_type, inputs, **options))
    module = module.expanded if expanded else module
    return list(module.run(feeds_of(inputs, options.get("constants", ()))).values())


def assert_same(got, wanted, tolerance=1e-5):
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    if got.dtype.kind == "f":
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(got, wanted)


def assert_as_onnxruntime(op_type, inputs, *, tolerance=1e-5, **options):
    """cml and the body, if there is one, give what onnxruntime gives, and leave inputs alone."""
    copies = [np.array(array) for array in inputs]
    wanted = of_onnxruntime(op_type, copies, **options)
    for expanded in (False, True):
        got = of_cml(op_type, inputs, expanded=expanded, **options)
        for mine, theirs in zip(got, wanted, strict=True):
            assert_same(mine, theirs, tolerance)
    for array, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
