"""Operators as opset 6 has them: broadcasting by `broadcast` and `axis`, models for testing."""

import numpy as np
import pytest

import cml_core as cml
from tests.one_node import (
    assert_as,
    assert_refused,
    feeds_of,
    of_onnxruntime,
    one_node,
    quantized,
    results,
)

ARITHMETIC = ["Add", "Sub", "Mul", "Div", "Pow"]
LOGICAL = ["And", "Or", "Xor"]
COMPARING = ["Equal", "Less", "Greater"]

#: Shape of A, shape of B, the axis, and where it puts B's axes among A's.
ALIGNED = [
    ((2, 3, 4, 5), (), None, 4),
    ((2, 3, 4, 5), (1, 1), None, 2),
    ((2, 3, 4, 5), (1,), 1, 1),
    ((2, 3, 4, 5), (5,), None, 3),
    ((2, 3, 4, 5), (4, 5), None, 2),
    ((2, 3, 4, 5), (3, 4), 1, 1),
    ((2, 3, 4, 5), (2,), 0, 0),
    ((2, 3, 4, 5), (3,), 1, 1),
    ((2, 3, 4, 5), (2, 3, 4, 5), None, 0),
    ((2, 3, 4, 5), (3, 1, 5), None, 1),
    ((2, 3), (2, 1), 0, 0),
    ((3, 3), (3,), 0, 0),
    ((0, 3), (3,), None, 1),
    ((), (), None, 0),
]


def operand(op_type, shape, seed, place=0):
    rng = np.random.default_rng(seed)
    if op_type in LOGICAL:
        return rng.integers(0, 2, shape).astype(bool)
    if op_type == "Equal":
        return rng.integers(0, 3, shape).astype(np.int32)
    values = rng.uniform(0.5, 2.0, shape)
    signs = rng.choice([-1.0, 1.0], shape) if (op_type, place) != ("Pow", 0) else 1.0
    return np.asarray(values * signs, dtype=np.float32)


def spread(b, rank, start):
    """B with axes of size 1 around its own."""
    return np.expand_dims(b, (*range(start), *range(start + b.ndim, rank)))


def of_opset_7(op_type, inputs, *, start, **attributes):
    a, b = inputs
    return of_onnxruntime(op_type, [a, spread(b, a.ndim, start)], opset=7)


@pytest.mark.parametrize("op_type", ARITHMETIC + LOGICAL + COMPARING)
@pytest.mark.parametrize(("a_shape", "b_shape", "axis", "start"), ALIGNED)
def test_a_part_of_the_axes(op_type, a_shape, b_shape, axis, start):
    a, b = operand(op_type, a_shape, 0), operand(op_type, b_shape, 1, 1)
    attributes = {"broadcast": 1} if axis is None else {"broadcast": 1, "axis": axis}

    def newer(op_type, inputs, **_):
        return of_opset_7(op_type, inputs, start=start)

    assert_as(newer, op_type, [a, b], opset=6, **attributes)


@pytest.mark.parametrize("op_type", ARITHMETIC + LOGICAL + COMPARING)
def test_equal_shapes_need_no_broadcasting(op_type):
    inputs = [operand(op_type, (2, 3), 0), operand(op_type, (2, 3), 1, 1)]

    def newer(op_type, inputs, **_):
        return of_onnxruntime(op_type, inputs, opset=7)

    assert_as(newer, op_type, inputs, opset=6)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
def test_integers(op_type):
    a, b = np.int32([[7, -7, 5], [4, 0, -3]]), np.int32([2, -4])
    wanted = of_onnxruntime(op_type, [a, b[:, np.newaxis]], opset=7)
    got = results(op_type, [a, b], opset=6, broadcast=1, axis=0)
    np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("op_type", ARITHMETIC + LOGICAL + COMPARING)
@pytest.mark.parametrize(
    ("a_shape", "b_shape", "attributes", "match"),
    [
        ((2, 3), (3,), {}, "B's shape is .3,., expected .2, 3., A's, without broadcast=1"),
        ((2, 3), (), {}, "without broadcast=1"),
        ((3,), (2, 3), {}, "without broadcast=1"),
        ((2, 3), (2,), {"broadcast": 1}, "B's shape is .2,., expected .3,., A's shape .2, 3. from"),
        ((2, 3), (2, 3, 1), {"broadcast": 1}, "no more axes than A's shape"),
        ((), (1,), {"broadcast": 1}, "no more axes than A's shape"),
        ((2, 1), (2, 3), {"broadcast": 1}, "from axis 0 on"),
        ((2, 3), (3,), {"broadcast": 1, "axis": 2}, "axis is 2, expected 0 to 1"),
        ((2, 3), (3,), {"broadcast": 1, "axis": -1}, "axis is -1, expected 0 to 1"),
        ((2, 3), (2, 3), {"broadcast": 1, "axis": 1}, "axis is 1, expected 0 to 0"),
        ((2, 3, 4), (2, 4), {"broadcast": 1, "axis": 0}, "expected .2, 3., A's shape"),
    ],
)
def test_shapes_that_do_not_align_are_refused(op_type, a_shape, b_shape, attributes, match):
    inputs = [operand(op_type, a_shape, 0), operand(op_type, b_shape, 1, 1)]
    assert_refused(match, op_type, inputs, opset=6, **attributes)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", *LOGICAL, *COMPARING])
