"""Adagrad, Adam and Momentum: one step of training, against the onnx package's reference."""

import numpy as np
import onnx.reference
import pytest
from onnx import helper

import cml_core as cml
from cml_core.errors import NodeError

DOMAIN = "ai.onnx.preview.training"
SETTINGS = {
    "Adagrad": [{}, {"norm_coefficient": 0.1, "decay_factor": 0.2, "epsilon": 1e-3}],
    "Adam": [{}, {"norm_coefficient": 0.1, "norm_coefficient_post": 0.2, "alpha": 0.5}],
    "Momentum": [
        {"norm_coefficient": 0.1, "alpha": 0.9, "beta": 0.5, "mode": mode}
        for mode in ("standard", "nesterov")
    ],
}
#: How many tensors belong to one that is optimized.
KINDS = {"Adagrad": 3, "Adam": 4, "Momentum": 3}
CASES = [(op_type, settings) for op_type in SETTINGS for settings in SETTINGS[op_type]]


def step_model(op_type, tensors, n_outputs, **attributes):
    names = [f"input{k}" for k in range(len(tensors))]
    outputs = [f"output{k}" for k in range(n_outputs)]
    graph = helper.make_graph(
        [helper.make_node(op_type, names, outputs, domain=DOMAIN, name="node", **attributes)],
        "step",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(tensor.dtype), tensor.shape
            )
            for name, tensor in zip(names, tensors, strict=True)
        ],
        [helper.make_tensor_value_info(name, 0, None) for name in outputs],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return model, dict(zip(names, tensors, strict=True))


def step(op_type, tensors, n_outputs, **attributes):
    model, feeds = step_model(op_type, tensors, n_outputs, **attributes)
    return list(cml.NumpyModule.from_onnx(model).run(feeds).values())


def tensors_of(op_type, count, *shapes, dtype=np.float32):
    rng = np.random.default_rng(0)
    tensors = (rng.uniform(0.1, 2, shape).astype(dtype) for shape in shapes * KINDS[op_type])
    return [np.float32(0.1), np.array(count), *tensors]


@pytest.mark.parametrize(("op_type", "settings"), CASES)
@pytest.mark.parametrize("count", [0, 1, 7])
@pytest.mark.parametrize("shapes", [[(3,)], [(2, 3), ()], [(0,), (1,), (2, 2)]])
def test_one_step_is_that_of_the_reference(op_type, settings, count, shapes):
    tensors = tensors_of(op_type, count, *shapes)
    n_outputs = len(shapes) * (KINDS[op_type] - 1)
    model, feeds = step_model(op_type, tensors, n_outputs, **settings)
    wanted = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    for mine, theirs in zip(step(op_type, tensors, n_outputs, **settings), wanted, strict=True):
        assert mine.dtype == np.float32 and mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("op_type", "settings"), CASES)
def test_steps_in_double_precision_stay_there(op_type, settings):
    tensors = tensors_of(op_type, 2, (3,), dtype=np.float64)
    found = step(op_type, tensors, KINDS[op_type] - 1, **settings)
    assert {array.dtype for array in found} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("match", "op_type", "tensors", "attributes"),
    [
        ("number of inputs", "Adagrad", tensors_of("Adagrad", 0, (2,))[:-1], {}),
        ("number of inputs", "Adam", [*tensors_of("Adam", 0, (2,)), np.ones(2, "f")], {}),
        (r"shape of gradients is \(1,\), expected \(2,\)", "Adagrad", None, {}),
        ("shape of T", "Adam", [np.float32(1), np.array([1, 2]), *[np.ones(2, "f")] * 4], {}),
        ("mode is 'plain'", "Momentum", tensors_of("Momentum", 0, (2,)), {"mode": "plain"}),
    ],
)
def test_what_does_not_fit_is_refused(match, op_type, tensors, attributes):
    if tensors is None:
        tensors = tensors_of(op_type, 0, (2,))
        tensors[3] = tensors[3][:1]
    if op_type == "Momentum":
        attributes = {**SETTINGS[op_type][0], **attributes}
    with pytest.raises(NodeError, match=match):
        step(op_type, tensors, 2, **attributes)
