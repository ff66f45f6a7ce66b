"""Products of two encrypted matrices: exactness, lookups, bounds."""

import warnings

import numpy as np
import onnx
import pytest

import cml_core as cml
from cml_core import default_registry
from cml_core.fhe.backend import installed_backends
from cml_core.plugin_api import OpKind, OpPlugin, OpSchema, matmul_encrypted
from cml_core.plugins.discovery import LoadedPlugin
from cml_core.plugins.registry import OpRegistry
from cml_core.program.instructions import Opcode
from tests.networks import Net


class Factors:
    """A model with one input whose halves are two matrices (or stacks of them) per sample."""

    def __init__(self, left, right, *, low=-8.0, high=7.0, whole=True, opset=17):
        self.left, self.right = left, right
        sizes = [int(np.prod(shape)) for shape in (left, right)]
        self.net = Net(["n", sum(sizes)], opset=opset)
        ends = np.cumsum([0, *sizes])
        self.a, self.b = (
            self._part(ends[k], ends[k + 1], shape) for k, shape in enumerate((left, right))
        )
        rng = np.random.default_rng(1)
        shape = (60, sum(sizes))
        self.data = rng.integers(low, high + 1, shape) if whole else rng.uniform(low, high, shape)
        self.data[0], self.data[1] = low, high
        self.data = self.data.astype(np.float32)

    def _part(self, start, stop, shape):
        places = (np.array([value]) for value in (start, stop, 1))
        part = self.net.add("Slice", "x", *(self.net.constant(place) for place in places))
        return self.net.add("Reshape", part, self.net.constant(np.array([-1, *shape])))

    def quantize(self, *outputs, n_bits=4, data=None, **options):
        options.setdefault("tail", "server")
        module = cml.NumpyModule.from_onnx(self.net.model(*outputs))
        config = cml.QuantConfig.with_bits(n_bits, **options)
        return module, cml.quantize(module, self.data if data is None else data, config)


def lookups(quantized):
    """Lookups by width."""
    total = {}
    for node in quantized.report().nodes:
        for width, count in node.lookups.items():
            total[width] = total.get(width, 0) + count
    return total


SHAPES = [
    ((2, 3), (3, 2)),
    ((3, 2), (2, 4)),
    ((2, 2, 3), (1, 3, 2)),
    ((1, 2, 3), (2, 3, 2)),
    ((2, 1, 2, 3), (1, 2, 3, 2)),
]


@pytest.mark.parametrize("ranges", ["calibrated", "proven"])
@pytest.mark.parametrize(("left", "right"), [*SHAPES, ((1, 3), (3, 1)), ((3, 1), (1, 2))])
def test_products_of_integers_are_exact(left, right, ranges):
    factors = Factors(left, right)
    product = factors.net.add("MatMul", factors.a, factors.b)
    module, quantized = factors.quantize(product, ranges=ranges)
    np.testing.assert_allclose(quantized(factors.data), module(factors.data), atol=1e-4)


def test_squares_of_the_operands_are_shared_by_all_terms():
    factors = Factors((3, 2), (2, 4))
    _, quantized = factors.quantize(factors.net.add("MatMul", factors.a, factors.b))
    assert lookups(quantized) == {4: 3 * 2 + 2 * 4, 5: 3 * 2 * 4}


def test_a_product_of_vectors_takes_two_lookups_for_each_term():
    factors = Factors((1, 5), (5, 1), low=-1.0, high=0.5, whole=False)
    product = factors.net.add("MatMul", factors.a, factors.b)
    _, quantized = factors.quantize(product, factors.a, factors.b, n_bits=3)
    got, a, b = quantized(factors.data)
    np.testing.assert_allclose(got, a @ b, atol=1e-5)
    assert lookups(quantized) == {4: 2 * 5}


def test_booleans_are_packed_and_take_one_lookup_for_each_term():
    factors = Factors((2, 3), (3, 2))
    net = factors.net
    a, b = (
        net.add("Cast", net.add("Greater", part, net.constant(0.5)), to=1)
        for part in (factors.a, factors.b)
    )
    module, quantized = factors.quantize(net.add("MatMul", a, b))
    np.testing.assert_allclose(quantized(factors.data), module(factors.data), atol=1e-6)
    # Each operand is encrypted as the bit that is asked for.
    assert lookups(quantized) == {2: 2 * 3 * 2}


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.7), (0.3, 1.7), (-3.0, -0.9), (50.0, 51.0)])
@pytest.mark.parametrize("n_bits", [2, 3, 4, 6])
@pytest.mark.parametrize(("left", "right"), [((2, 3), (3, 2)), ((1, 4), (4, 1))])
def test_the_product_is_that_of_the_dequantized_operands(left, right, n_bits, low, high):
    factors = Factors(left, right, low=low, high=high, whole=False)
    product = factors.net.add("MatMul", factors.a, factors.b)
    _, quantized = factors.quantize(product, factors.a, factors.b, n_bits=n_bits)
    got, a, b = quantized(factors.data)
    scale = (high - low) / (2**n_bits - 1)
    # Three tables of whole squares for each term, or of larger steps for larger integers.
    step = max(1.0, max(abs(low), abs(high)) / scale / 16)
    error = np.abs(got - a @ b).max() / scale**2
    if low <= 0 <= high:
        assert error < 1e-3
    else:
        assert error < 1.5 * step * left[-1]
    assert np.abs(got - a @ b).max() < 0.1 * np.abs(a @ b).max()


