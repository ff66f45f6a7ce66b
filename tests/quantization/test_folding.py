"""Two linear layers with nothing in between become one product."""

import numpy as np
import pytest

import cml_core as cml
from cml_core.program.instructions import Opcode
from tests.networks import Net, samples


def quantize(model, data, n_bits=6):
    module = cml.NumpyModule.from_onnx(model)
    return module, cml.quantize(module, data, n_bits=n_bits)


def count(quantized, opcode):
    return sum(i.opcode is opcode for i in quantized.program.instructions)


def signal_to_noise(reference, result):
    noise = np.square(result - reference).mean()
    return 10 * np.log10(np.square(reference - reference.mean()).mean() / noise)


@pytest.mark.parametrize("between", ["nothing", "batch norm", "two more"])
def test_dense_layers_in_a_row(between):
    net = Net(["batch", 8])
    x = net.dense("x", 8, 12)
    if between == "batch norm":
        x = net.batch_norm(x, 12)
    if between == "two more":
        x = net.dense(net.dense(x, 12, 7), 7, 12)
    x = net.add("Relu", net.dense(x, 12, 6))
    data = samples([8], 200)
    module, quantized = quantize(net.model(net.dense(x, 6, 3)), data)
    assert count(quantized, Opcode.MATMUL) == 2
    assert quantized.report().lookups == 6
    assert signal_to_noise(module(data), quantized(data)) > 24


def test_a_pointwise_convolution_after_another():
    net = Net(["batch", 2, 5, 5])
    x = net.add("Conv", "x", net.normal(6, 2, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2])
    x = net.add("Conv", net.batch_norm(x, 6), net.normal(4, 6, 1, 1), net.constant(np.ones(4)))
    data = samples([2, 5, 5], 100)
    module, quantized = quantize(net.model(net.add("Relu", x)), data)
    assert count(quantized, Opcode.CONV) == 1
    assert signal_to_noise(module(data), quantized(data)) > 24


def test_a_narrow_layer_that_saves_work_stays():
    net = Net(["batch", 96])
    x = net.dense(net.dense("x", 96, 1), 1, 96)
    _, quantized = quantize(net.model(x), samples([96], 50))
    assert count(quantized, Opcode.MATMUL) == 2


def test_what_is_also_read_elsewhere_is_still_computed():
    net = Net(["batch", 5])
    first = net.dense("x", 5, 5)
    data = samples([5], 100)
    module, quantized = quantize(net.model(first, net.dense(first, 5, 2)), data)
    for wanted, got in zip(module(data), quantized(data), strict=True):
        assert signal_to_noise(wanted, got) > 24


def conv_then_matmul(net, weight, matrix):
    return net.add("MatMul", net.add("Conv", "x", net.constant(weight)), net.constant(matrix))


def matmul_then_conv(net, weight, matrix):
    return net.add("Conv", net.add("MatMul", "x", net.constant(matrix)), net.constant(weight))


@pytest.mark.parametrize("build", [conv_then_matmul, matmul_then_conv])
@pytest.mark.parametrize(
    ("weight", "matrix"),
    [
        (np.ones((4, 2, 1, 1)), (4, 4)),
        (np.ones((4, 2, 3, 3)), (4, 4)),
        (np.full((1, 2, 1, 1), 2.0), (4, 3)),
        (np.random.default_rng(1).normal(size=(1, 2, 3, 3)), (5, 3)),
    ],
)
def test_layers_over_different_axes_are_not_one_product(build, weight, matrix):
    side = matrix[0] + (weight.shape[2] - 1 if build is conv_then_matmul else 0)
    net = Net(["batch", 2, 6, side])
    output = build(net, weight, np.random.default_rng(2).normal(size=matrix))
    data = samples([2, 6, side], 60)
    module, quantized = quantize(net.model(output), data, n_bits=8)
    assert quantized(data).shape == module(data).shape
    assert signal_to_noise(module(data), quantized(data)) > 30


def test_one_product_keeps_the_type_that_the_tail_and_other_runtimes_expect():
    onnxruntime = pytest.importorskip("onnxruntime")
    net = Net(["batch", 4])
    x = net.dense(net.dense("x", 4, 3), 3, 2)
    output = net.add("Clip", x, net.constant(-1.0), net.constant(2.0))
    data = samples([4], 60)
    _, quantized = quantize(net.model(output), data)
    assert [code.dtype for code in quantized.client.outputs] == [np.float32]
    content = quantized.to_onnx().SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": data})[0], quantized(data))


@pytest.mark.parametrize("parts", ["product and input", "two products", "other inputs"])
def test_products_side_by_side_are_one_product(parts):
    net = Net(["batch", 6])
    scaled = net.add("Mul", "x", net.constant(np.linspace(0.5, 3, 6)))
    product = net.add("MatMul", scaled, net.constant(100 * net.rng.normal(size=(6, 3))))
    other, width = (scaled, 6) if parts == "product and input" else (net.dense("x", 6, 4), 4)
    if parts == "other inputs":
        other, width = net.dense(net.add("Relu", net.dense("x", 6, 4)), 4, 4), 4
    both = net.add("Concat", product, other, axis=1)
    # What is large in one part cancels out against nothing: all parts matter.
    weights = np.concatenate([net.rng.normal(0, 0.01, (3, 2)), net.rng.normal(size=(width, 2))])
    output = net.add("MatMul", both, net.constant(weights))
    data = samples([6], 300)
    module, quantized = quantize(net.model(output), data, n_bits=8)
    joined = count(quantized, Opcode.MATMUL) == 1
    assert joined == (parts != "other inputs")
    assert signal_to_noise(module(data), quantized(data)) > (35 if joined else 10)
