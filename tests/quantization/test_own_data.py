"""What a model was calibrated on never leaves its ranges."""

import warnings
from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import cml_core as cml


def network(rng, sizes):
    nodes, constants, last = [], [], "x"
    for k, (a, b) in enumerate(pairwise(sizes)):
        weight, bias = rng.normal(size=(a, b)), rng.normal(size=b)
        for name, value in ((f"w{k}", weight), (f"b{k}", bias)):
            constants.append(onnx.numpy_helper.from_array(value.astype("f"), name))
        nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [f"g{k}"]))
        last = f"g{k}"
        if k < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [last], [f"r{k}"]))
            last = f"r{k}"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", sizes[0]])
    y = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", sizes[-1]])
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@pytest.mark.parametrize("rounding", ["exact", "approximate"])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_samples_of_the_calibration_stay_in_all_ranges(bits, rounding, margin):
    # Without what keeps them in, at least one of these leaves at 3 bits, and at 4 without a margin.
    for seed in (8, 20, 38, 47, 53):
        rng = np.random.default_rng(seed)
        module = cml.NumpyModule.from_onnx(network(rng, (3, 4, 5, 2)))
        x = rng.uniform(-1, 1, (120, 3)).astype("f")
        config = cml.QuantConfig.with_bits(bits, rounding=rounding, margin=margin)
        quantized = cml.quantize(module, x, config)
        with warnings.catch_warnings():
            warnings.simplefilter("error", cml.OverflowWarning)
            quantized(x)
