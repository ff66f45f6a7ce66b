"""The client's part: shapes within it, samples one by one, and what is no number."""

import numpy as np
import onnx
import pytest

import cml_core as cml
from cml_core.errors import ExportError, InputShapeError, NodeError, QuantizationError
from cml_core.quantization.client import SaturationWarning
from tests.models import make_model, node, plugin, registry_with
from tests.networks import Net, samples


def images(count=8):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 2, 5, 5)).astype(np.float32)


def convolved(net):
    weight = np.random.default_rng(1).normal(size=(3, 2, 2, 2))
    return net.add("Conv", "x", net.constant(weight))


def quantized_of(net, output, data, **options):
    module = cml.NumpyModule.from_onnx(net.model(output))
    return module, cml.quantize(module, data, cml.QuantConfig.with_bits(8, **options))


def flattened_by_its_own_shape():
    """What the client computes has a shape of its own to ask for."""
    net = Net(["batch", 2, 5, 5])
    x = net.add("Relu", convolved(net))
    count = net.add("Gather", net.add("Shape", x), net.constant(np.int64([0])))
    shape = net.add("Concat", count, net.constant(np.int64([-1])), axis=0)
    return net, net.add("Reshape", x, shape)


def as_many_as_inputs():
    """What the client computes takes a shape from the server's part."""
    net = Net(["batch", 2, 5, 5])
    shape = net.add("Concat", net.add("Shape", "x", end=1), net.constant(np.int64([-1])), axis=0)
    return net, net.add("Reshape", net.add("Relu", convolved(net)), shape)


def shaped_as_a_tensor_of_the_server():
    """As a group normalization is written out."""
    net = Net(["batch", 2, 5, 5])
    x = convolved(net)
    flat = net.add("Flatten", net.add("Relu", x))
    return net, net.add("Reshape", flat, net.add("Shape", x))


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize(
    "build", [flattened_by_its_own_shape, as_many_as_inputs, shaped_as_a_tensor_of_the_server]
)
def test_shapes_in_the_tail_are_those_of_the_batch(build, count, tmp_path):
    module, quantized = quantized_of(*build(), images())
    assert len(quantized.client.outputs) == 1
    wanted, got = module(images(count)), quantized(images(count))
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, atol=0.1)
    quantized.save(tmp_path / "m.cml")
    np.testing.assert_array_equal(cml.QuantizedModule.load(tmp_path / "m.cml")(images(count)), got)


def test_a_tail_that_takes_a_samples_shape_knows_that_of_none():
    _, quantized = quantized_of(*as_many_as_inputs(), images())
    assert quantized(images(0)).shape == (0, *quantized(images(1)).shape[1:])


def test_a_tail_that_takes_a_samples_shape_is_not_exported(tmp_path):
    _, quantized = quantized_of(*as_many_as_inputs(), images())
    with pytest.raises(ExportError, match="all samples at once"):
        quantized.to_onnx(tmp_path / "m.onnx")


def test_a_root_of_what_is_never_negative_is_a_number():
    net = Net(["batch", 2, 5, 5])
    x = net.add("Relu", convolved(net))
    x = net.add("AveragePool", net.add("Mul", x, x), kernel_shape=[2, 2], strides=[2, 2])
    _, quantized = quantized_of(net, net.add("Sqrt", x), images(40))
    assert np.isfinite(quantized(images(40))).all()
    assert all(
        (code.decode(np.zeros((1, *code.size))) >= 0).all() for code in quantized.client.outputs
    )


def test_nan_is_called_what_it_is():
    net = Net(["batch", 4])
    data = samples([4])
    _, quantized = quantized_of(net, net.dense("x", 4, 3), data)
    x = data[:3].copy()
    x[1, 2] = np.nan
    with pytest.warns(SaturationWarning, match="1 of 3 samples have NaN in input 'x'") as said:
        quantized(x)
    assert len(said) == 1
    x[0, 0] = 1e6
    with pytest.warns(SaturationWarning) as said:
        quantized(x)
    assert ["NaN" in str(one.message) for one in said] == [True, False]
    assert "1 of 3 samples have values" in str(said[1].message)


def test_a_single_sample_for_calibration_leaves_one_scale_for_all_elements():
    net = Net(["batch", 4])
    data = samples([4])[:1]
    _, quantized = quantized_of(net, net.dense("x", 4, 3), data, input_scales="each")
    assert isinstance(quantized.client.inputs[0].scale, float)
    assert np.isfinite(quantized(data)).all()


def leaves(*args, **attributes):
    raise SystemExit(0)


def test_an_operator_that_exits_fails_its_node():
    exits = plugin("Exits", numpy_op=leaves)
    model = make_model(
        [node("Exits", ["x"], ["y"], domain="test")],
        {"x": ["batch", 2]},
        ["y"],
        domains={"test": 1},
    )
    module = cml.NumpyModule.from_onnx(model, registry=registry_with(exits=exits))
    with pytest.raises(NodeError, match="SystemExit: 0"):
        module(np.zeros((1, 2), np.float32))


def test_a_quantized_form_that_exits_fails_its_node():
    exits = plugin("Exits", numpy_op=lambda x: (x,), quantized_op=leaves)
    model = make_model(
        [node("Exits", ["x"], ["y"], domain="test")],
        {"x": ["batch", 2]},
        ["y"],
        domains={"test": 1},
    )
    module = cml.NumpyModule.from_onnx(model, registry=registry_with(exits=exits))
    with pytest.raises(QuantizationError, match="SystemExit"):
        cml.quantize(module, np.eye(2, dtype=np.float32), cml.QuantConfig(tail="server"))