def test_eight_bits_are_multiplied_with_little_loss():
    factors = Factors((2, 3), (3, 2), low=-1.0, high=1.0, whole=False)
    product = factors.net.add("MatMul", factors.a, factors.b)
    _, quantized = factors.quantize(product, factors.a, factors.b, n_bits=8)
    got, a, b = quantized(factors.data)
    # The mean step of an 8-bit grid leaves an error of about 1.4 integers in each factor's term.
    assert np.abs(got - a @ b).max() < 1e-3 * np.abs(a @ b).max() + 3 * 1.5 * 4 * (2 / 255) ** 2


@pytest.mark.parametrize("ranges", ["calibrated", "proven"])
def test_scales_may_differ_by_row_and_column(ranges):
    factors = Factors((2, 3), (3, 2))
    net = factors.net
    a = net.add("Mul", factors.a, net.constant(np.array([[1.0], [0.3]])))
    b = net.add("Mul", factors.b, net.constant(np.array([[2.0, -0.7]])))
    module, quantized = factors.quantize(net.add("MatMul", a, b), ranges=ranges)
    np.testing.assert_allclose(quantized(factors.data), module(factors.data), atol=1e-4)
    assert lookups(quantized) == {4: 6 + 6, 5: 12}


def test_scales_that_differ_along_the_inner_axis_cost_a_lookup():
    factors = Factors((2, 3), (3, 2))
    net = factors.net
    a = net.add("Mul", factors.a, net.constant(np.array([1.0, 0.3, 2.0])))
    module, quantized = factors.quantize(net.add("MatMul", a, factors.b))
    assert sum(lookups(quantized).values()) == 6 + (6 + 6 + 12)
    wanted = module(factors.data)
    assert np.abs(quantized(factors.data) - wanted).max() < 0.1 * np.ptp(wanted)


@pytest.mark.parametrize("rows", [[True, False, True], [False, False, False]])
@pytest.mark.parametrize("value", [0.0, 0.5, 30.0])
def test_elements_that_never_vary_are_multiplied_too(rows, value):
    factors = Factors((3, 2), (2, 2))
    net = factors.net
    mask = net.constant(np.array(rows)[:, np.newaxis])
    a = net.add("Where", mask, factors.a, net.constant(np.array([value, 2 * value])))
    module, quantized = factors.quantize(net.add("MatMul", a, factors.b))
    np.testing.assert_allclose(
        quantized(factors.data), module(factors.data), atol=max(3.0 * value / 4, 1e-3)
    )


def test_single_elements_that_never_vary_cost_nothing():
    factors = Factors((2, 2), (2, 2))
    net = factors.net
    mask = net.constant(np.array([[True, False], [True, True]]))
    a = net.add("Where", mask, factors.a, net.constant(3.0))
    module, quantized = factors.quantize(net.add("MatMul", a, factors.b))
    np.testing.assert_allclose(quantized(factors.data), module(factors.data), atol=1e-4)
    assert sum(lookups(quantized).values()) == 3 + 4 + 8


@pytest.mark.parametrize(("n_bits", "least"), [(4, 13), (6, 24)])
@pytest.mark.parametrize("activation", ["", "Relu", "Tanh"])
def test_wide_operands_are_requantized_first(n_bits, least, activation):
    factors = Factors((3, 4), (4, 3), low=-1.0, high=1.0, whole=False)
    net = factors.net
    a = net.add("MatMul", factors.a, net.normal(4, 4))
    b = net.add("MatMul", factors.b, net.normal(3, 3))
    if activation:
        a, b = net.add(activation, a), net.add(activation, b)
    module, quantized = factors.quantize(net.add("MatMul", a, b), n_bits=n_bits)
    wanted, got = module(factors.data), quantized(factors.data)
    noise = np.square(got - wanted).mean()
    assert 10 * np.log10(wanted.var() / noise) > least
    # Each operand is requantized, and squared; sums of two operands have one bit more.
    by_width = lookups(quantized)
    assert by_width[n_bits] == 12 + 12
    assert by_width[n_bits + 1] >= 3 * 4 * 3
    assert sum(by_width.values()) == 36 + 24 + 24


