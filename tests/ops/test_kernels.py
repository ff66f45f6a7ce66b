"""Fast paths of the float operators: odd shapes and types, beside a direct computation.

Every case is computed twice, with weights that are constants of the model (prepared once) and
with weights that are inputs. Arrays are read-only, so that an operator which writes to one fails.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import cml_core as cml
from cml_core.plugin_api import UNKNOWN
from cml_core.program import kernels
from cml_core.program.kernels import conv_nd
from cml_ops_builtin._shared import (
    blocks,
    normalizing,
    ordering,
    resizing,
    softmaxes,
    stepping,
    windows,
)
from cml_ops_builtin._shared.erf import erf
from cml_ops_builtin._shared.sigmoid import sigmoid
from cml_ops_builtin.gemm import prepare as gemm_prepare
from tests.one_node import feeds_of, of_onnxruntime, one_node

FLOATS = [np.float16, np.float32, np.float64]
TOLERANCE = {np.float16: 2e-2, np.float32: 2e-5, np.float64: 1e-10}


@pytest.fixture(params=["small parts", "whole"])
def _parts(request, monkeypatch):
    """Arrays are worked on in parts; here also in much smaller ones than usual."""
    if request.param == "small parts":
        for module, name, size in (
            (kernels, "_CHUNK", 512),
            (windows, "_CHUNK", 256),
            (resizing, "_CHUNK", 256),
            (blocks, "_BLOCK", 8),
            (softmaxes, "_ROWS", 16),
            (normalizing, "_ROWS", 16),
            (stepping, "_CHUNK", 64),
        ):
            monkeypatch.setattr(module, name, size)


in_parts = pytest.mark.usefixtures("_parts")


def frozen(array):
    """The array, or a copy of a constant; nothing may write to it."""
    array = array.view()
    array.flags.writeable = False
    return array


def computed(op_type, inputs, *, constants, opset=22, **options):
    """Results of a node with some inputs constant, after making sure that it matters not."""
    inputs = [None if array is None else frozen(np.asarray(array)) for array in inputs]
    found = []
    for fixed in ((), constants):
        model = one_node(op_type, inputs, constants=fixed, opset=opset, **options)
        feeds = feeds_of(inputs, fixed)
        found.append(list(cml.NumpyModule.from_onnx(model).run(feeds).values()))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=TOLERANCE.get(one.dtype.type, 0), atol=1e-6)
    return found[1]


def close(got, wanted, dtype=None):
    dtype = got.dtype.type if dtype is None else dtype
    assert got.dtype == dtype
    assert got.shape == wanted.shape
    tolerance = TOLERANCE.get(dtype, 0)
    np.testing.assert_allclose(got.astype(np.float64), wanted, rtol=tolerance, atol=tolerance)


def awkward(array):
    """The same values, neither contiguous nor in order."""
    return np.repeat(np.asfortranarray(array), 2, axis=-1)[..., ::2]


# Convolutions


def direct_conv(x, w, *, strides, dilations, group, pads):
    """Each output element by itself, in Python's own arithmetic of the arrays' types."""
    rank = w.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    size = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(x.shape[2:], w.shape[2:], dilations, strides, strict=True)
    ]
    y = np.zeros((len(x), len(w), *size), dtype=np.result_type(x, w))
    each = len(w) // group
    for place in itertools.product(*map(range, size)):
        rows = zip(place, strides, dilations, w.shape[2:], strict=True)
        spots = tuple(slice(i * s, i * s + (k - 1) * d + 1, d) for i, s, d, k in rows)
        for m in range(len(w)):
            first = m // each * w.shape[1]
            part = x[(slice(None), slice(first, first + w.shape[1]), *spots)]
            y[(slice(None), m, *place)] = (part * w[m]).sum(axis=tuple(range(1, w.ndim)))
    return y


def conv_case(seed):
    """Images, filters and settings such that at least one window fits."""
    rng = np.random.default_rng(seed)
    rank, group = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 3]))
    kernel, dilations = rng.integers(1, 4, rank), rng.integers(1, 3, rank)
    pads = rng.integers(0, 3, 2 * rank)
    least = (kernel - 1) * dilations + 1 - pads[:rank] - pads[rank:]
    size = np.maximum(rng.integers(1, 8, rank), least)
    depth, each, count = (int(n) for n in rng.integers(1, 5, 3))
    x = rng.integers(-9, 9, (count - 1, group * depth, *size))
    w = rng.integers(-9, 9, (group * each, depth, *kernel))
    # Strides that leave elements out, as well.
    strides = rng.integers(1, 5, rank)
    settings = {"strides": strides, "dilations": dilations, "pads": pads}
    return x, w, {"group": group, **{k: tuple(map(int, v)) for k, v in settings.items()}}


@in_parts
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
@pytest.mark.parametrize("seed", range(40))
def test_convolution_of_integers_is_exact(seed, dtype):
    x, w, settings = conv_case(seed)
    x, w = x.astype(dtype), w.astype(dtype)
    wanted = direct_conv(x, w, **settings)
    for images in (x, awkward(x)):
        got = conv_nd(frozen(images), frozen(w), **settings)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, wanted)


@in_parts
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", range(12))
def test_convolution_with_bias(seed, dtype):
    x, w, settings = conv_case(seed)
    x, w = (0.1 * x).astype(dtype), (0.1 * w).astype(dtype)
    b = np.linspace(-1, 1, len(w)).astype(dtype)
    wide = (array.astype(np.float64) for array in (x, w))
    wanted = direct_conv(*wide, **settings) + b.astype(float).reshape(-1, *(1,) * (w.ndim - 2))
    (y,) = computed("Conv", [x, w, b], constants=(1, 2), **settings)
    close(y, wanted, dtype)


def test_what_convolutions_of_infinities_do_not_see_stays_finite():
    x = np.zeros((1, 2, 6, 6), dtype=np.float32)
    x[0, 0, 0, 0] = np.inf
    w = np.ones((2, 1, 3, 3), dtype=np.float32)
    (y,) = computed("Conv", [x, w], constants=(1,), group=2)
    assert np.isinf(y[0, 0, 0, 0])
    assert np.isfinite(y[0, 0].flat[1:]).all()
    assert np.isfinite(y[0, 1]).all()


def test_windows_that_do_not_fit_are_refused():
    w = np.ones((1, 1, 3))
    with pytest.raises(ValueError, match="does not fit"):
        conv_nd(np.ones((1, 1, 2)), w, strides=(1,), dilations=(1,), group=1)
    convolve = conv_nd(None, w, strides=(1,), dilations=(1,), group=1)
    with pytest.raises(ValueError, match="does not fit"):
        convolve(np.ones((1, 1, 2)))
    assert convolve(np.ones((1, 1, 2)), (1, 0)).shape == (1, 1, 1)


def direct_conv_transpose(x, w, *, strides, dilations, group, pads, output_padding):
    rank, each = w.ndim - 2, w.shape[1]
    rows = zip(x.shape[2:], strides, w.shape[2:], dilations, output_padding, strict=True)
    whole = [(n - 1) * s + (k - 1) * d + 1 + extra for n, s, k, d, extra in rows]
    y = np.zeros((len(x), group * each, *whole))
    depth = x.shape[1] // group
    for place in itertools.product(*map(range, x.shape[2:])):
        rows = zip(place, strides, dilations, w.shape[2:], strict=True)
        spots = tuple(slice(i * s, i * s + (k - 1) * d + 1, d) for i, s, d, k in rows)
        for c in range(x.shape[1]):
            share = x[(slice(None), c, *place)].reshape(-1, *(1,) * (w.ndim - 1)) * w[c]
            maps = slice(c // depth * each, (c // depth + 1) * each)
            y[(slice(None), maps, *spots)] += share
    cut = (
        slice(low, n - high) for low, high, n in zip(pads[:rank], pads[rank:], whole, strict=True)
    )
    return y[(..., *cut)]


@in_parts
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", range(20))
def test_transposed_convolution(seed, dtype):
    rng = np.random.default_rng(seed)
    rank, group = 1 + seed % 3, int(rng.integers(1, 3))
    count, depth, each = int(rng.integers(0, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    x = rng.normal(size=(count, group * depth, *rng.integers(2, 5, rank))).astype(dtype)
    w = rng.normal(size=(group * depth, each, *rng.integers(1, 5, rank))).astype(dtype)
    b = rng.normal(size=group * each).astype(dtype)
    settings = {
        "strides": rng.integers(1, 5, rank).tolist(),
        "dilations": rng.integers(1, 4, rank).tolist(),
        "pads": rng.integers(0, 2, 2 * rank).tolist() if seed % 2 else [0] * 2 * rank,
        "output_padding": rng.integers(0, 2, rank).tolist(),
        "group": group,
    }
    sizes = zip(x.shape[2:], settings["strides"], w.shape[2:], settings["dilations"], strict=True)
    if min((n - 1) * s + (k - 1) * d + 1 for n, s, k, d in sizes) < 3:
        settings["pads"] = [0] * 2 * rank
    wanted = direct_conv_transpose(x.astype(float), w.astype(float), **settings)
    wanted = wanted + b.astype(float).reshape(-1, *(1,) * rank)
    (y,) = computed("ConvTranspose", [x, w, b], constants=(1, 2), **settings)
    close(y, wanted, dtype)


# Pools


def direct_pool(x, function, *, kernel_shape, strides, dilations, pads, ceil_mode=0):
    """`function` of the elements of each window that are not padding."""
    rank = len(kernel_shape)
    output = []
    for n, k, s, d, low, high in zip(
        x.shape[2:], kernel_shape, strides, dilations, pads[:rank], pads[rank:], strict=True
    ):
        spare = n + low + high - (k - 1) * d - 1
        count = (-(-spare // s) if ceil_mode else spare // s) + 1
        output.append(count - (ceil_mode and (count - 1) * s >= n + low))
    y = np.empty((*x.shape[:2], *output), dtype=x.dtype)
    for place in itertools.product(*map(range, output)):
        axes = [
            [p for j in range(k) if 0 <= (p := i * s - low + j * d) < n]
            for i, s, low, k, d, n in zip(
                place, strides, pads, kernel_shape, dilations, x.shape[2:], strict=False
            )
        ]
        y[(..., *place)] = function(x[np.ix_(range(len(x)), range(x.shape[1]), *axes)])
    return y


def pool_case(seed):
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    kernel, dilations = rng.integers(1, 4, rank), rng.integers(1, 3, rank)
    # No window of padding alone.
    pads = np.tile(rng.integers(0, kernel), 2) * (dilations.max() == 1)
    size = (kernel - 1) * dilations + 1 + rng.integers(0, 5, rank)
    settings = {
        "kernel_shape": kernel.tolist(),
        "strides": rng.integers(1, 5, rank).tolist(),
        "dilations": dilations.tolist(),
        "pads": pads.tolist(),
    }
    return rng, (int(rng.integers(0, 4)), 2, *size), settings


@in_parts
@pytest.mark.parametrize("dtype", [*FLOATS, np.int8, np.uint8])
@pytest.mark.parametrize("seed", range(15))
def test_largest_of_windows(seed, dtype):
    rng, shape, settings = pool_case(seed)
    x = rng.integers(0, 90, shape).astype(dtype)
    wanted = direct_pool(x, lambda part: part.max(axis=tuple(range(2, part.ndim))), **settings)
    for images in (x, awkward(x)):
        (y,) = computed("MaxPool", [images], constants=(), **settings)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, wanted)


@in_parts
def test_largest_with_and_without_its_place():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3, 7, 9)).astype(np.float32)
    x[0, 0, 3, 3], x[1] = np.nan, -np.inf
    settings = {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 1, 1, 0], "ceil_mode": 1}
    (alone,) = computed("MaxPool", [x], constants=(), **settings)
    both = computed("MaxPool", [x], constants=(), n_outputs=2, **settings)
    np.testing.assert_array_equal(alone, both[0])
    assert both[1].dtype == np.int64


@in_parts
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count_include_pad", [0, 1])
@pytest.mark.parametrize("seed", range(10))
def test_means_of_windows(seed, dtype, count_include_pad):
    rng, shape, settings = pool_case(seed)
    x = rng.normal(size=shape).astype(dtype)
    every = math.prod(settings["kernel_shape"])

    def mean(part):
        axes = tuple(range(2, part.ndim))
        return part.sum(axis=axes) / every if count_include_pad else part.mean(axis=axes)

    wanted = direct_pool(x.astype(float), mean, **settings)
    options = {"count_include_pad": count_include_pad, **settings}
    (y,) = computed("AveragePool", [awkward(x)], constants=(), **options)
    close(y, wanted, dtype)


# Matrix products


@pytest.mark.parametrize("dtype", [*FLOATS, np.int32])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 4)),
        ((2, 1, 4, 3), (3, 5)),
        ((2, 0, 3), (3, 5)),
        ((2, 4, 3), (2, 3, 5)),
        ((2, 3), (3,)),
        ((1, 300), (300, 500)),
    ],
)
def test_matrix_products(left, right, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in (left, right))
    (y,) = computed("MatMul", [a, b], constants=(1,))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.matmul(a.astype(int), b.astype(int)))
    (y,) = computed("MatMul", [awkward(a), awkward(b)], constants=(1,))
    np.testing.assert_array_equal(y, np.matmul(a.astype(int), b.astype(int)))


@pytest.mark.parametrize("dtype", [*FLOATS, np.int32])
@pytest.mark.parametrize("transposed", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("c_shape", [None, (), (1,), (4,), (2, 1), (2, 4)])
def test_general_matrix_products(c_shape, transposed, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in ((2, 3), (3, 4)))
    c = None if c_shape is None else rng.integers(-3, 4, c_shape).astype(dtype)
    wanted = 2.0 * (a.astype(float) @ b) + (0 if c is None else 3.0 * c)
    sides = [x.T if turned else x for x, turned in zip((a, b), transposed, strict=True)]
    options = {"alpha": 2.0, "beta": 3.0, "transA": transposed[0], "transB": transposed[1]}
    for constants in ((1,), (1, 2)):
        (y,) = computed("Gemm", [*sides, c], constants=constants, **options)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, wanted)
    (y,) = computed("Gemm", [*sides, c], constants=(1, 2), **options | {"beta": 0.0})
    np.testing.assert_array_equal(y, 2 * (a.astype(float) @ b))


@pytest.mark.parametrize("c_shape", [(), (1,), (128,), (1, 128), (1, 1)])
def test_batches_of_any_size_get_one_bias(c_shape):
    rng = np.random.default_rng(0)
    b = rng.integers(-3, 4, (5, 128)).astype(np.float32)
    c = rng.integers(-3, 4, c_shape).astype(np.float32)
    prepared = gemm_prepare(UNKNOWN, b, c, alpha=1.0, beta=2.0, transA=0, transB=0)
    # Up to 512 rows, the bias is a matrix of its own; of three sizes, one is forgotten.
    for rows in (1, 512, 0, 513, 1):
        a = rng.integers(-3, 4, (rows, 5)).astype(np.float32)
        (y,) = prepared(a)
        np.testing.assert_array_equal(y, a @ b + 2 * c)


# Recurrent layers

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent_inputs(op_type, time, batch, *, directions, dtype, layout=0):
    rng = np.random.default_rng(0)
    size, hidden = 3, 4
    shapes = [
        (time, batch, size),
        (directions, GATES[op_type] * hidden, size),
        (directions, GATES[op_type] * hidden, hidden),
        (directions, 2 * GATES[op_type] * hidden),
    ]
    x, *weights = (rng.normal(0, 0.5, shape).astype(dtype) for shape in shapes)
    states = rng.normal(0, 0.5, (2, directions, batch, hidden)).astype(dtype)[
        : 1 + (op_type == "LSTM")
    ]
    if layout:
        x, states = x.swapaxes(0, 1), states.swapaxes(1, 2)
    return [x, *weights, None, *states]


@in_parts
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("time", "batch"), [(1, 1), (7, 1), (6, 3), (0, 2), (3, 0)])
@pytest.mark.parametrize(
    ("op_type", "options"),
    [
        ("RNN", {}),
        ("GRU", {}),
        ("GRU", {"linear_before_reset": 1}),
        ("LSTM", {}),
        ("LSTM", {"layout": 1}),
    ],
)
def test_loops_over_time(op_type, options, time, batch, direction, dtype):
    """Sequences of full length give what they give with their lengths stated."""
    directions, layout = 1 + (direction == "bidirectional"), options.get("layout", 0)
    inputs = recurrent_inputs(
        op_type, time, batch, directions=directions, dtype=dtype, layout=layout
    )
    options = {"hidden_size": 4, "direction": direction, "n_outputs": len(inputs) - 4, **options}
    got = computed(op_type, inputs, constants=(1, 2, 3), **options)
    inputs[4] = np.full(batch, time, dtype=np.int32)
    wanted = computed(op_type, inputs, constants=(1, 2, 3), **options)
    for one, other in zip(got, wanted, strict=True):
        close(one, other.astype(float), dtype)


@pytest.mark.parametrize("op_type", GATES)
def test_loops_over_time_are_onnxruntimes(op_type):
    inputs = recurrent_inputs(op_type, 5, 2, directions=2, dtype=np.float32)
    options = {"hidden_size": 4, "direction": "bidirectional", "n_outputs": len(inputs) - 4}
    wanted = of_onnxruntime(op_type, inputs, opset=14, **options)
    got = computed(op_type, inputs, constants=(1, 2, 3), opset=14, **options)
    for one, other in zip(got, wanted, strict=True):
        close(one, other)


# Elementwise formulas, softmax and normalization


@in_parts
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_function_is_accurate_to_a_few_units_in_the_last_place(dtype):
    x = np.concatenate([np.linspace(-7, 7, 2001), [0.0, 1e-30, 1e4, -1e30]]).astype(dtype)
    wanted = np.array([math.erf(value) for value in x])
    units = np.abs(erf(frozen(x)) - wanted) / np.spacing(np.abs(wanted).astype(dtype))
    assert units.max() <= 6
    special = erf(np.array([np.inf, -np.inf, np.nan], dtype=dtype))
    np.testing.assert_array_equal(special, [1, -1, np.nan])


@in_parts
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_logistic_function_is_accurate_to_a_few_units_in_the_last_place(dtype):
    x = np.linspace(-80, 40, 2001).astype(dtype)
    wanted = np.array([1 / (1 + math.exp(-value)) for value in x])
    units = np.abs(sigmoid(frozen(x)) - wanted) / np.spacing(wanted.astype(dtype))
    assert units.max() <= 6
    special = sigmoid(np.array([np.inf, -np.inf, -1e30, np.nan], dtype=dtype))
    np.testing.assert_array_equal(special, [1, 0, 0, np.nan])


@in_parts
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (0, 2), (1,), (3, 7), (2, 3, 5)])
@pytest.mark.parametrize(
    ("op_type", "options", "direct"),
    [
        ("Erf", {}, math.erf),
        ("Sigmoid", {}, lambda v: 1 / (1 + math.exp(-v))),
        ("Gelu", {}, lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2),
        (
            "Gelu",
            {"approximate": "tanh"},
            lambda v: v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2,
        ),
    ],
)
def test_formulas_in_blocks(op_type, options, direct, shape, dtype):
    x = np.random.default_rng(0).normal(0, 2, shape).astype(dtype)
    wanted = np.array([direct(float(value)) for value in x.flat]).reshape(shape)
    for given in (x, awkward(x) if x.ndim else x):
        (y,) = computed(op_type, [given], constants=(), **options)
        close(y, wanted, dtype)


@in_parts
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_softmax_of_rows_of_any_size_of_numbers(op_type, dtype, axis):
    rng = np.random.default_rng(0)
    scales = np.array([1e-3, 1.0, 30.0, 300.0])[:, np.newaxis, np.newaxis]
    x = (scales * rng.normal(size=(4, 3, 5)) + 200 * rng.integers(-1, 2, (4, 3, 1))).astype(dtype)
    x[0, 0, 0] = -np.inf
    wide = x.astype(float)
    power = np.exp(wide - wide.max(axis=axis, keepdims=True))
    wanted = power / power.sum(axis=axis, keepdims=True)
    (y,) = computed(op_type, [awkward(x)], constants=(), axis=axis)
    if op_type == "LogSoftmax":
        y, wanted = np.exp(y.astype(float)).astype(dtype), wanted
    close(y, wanted, dtype)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (2, 1)])
def test_softmax_of_nothing_and_of_one(shape):
    (y,) = computed("Softmax", [np.zeros(shape, dtype=np.float32)], constants=())
    np.testing.assert_array_equal(y, np.ones(shape))


@in_parts
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("axis", [-1, 1, 0])
@pytest.mark.parametrize("parameters", ["row", "number", "whole"])
def test_layers_are_normalized(dtype, axis, parameters):
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (4, 3, 5)).astype(dtype)
    axes = tuple(range(axis % 3, 3))
    shape = {"row": x.shape[axes[0] :], "number": (1,), "whole": x.shape}[parameters]
    scale, bias = rng.normal(size=(2, *shape)).astype(dtype)
    wide = x.astype(float)
    mean = wide.mean(axis=axes, keepdims=True)
    inverse = 1 / np.sqrt(wide.var(axis=axes, keepdims=True) + 1e-5)
    wanted = (wide - mean) * inverse * scale.astype(float) + bias.astype(float)
    results = computed(
        "LayerNormalization", [awkward(x), scale, bias], constants=(1, 2), n_outputs=3, axis=axis
    )
    tolerance = 1e-2 if dtype == np.float16 else 1e-4
    assert results[0].dtype == dtype
    for got, want in zip(results, (wanted, mean, inverse), strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got.astype(float), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 4, 0), (2, 4, 1)])
@pytest.mark.parametrize("op_type", ["GroupNormalization", "InstanceNormalization"])
def test_channels_without_elements_are_normalized(op_type, shape):
    x = np.ones(shape, dtype=np.float32)
    scale, bias = np.float32([[2, 3, 4, 5], [1, 0, -1, 2]])
    options = {"num_groups": 2} if op_type == "GroupNormalization" else {}
    (y,) = computed(op_type, [x, scale, bias], constants=(1, 2), **options)
    np.testing.assert_allclose(y, np.broadcast_to(bias[:, np.newaxis], shape))


# Resizing


@in_parts
@pytest.mark.parametrize("dtype", [*FLOATS, np.int32, np.uint8])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("sizes", [(3, 2, 7, 9), (3, 2, 3, 4), (3, 2, 8, 3), (5, 2, 4, 5)])
def test_resizing_reads_what_a_matrix_of_weights_reads(mode, sizes, dtype):
    """Each axis alone is linear in the input, so unit vectors give the weights."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 50, (3, 2, 4, 5)).astype(dtype)
    wanted = x.astype(float)
    for axis, (old, new) in enumerate(zip(x.shape, sizes, strict=True)):
        if old != new:
            unit = np.eye(old)
            weights = one_axis(unit, new, mode)
            wanted = np.moveaxis(np.moveaxis(wanted, axis, -1) @ weights, -1, axis)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        wanted = np.clip(np.rint(wanted), info.min, info.max)
    inputs = [awkward(x), None, None, np.array(sizes)]
    (y,) = computed("Resize", inputs, constants=(3,), mode=mode, opset=19)
    close(y, wanted, dtype)