def test_an_output_that_is_constant_after_all_has_a_row_for_each_sample():
    net = Net(["batch", 4])
    x = net.add("Softmax", net.dense("x", 4, 1))
    output = net.add("MatMul", x, net.constant([[1.0, 2.0]]))
    _, quantized = quantized_of(net, output, samples([4]))
    for count in (1, 3, 0):
        np.testing.assert_array_equal(
            quantized(samples([4])[:count]), [[1.0, 2.0]] * count if count else np.zeros((0, 2))
        )


def test_the_client_computes_graphs_within_nodes():
    """What a branch needs is bound with the tail, though no node of the tail's own is of it."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[1, 4] x) => (float[1, 2] y) '
        "<float[4, 2] w = {1., -1., 0.5, 2., -0.5, 1., 1., 0.25}, float[1] limit = {3.0}> "
        "{ h = MatMul (x, w) top = ReduceMax <keepdims = 0> (h) high = Greater (top, limit) "
        "y = If (high) <then_branch = a () => (float[1, 2] p) { p = Tanh (h) }, "
        "else_branch = b () => (float[1, 2] q) { q = Neg (h) }> }"
    )
    module, x = cml.NumpyModule.from_onnx(model), samples([4], 50)
    quantized = cml.quantize(module, x, n_bits=8)
    each = np.concatenate([module(x[i : i + 1]) for i in range(10)])
    np.testing.assert_allclose(quantized(x[:10]), each, atol=0.1)


TIME_MAJOR = (
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 3, 4] x) => (float[{out}] y) '
    "<float[4, 2] w = {{1., -1., 0.5, 2., -0.5, 1., 1., 0.25}}, int64[1] zero = {{0}}, "
    "int64[1] one = {{1}}> {{ t = Transpose <perm = [1, 0, 2]> (x) "
    "first = Slice (t, zero, one, zero) a = MatMul (first, w) {rest} }}"
)


@pytest.mark.parametrize(
    ("out", "rest"),
    [
        ("N, 2", "r = Tanh (a) y = Squeeze (r, zero)"),
        ("1, N, 2", "y = Softmax <axis = 0> (a)"),
    ],
)
def test_a_tail_whose_batch_is_not_the_first_axis_is_computed_sample_by_sample(out, rest):
    """Stacked along the first axis, samples would be added to each other, or have one more axis."""
    module = cml.NumpyModule.from_onnx(
        onnx.parser.parse_model(TIME_MAJOR.format(out=out, rest=rest))
    )
    x = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float32)
    quantized = cml.quantize(module, x, n_bits=6)
    y, wanted = quantized(x[:5]), module(x[:5])
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y, wanted, atol=0.2)
    axis = wanted.shape.index(5)
    alone = np.concatenate([quantized(x[i : i + 1]) for i in range(5)], axis=axis)
    np.testing.assert_allclose(y, alone, atol=1e-6)
    with pytest.raises(ExportError, match="all samples at once"):
        quantized.to_onnx()


@pytest.mark.parametrize(
    ("shape", "body", "calibrated", "given"),
    [
        ("n, t, 4", "h = MatMul (x, w) y = Relu (h)", (40, 6, 4), (5, 3, 4)),
        ("3, n, 4", "h = MatMul (x, w) y = Relu (h)", (3, 40, 4), (3, 3, 4)),
        (
            "n, 1, h, w",
            "c = Conv (x, k) r = Relu (c) y = GlobalAveragePool (r)",
            (40, 1, 6, 6),
            (5, 1, 8, 8),
        ),
    ],
)
def test_other_open_sizes_than_it_was_quantized_for_are_refused(shape, body, calibrated, given):
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> g (float[{shape}] x) => (float y) '
        "<float[4, 2] w = {1., -1., 0.5, 2., -0.5, 1., 1., 0.25}, "
        f"float[1, 1, 2, 2] k = {{1., 2., -1., 0.5}}> {{ {body} }}"
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    rng = np.random.default_rng(0)
    module = cml.NumpyModule.from_onnx(model)
    quantized = cml.quantize(module, rng.normal(size=calibrated).astype(np.float32), n_bits=6)
    with pytest.raises(InputShapeError, match="the sizes that it was quantized for"):
        quantized(rng.normal(size=given).astype(np.float32))


def test_a_file_whose_tail_cannot_compute_zeros_is_read(tmp_path):
    """Whole numbers are divided by what is decrypted, which is never zero in use."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N, 2] x) => (int64[N, 2] y) '
        "<float[2, 2] w = {1., 0., 0., 1.}, int64 number = {12}> "
        "{ h = MatMul (x, w) k = Cast <to = 7> (h) y = Div (number, k) }"
    )
    x = np.random.default_rng(0).integers(2, 5, (40, 2)).astype(np.float32)
    quantized = cml.quantize(cml.NumpyModule.from_onnx(model), x, n_bits=8)
    quantized.save(tmp_path / "m.cml")
    again = cml.QuantizedModule.load(tmp_path / "m.cml")
    np.testing.assert_array_equal(again(x), quantized(x))