@pytest.mark.parametrize("encrypted", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_parts_under_encryption(op_type, encrypted, axis):
    a, b = operand(op_type, (2, 3, 2), 0), operand(op_type, (2, 3, 2)[axis], 1, 1)
    options = {"n_bits": 8, "opset": 6, "broadcast": 1, "axis": axis}
    _, error = quantized(op_type, [a, b], encrypted=encrypted, **options)
    assert error <= (0.03 if op_type in ARITHMETIC else 0.0)


def test_a_power_under_encryption():
    x, y = operand("Pow", (2, 3, 2), 0), operand("Pow", (3,), 1, 1)
    for encrypted in (0,), (1,):
        _, error = quantized("Pow", [x, y], encrypted=encrypted, opset=6, broadcast=1, axis=1)
        assert error < 0.03


def test_bad_shapes_are_refused_under_encryption():
    with pytest.raises(cml.CmlError, match="axis is 2, expected 0 to 1"):
        a, b = operand("Add", (2, 3), 0), operand("Add", (3,), 1)
        quantized("Add", [a, b], encrypted=(0, 1), opset=6, broadcast=1, axis=2)


@pytest.mark.parametrize("opset", range(1, 7))
def test_a_bias_along_the_channels(opset):
    """ONNX's version converter would lay it along other axes on the way to opset 7."""
    a, b = operand("Add", (2, 3, 4, 5), 0), operand("Add", (3,), 1)
    model = one_node("Add", [a, b], opset=opset, broadcast=1, axis=1)
    (got,) = cml.NumpyModule.from_onnx(model).run(feeds_of([a, b])).values()
    np.testing.assert_array_equal(got, a + b[:, np.newaxis, np.newaxis])


@pytest.mark.parametrize(
    ("shape", "slopes"),
    [((2, 3), (3,)), ((2, 3, 4), (3,)), ((2, 3, 4, 5), (1,)), ((4,), (1,)), ((2, 3), ())],
)
def test_slopes_along_the_channels(shape, slopes):
    x, slope = operand("PRelu", shape, 0), operand("PRelu", slopes, 1)
    aligned = spread(slope, x.ndim, 1) if slope.size > 1 else slope.reshape(())
    wanted = np.where(x < 0, x * aligned, x)
    (got,) = results("PRelu", [x, slope], opset=6)
    np.testing.assert_array_equal(got, wanted, strict=True)
    for encrypted in (0,), (1,), (0, 1):
        assert quantized("PRelu", [x, slope], encrypted=encrypted, opset=6)[1] < 0.03


@pytest.mark.parametrize(
    ("shape", "slopes"), [((2, 3), (2,)), ((2, 3, 4), (3, 4)), ((3,), (3,)), ((2, 3), (3, 1))]
)
def test_slopes_of_another_shape_are_refused(shape, slopes):
    inputs = [operand("PRelu", shape, 0), operand("PRelu", slopes, 1)]
    assert_refused("a slope for each channel", "PRelu", inputs, opset=6)


@pytest.mark.parametrize("c_shape", [(2, 4), (4,), (1, 4), (2, 1), (1,), ()])
@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_broadcasts_if_it_says_so(c_shape, transposed):
    a, b, c = (operand("Gemm", shape, k) for k, shape in enumerate([(2, 3), (3, 4), c_shape]))
    a, b = (a.T.copy(), b.T.copy()) if transposed else (a, b)
    attributes = {"transA": transposed, "transB": transposed, "alpha": 0.5, "beta": 2.0}
    wanted = of_onnxruntime("Gemm", [a, b, c], opset=7, **attributes)
    got = results("Gemm", [a, b, c], opset=6, broadcast=1, **attributes)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    for encrypted in (0,), (0, 2):
        options = {"encrypted": encrypted, "opset": 6, "broadcast": 1, **attributes}
        assert quantized("Gemm", [a, b, c], **options)[1] < 0.03
    if c_shape != (2, 4):
        match = "expected .2, 4., without broadcast=1"
        assert_refused(match, "Gemm", [a, b, c], opset=6, **attributes)


@pytest.mark.parametrize("c_shape", [(2,), (3, 4), (1, 2, 4), (4, 2)])
def test_gemm_refuses_what_does_not_broadcast_to_the_product(c_shape):
    inputs = [operand("Gemm", shape, k) for k, shape in enumerate([(2, 3), (3, 4), c_shape])]
    assert_refused("broadcasts to .2, 4.", "Gemm", inputs, opset=6, broadcast=1)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 2, 2)])