def one_axis(unit, size, mode):
    """The rows of a matrix resized along the last axis, by float64 and one input at a time."""
    inputs = [unit, None, None, np.array([len(unit), size])]
    model = one_node("Resize", inputs, opset=19, mode=mode)
    (y,) = cml.NumpyModule.from_onnx(model).run(feeds_of(inputs)).values()
    return y


MANY = [((3, 1200), 1), ((600, 2, 3), 0), ((2, 700, 2), -2)]


def many(dtype, kind, shape):
    """Elements of which few or many are alike; the ends of the type, zeros of both signs, NaN."""
    rng = np.random.default_rng(len(shape))
    spread = {"alike": 0.0, "few ties": 3000.0}.get(kind, 2.0)
    x = np.rint(rng.normal(size=shape) * spread)
    x = (np.abs(x) if dtype.kind == "u" else x).astype(np.int64).astype(dtype)
    low, high = (
        (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-np.inf, np.inf)
    )
    if kind == "ends":
        x[rng.random(shape) < 0.02], x[rng.random(shape) < 0.02] = low, high
    if dtype.kind == "f":
        x[(x == 0) & (rng.random(shape) < 0.5)] = -0.0
        if kind == "NaN":
            x[..., :1][rng.random(x[..., :1].shape) < 0.05] = np.nan
    return x


