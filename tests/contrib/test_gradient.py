"""Gradient: derivatives of parts of a graph, and graphs that have none."""

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import NodeError
from tests.models import make_model, node, value

TRAINING = "ai.onnx.preview.training"
X = np.array([[0.5, -1.0, 2.0]], np.float32)
W = np.array([[1.0, -0.5], [0.25, 2.0], [-1.5, 0.75]], np.float32)


def gradient_model(xs, y, inputs, *, zs=None, constants=None, given=None):
    """A model of one layer, with the derivatives of one of its tensors."""
    nodes = [
        node("MatMul", ["x", "w"], ["p"]),
        node("Tanh", ["p"], ["h"]),
        node("ReduceSum", ["h"], ["loss"], keepdims=0),
        node(
            "Gradient",
            given or [*xs, *(zs or ())],
            [f"d_{name}" for name in xs],
            name="slope",
            domain=TRAINING,
            xs=list(xs),
            y=y,
            **({} if zs is None else {"zs": list(zs)}),
        ),
    ]
    outputs = [f"d_{name}" for name in xs]
    return make_model(nodes, inputs, outputs, constants, opset=13, domains={TRAINING: 1})


def slopes_of(x, w):
    inner = 1 - np.tanh(x.astype(np.float64) @ w) ** 2
    return inner @ w.T, x.T @ inner


def test_with_respect_to_inputs_and_to_weights():
    model = gradient_model(["x", "w"], "loss", {"x": [1, 3], "w": [3, 2]})
    for got, wanted in zip(cml.NumpyModule.from_onnx(model)(X, W), slopes_of(X, W), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_with_respect_to_constants_and_beside_them():
    model = gradient_model(["x"], "loss", {"x": [1, 3]}, constants={"w": W})
    np.testing.assert_allclose(cml.NumpyModule.from_onnx(model)(X), slopes_of(X, W)[0], rtol=1e-6)
    model = gradient_model(["w"], "loss", {"w": [3, 2]}, zs=["x"], constants={"x": X})
    np.testing.assert_allclose(cml.NumpyModule.from_onnx(model)(W), slopes_of(X, W)[1], rtol=1e-6)


def test_of_a_part_of_the_graph():
    model = gradient_model(["p"], "h", {"x": [1, 3], "w": [3, 2]})
    got = cml.NumpyModule.from_onnx(model)(X, W)
    np.testing.assert_allclose(got, 1 - np.tanh(X @ W) ** 2, rtol=1e-5)


def test_at_other_values_than_the_graph_has():
    inputs = [value("x", [1, 3]), value("w", [3, 2]), value("other", [1, 3])]
    model = gradient_model(["x"], "loss", inputs, zs=["w"], given=["other", "w"])
    got = cml.NumpyModule.from_onnx(model)(X, W, 2 * X)
    np.testing.assert_allclose(got, slopes_of(2 * X, W)[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("xs", "y", "match"),
    [
        (["x"], "loss", "'loss' depends on 'w', beside x"),
        (["x"], "nowhere", "'nowhere' depends on 'nowhere'"),
    ],
)
def test_what_does_not_depend_on_these_alone_is_refused(xs, y, match):
    model = gradient_model(xs, y, {"x": [1, 3], "w": [3, 2]})
    with pytest.raises(NodeError, match=match) as raised:
        cml.NumpyModule.from_onnx(model)(X, W)
    assert raised.value.node == "slope"


def test_names_that_do_not_fit_the_inputs_are_refused():
    model = gradient_model(["x", "w"], "loss", {"x": [1, 3], "w": [3, 2]}, given=["x"])
    with pytest.raises(NodeError, match="1 names, one for each input"):
        cml.NumpyModule.from_onnx(model)(X, W)