@pytest.mark.parametrize(("low", "high"), [(-8, 7), (3, 18)])
@pytest.mark.parametrize("whole", [True, False])
def test_proven_ranges_hold_for_any_operands_and_are_tight(low, high, whole):
    factors = Factors((2, 3), (3, 2), low=low, high=high, whole=whole)
    product = factors.net.add("MatMul", factors.a, factors.b)
    _, quantized = factors.quantize(product, ranges="proven")
    rng = np.random.default_rng(0)
    corners = rng.choice([low, high], size=(500, factors.data.shape[1])).astype(np.float32)
    quantized(corners)  # an OverflowWarning would be an error
    last = quantized.program.instructions[quantized.program.outputs[0]]
    assert last.opcode is Opcode.SUBTRACT
    ends = [x * y for x in (low, high) for y in (low, high)]
    reach = 3 * (max(ends) - min(ends)) / ((high - low) / 15) ** 2
    assert last.interval.high - last.interval.low <= reach + 2 * 1.5 * 3 + 2


def test_combinations_that_calibration_has_not_seen_do_not_wrap_around():
    factors = Factors((2, 2), (2, 2))
    half = factors.data.shape[1] // 2
    # Calibration data whose factors are never both large.
    factors.data[:, half:] = np.clip(factors.data[:, half:], -8 - factors.data[:, :1], 7)
    factors.data[2:, half:] = np.minimum(np.abs(factors.data[2:, half:]), 1)
    module, quantized = factors.quantize(
        factors.net.add("MatMul", factors.a, factors.b), margin=3.0
    )
    data = np.random.default_rng(5).integers(-8, 8, (50, 2 * half)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(quantized(data), module(data), atol=1e-3)


def test_tables_of_squares_are_never_rounded():
    factors = Factors((2, 3), (3, 2))
    module, quantized = factors.quantize(
        factors.net.add("MatMul", factors.a, factors.b), rounding_bits=3
    )
    np.testing.assert_allclose(quantized(factors.data), module(factors.data), atol=1e-4)


def test_an_empty_inner_axis_gives_zeros():
    factors = Factors((2, 3), (3, 2))
    net = factors.net
    nothing = [net.constant(np.array([value])) for value in (0, 0)]
    a = net.add("Slice", factors.a, *nothing, net.constant(np.array([2])))
    b = net.add("Slice", factors.b, *nothing, net.constant(np.array([1])))
    product = net.add("MatMul", a, b)
    total = net.add("Add", net.add("MatMul", factors.a, factors.b), product)
    module, quantized = factors.quantize(total)
    np.testing.assert_allclose(quantized(factors.data), module(factors.data), atol=1e-4)


WANTED = np.array([[True, False, True], [False, False, False], [True, True, True]])


def with_masked_product():
    """The operators there are, and one that leaves out terms of some rows and columns."""

    def masked(a, b):
        return (np.where(WANTED, a @ b, 0).astype(a.dtype),)

    def quantized(ctx, a, b):
        return (matmul_encrypted(ctx, a, b, terms=WANTED[:, np.newaxis, :]),)

    schema = OpSchema("Masked", since_versions=(1,), kind=OpKind.LINEAR, domain="test")
    plugin = OpPlugin(schema=schema, numpy_op=masked, quantized_op=quantized)
    own = LoadedPlugin("masked", provides=plugin)
    return OpRegistry.from_plugins([*default_registry().plugins, own])


@pytest.mark.parametrize("ranges", ["calibrated", "proven"])
@pytest.mark.parametrize(
    ("inner", "n_bits", "widths"), [(2, 4, {4: 6 + 6, 5: 2 * 5}), (1, 2, {4: 5})]
)
def test_terms_that_are_not_wanted_cost_nothing(inner, n_bits, widths, ranges):
    factors = Factors(
        (3, inner), (inner, 3), low=-(2.0 ** (n_bits - 1)), high=2.0 ** (n_bits - 1) - 1
    )
    model = factors.net.model(factors.net.add("Masked", factors.a, factors.b, domain="test"))
    model.opset_import.append(onnx.helper.make_opsetid("test", 1))
    module = cml.NumpyModule.from_onnx(model, registry=with_masked_product())
    config = cml.QuantConfig.with_bits(n_bits, tail="server", ranges=ranges)
    quantized = cml.quantize(module, factors.data, config)
    np.testing.assert_allclose(quantized(factors.data), module(factors.data), atol=1e-4)
    assert lookups(quantized) == widths


@pytest.mark.fhe
@pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")
@pytest.mark.parametrize(
    ("left", "right", "high"),
    [
        ((2, 3), (3, 2), 7.0),
        ((2, 1, 2, 2), (1, 2, 2, 1), 7.0),
        ((1, 3), (3, 1), 7.0),
        ((2, 2), (2, 2), 1.0),
    ],
)
def test_simulation_equals_the_clear_integers(left, right, high):
    factors = Factors(left, right, low=0.0 if high == 1.0 else -8.0, high=high)
    _, quantized = factors.quantize(factors.net.add("MatMul", factors.a, factors.b))
    few = factors.data[:4]
    np.testing.assert_array_equal(quantized.compile().simulate(few), quantized(few))