def first_places(row, k, largest):
    """Where the first elements of a list are; NaN is the largest of all."""

    def key(place):
        value = row[place]
        if value != value:
            return (not largest, 0)
        return (largest, -value) if largest else (False, value)

    return sorted(range(len(row)), key=key)[:k]


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "uint8", "int16", "int32", "uint32", "uint64"]
)
@pytest.mark.parametrize("kind", ["many ties", "few ties", "alike", "ends", "NaN"])
@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize(("shape", "axis"), MANY)
def test_a_few_of_many_are_those_that_a_stable_sort_begins_with(dtype, kind, largest, shape, axis):
    x = many(np.dtype(dtype), kind, shape)
    x.flags.writeable = False
    rows = np.moveaxis(x, axis, -1)
    for k in (0, 1, 70, 200):
        values, places = ordering.top_k_of(x, np.array([k]), axis=axis, largest=int(largest))
        flat = rows.reshape(-1, rows.shape[-1]).tolist()
        wanted = np.array([first_places(row, k, largest) for row in flat], dtype=np.int64)
        wanted = np.moveaxis(wanted.reshape(*rows.shape[:-1], k), -1, axis)
        assert (values.dtype, places.dtype) == (x.dtype, np.int64)
        np.testing.assert_array_equal(places, wanted)
        # Bits, as zeros have signs.
        expected = np.take_along_axis(x, wanted, axis)
        assert values.tobytes() == expected.tobytes()


def test_a_few_of_many_are_not_sorted_with_the_others(monkeypatch):
    sorted_ = []
    argsort = np.argsort
    monkeypatch.setattr(
        np, "argsort", lambda x, **options: sorted_.append(x.shape) or argsort(x, **options)
    )
    x = np.random.default_rng(0).normal(size=(4, 1000))
    for k in (125, 126):
        ordering.top_k_of(x, np.array([k]), axis=1, largest=1)
    x[0, 0] = np.nan
    ordering.top_k_of(x, np.array([1]), axis=1, largest=1)
    assert sorted_ == [(4, 125), (4, 1000), (4, 1000)]