@pytest.mark.parametrize("spatial", [0, 1])
def test_batch_normalization_of_a_model_for_testing(shape, spatial):
    size = shape[1:2] if spatial else shape[1:]
    x = operand("BatchNormalization", shape, 0)
    scale, bias, mean, var = (operand("Pow", size, seed) for seed in range(1, 5))
    by = (..., *(np.newaxis,) * (len(shape) - 1 - len(size)))
    wanted = (x - mean[by]) / np.sqrt(var[by] + np.float32(0.1)) * scale[by] + bias[by]
    options = {"opset": 6, "spatial": spatial, "epsilon": 0.1}
    inputs = [x, scale, bias, mean, var]
    (got,) = results("BatchNormalization", inputs, is_test=1, **options)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    encrypted = {"encrypted": (0,), "is_test": 1, **options}
    assert quantized("BatchNormalization", inputs, **encrypted)[1] < 0.03
    assert_refused("is_test is 0, expected 1", "BatchNormalization", inputs, **options)


def test_dropout_of_a_model_for_testing():
    x = operand("Dropout", (2, 3), 0)
    for attributes in {"is_test": 1}, {"is_test": 1, "ratio": 0.9}, {"ratio": 0.0}:
        got, mask = results("Dropout", [x], opset=6, n_outputs=2, **attributes)
        np.testing.assert_array_equal(got, x, strict=True)
        np.testing.assert_array_equal(mask, np.ones_like(x), strict=True)
    assert_refused("is_test is 0, expected 1", "Dropout", [x], opset=6)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 3]},
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
        {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER", "strides": [2, 1]},
        {"kernel_shape": [2, 2], "auto_pad": "VALID", "strides": [3, 2]},
    ],
)
def test_average_pool_leaves_the_padding_out(attributes):
    x = operand("AveragePool", (2, 3, 5, 6), 0)

    def newer(op_type, inputs, **_):
        return of_onnxruntime(op_type, inputs, opset=7, count_include_pad=0, **attributes)

    assert_as(newer, "AveragePool", [x], opset=6, **attributes)
    assert quantized("AveragePool", [x], encrypted=(0,), opset=6, **attributes)[1] < 0.03


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (2.0, 3.0), (1.5, 2.25), (1.0, 1.3)])
def test_upsample_takes_the_scales_of_height_and_width(mode, scales):
    x = operand("Upsample", (2, 3, 4, 5), 0)
    attributes = {"mode": mode, "height_scale": scales[0], "width_scale": scales[1]}

    def newer(op_type, inputs, **_):
        linear = mode.replace("bilinear", "linear")
        return of_onnxruntime(op_type, inputs, opset=7, mode=linear, scales=[1.0, 1.0, *scales])

    assert_as(newer, "Upsample", [x], opset=6, **attributes)
    assert quantized("Upsample", [x], encrypted=(0,), opset=6, **attributes)[1] < 0.03


def test_upsample_refuses_other_shapes_modes_and_scales():
    x, scales = operand("Upsample", (1, 1, 2, 2), 0), {"height_scale": 2.0, "width_scale": 2.0}
    assert_refused("four axes", "Upsample", [x[0]], opset=6, **scales)
    assert_refused("mode is 'linear'", "Upsample", [x], opset=6, mode="linear", **scales)
    assert_refused("1 or more", "Upsample", [x], opset=6, height_scale=2.0, width_scale=0.5)


@pytest.mark.parametrize(("op_type", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("output_sequence", [0, 1])
def test_recurrent_layers(op_type, gates, direction, output_sequence):
    rng, count = np.random.default_rng(0), 1 + (direction == "bidirectional")
    shapes = (4, 3, 2), (count, 2 * gates, 2), (count, 2 * gates, 2), (count, 4 * gates)
    x, w, r, b = (rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes)
    inputs = [x, w, r, b, np.int32([4, 2, 3])]
    attributes = {"hidden_size": 2, "direction": direction}

    def newer(op_type, inputs, *, n_outputs, **_):
        return of_onnxruntime(op_type, inputs, opset=7, n_outputs=n_outputs, **attributes)

    n_outputs = 3 if op_type == "LSTM" else 2
    options = {"output_sequence": output_sequence, **attributes}
    assert_as(newer, op_type, inputs, opset=6, n_outputs=n_outputs, **options)
    _, error = quantized(op_type, inputs, encrypted=(0,), opset=6, n_bits=6, **options)
    assert error < 0.1


@pytest.mark.parametrize("op_type", ["RNN", "GRU", "LSTM"])
def test_the_sequence_of_a_recurrent_layer_may_be_left_out(op_type):
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type]
    inputs = [operand(op_type, (1, gates, 1), seed) for seed in (0, 1)]
    inputs.insert(0, operand(op_type, (3, 1, 1), 2))
    whole, last = results(op_type, inputs, opset=6, n_outputs=2)
    model = one_node(op_type, inputs, opset=6, n_outputs=2, output_sequence=0)
    model.graph.node[0].output[0] = ""
    del model.graph.output[0]
    (got,) = cml.NumpyModule.from_onnx(model).run(feeds_of(inputs)).values()
    np.testing.assert_array_equal(got, last, strict=True)
    np.testing.assert_array_equal(got, whole[-1], strict=True)
