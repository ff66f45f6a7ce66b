"""Two branches of a network, on different registers, meet in one operator."""

import numpy as np
import pytest

import cml_core as cml
from cml_core.fhe.backend import installed_backends
from tests.networks import Net

WIDTH = 5
FLOAT = 1

fhe = pytest.mark.fhe
compiled = pytest.mark.skipif(not installed_backends(), reason="no FHE compiler is installed")


def branches(count=2, *, scale=1.0, seed=0):
    """A network with dense branches of one input; the second is `scale` times as large."""
    net = Net(["n", 6], seed=seed)
    made = []
    for place in range(count):
        factor = scale if place == 1 else 1.0
        weight = net.constant(net.rng.normal(size=(6, WIDTH)) * factor / np.sqrt(6))
        bias = net.constant(net.rng.normal(size=WIDTH) * 0.3 * factor)
        made.append(net.add("Gemm", "x", weight, bias))
    return net, made


def integer_branches(seed=0):
    """Two branches whose values are small integers: ternary weights, integer inputs."""
    net = Net(["n", 4], seed=seed)
    weights = [net.constant(net.rng.integers(-1, 2, (4, WIDTH)).astype(float)) for _ in range(2)]
    return net, [net.add("Gemm", "x", weight) for weight in weights]


def data(count=200, *, size=6, seed=2):
    """Normal samples, cut off where calibration and test data both are."""
    values = np.random.default_rng(seed).normal(size=(count, size)).clip(-2, 1.8)
    values[0], values[1] = -2, 1.8
    return values.astype(np.float32)


def integer_data(count=200, seed=1):
    """Integers from -8 to 7, which a 4-bit input holds exactly."""
    values = np.random.default_rng(seed).integers(-8, 8, (count, 4))
    values[0], values[1] = -8, 7
    return values.astype(np.float32)


def quantize(model, calibration, n_bits=4, **options):
    """The float module and the quantized one, in which the server computes everything."""
    options.setdefault("tail", "server")
    module = cml.NumpyModule.from_onnx(model)
    config = cml.QuantConfig.with_bits(n_bits, **options)
    return module, cml.quantize(module, calibration, config)


def decibels(wanted, got):
    """Signal to noise of a result."""
    noise = np.square(got - wanted).mean()
    return 10 * np.log10(wanted.var() / max(noise, 1e-30))


def worst(wanted, got):
    """Largest error, relative to the range."""
    return np.abs(got - wanted).max() / np.ptp(wanted)


def accuracy(model, n_bits, **options):
    """Signal to noise and largest error on samples that calibration did not see."""
    module, quantized = quantize(model, data(2000, seed=1), n_bits, margin=0.2, **options)
    unseen = data()
    wanted, got = module(unseen), quantized(unseen)
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    return decibels(wanted, got), worst(wanted, got)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Max", "Min"])
@pytest.mark.parametrize("scale", [1.0, 0.1, 7.0])
@pytest.mark.parametrize("activation", ["", "Relu"])
@pytest.mark.parametrize(("n_bits", "least", "most"), [(4, 11, 0.25), (6, 21, 0.08)])
def test_arithmetic_on_two_branches_is_close_to_float(
    op_type, scale, activation, n_bits, least, most
):
    if (op_type, activation) == ("Min", "Relu") and scale != 1.0:
        pytest.skip("little is left of this signal; the test of unlike ranges has it")
    net, (a, b) = branches(scale=scale)
    if activation:
        a, b = net.add(activation, a), net.add(activation, b)
    signal, error = accuracy(net.model(net.add(op_type, a, b)), n_bits)
    assert signal > least
    assert error < most


@pytest.mark.parametrize(
    ("n_bits", "scale", "least"),
    [
        (4, 0.1, 7),
        (4, 7.0, 7),
        (6, 0.1, 13),
        (6, 7.0, 13),
    ],
)
def test_the_smaller_of_two_operands_keeps_the_resolution_of_the_narrower_one(n_bits, scale, least):
    net, (a, b) = branches(scale=scale)
    a, b = net.add("Relu", a), net.add("Relu", b)
    signal, _ = accuracy(net.model(net.add("Min", a, b)), n_bits)
    assert signal > least


@pytest.mark.parametrize(("n_bits", "least"), [(4, 12), (6, 22)])
def test_quotient_of_two_branches_is_close_to_float(n_bits, least):
    net, (a, b) = branches()
    b = net.add("Add", net.add("Relu", b), net.constant(1.0))
    signal, error = accuracy(net.model(net.add("Div", a, b)), n_bits)
    assert signal > least
    assert error < 0.15


@pytest.mark.parametrize("op_type", ["Sum", "Mean", "Max", "Min"])
@pytest.mark.parametrize(("n_bits", "least"), [(4, 12), (6, 21)])
def test_three_branches_and_constants_fold_pairwise(op_type, n_bits, least):
    net, (a, b, c) = branches(3)
    constants = [net.constant(np.linspace(-0.5, 0.5, WIDTH)), net.constant(0.25)]
    y = net.add(op_type, constants[0], a, b, constants[1], c)
    signal, error = accuracy(net.model(y), n_bits, rounding_bits=n_bits + 2)
    assert signal > least
    assert error < 0.2


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Max", "Min", "Sum"])
def test_integers_meet_exactly(op_type):
    net, (a, b) = integer_branches()
    model = net.model(net.add(op_type, a, b))
    module, quantized = quantize(model, integer_data(), rounding_bits=None)
    np.testing.assert_allclose(quantized(integer_data()), module(integer_data()), atol=1e-4)


@pytest.mark.parametrize("op_type", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"])
@pytest.mark.parametrize("tail", ["client", "server"])
def test_comparisons_of_integers_are_exact(op_type, tail):
    net, (a, b) = integer_branches()
    model = net.model(net.add("Cast", net.add(op_type, a, b), to=FLOAT))
    module, quantized = quantize(model, integer_data(), rounding_bits=None, tail=tail)
    wanted = module(integer_data())
    assert 0 < wanted.mean() < 1
    np.testing.assert_array_equal(quantized(integer_data()), wanted)


@pytest.mark.parametrize("op_type", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"])
@pytest.mark.parametrize("threshold", [-6, 3])
def test_values_that_float32_takes_for_equal_are_equal_to_a_clear_threshold(op_type, threshold):
    net, (a, _) = integer_branches()
    bias = np.float32(0.1)
    a = net.add("Add", a, net.constant(bias))
    compared = net.add(op_type, a, net.constant(np.float32(threshold) + bias))
    model = net.model(net.add("Cast", compared, to=FLOAT))
    module, quantized = quantize(model, integer_data(), rounding_bits=None)
    np.testing.assert_array_equal(quantized(integer_data()), module(integer_data()))


@pytest.mark.parametrize("op_type", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
@pytest.mark.parametrize("activation", ["", "Relu"])
@pytest.mark.parametrize(("n_bits", "mistaken", "closest"), [(4, 0.1, 0.1), (6, 0.04, 0.03)])
def test_comparisons_are_mistaken_only_for_close_operands(
    op_type, activation, n_bits, mistaken, closest
):
    net, (a, b) = branches()
    if activation:
        a, b = net.add(activation, a), net.add(activation, b)
    compared = net.add("Cast", net.add(op_type, a, b), to=FLOAT)
    gaps = cml.NumpyModule.from_onnx(net.model(net.add("Sub", a, b)))(data())
    module, quantized = quantize(net.model(compared), data(2000, seed=1), n_bits, margin=0.2)
    wrong = quantized(data()) != module(data())
    assert wrong.mean() < mistaken
    assert np.abs(gaps[wrong]).max(initial=0.0) < closest * np.ptp(gaps)


@pytest.mark.parametrize("op_type", ["And", "Or", "Xor", "Equal"])
def test_booleans_are_one_bit_each_before_they_meet(op_type):
    net, (a, b) = integer_branches()
    a, b = net.add("Less", a, net.constant(1.0)), net.add("Greater", b, net.constant(-2.0))
    model = net.model(net.add("Cast", net.add(op_type, a, b), to=FLOAT))
    module, quantized = quantize(model, integer_data(), rounding_bits=None)
    np.testing.assert_array_equal(quantized(integer_data()), module(integer_data()))
    widths = [width for node in quantized.report().nodes for width in node.lookups]
    # One lookup for each operand, and one of both bits for the result.
    assert quantized.report().lookups == 3 * WIDTH
    assert min(widths) == 2


def choice(n_bits, *, shared):
    """`Where(g > 0, a, b)` with b on the register of a or on its own, its float result, and g."""
    net, (a, b, gate) = branches(3)
    condition = net.add("Greater", gate, net.constant(0.0))
    other = net.add("Mul", a, net.constant(-0.5)) if shared else b
    chosen = net.add("Where", condition, a, other)
    model = net.model(chosen)
    _, quantized = quantize(model, data(2000, seed=1), n_bits, margin=0.2)
    wanted, gates = cml.NumpyModule.from_onnx(net.model(chosen, gate))(data())
    return quantized, wanted, gates


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("n_bits", "least"), [(4, 12), (6, 22)])
def test_an_encrypted_condition_chooses_between_branches(n_bits, least, shared):
    quantized, wanted, gates = choice(n_bits, shared=shared)
    # Close to its threshold, a quantized condition may fall on either side.
    clear_cut = np.abs(gates) > 0.5
    assert clear_cut.mean() > 0.6
    got = quantized(data())
    assert decibels(wanted[clear_cut], got[clear_cut]) > least


@pytest.mark.parametrize("shared", [True, False])
def test_an_encrypted_condition_takes_one_lookup_for_each_operand(shared):
    quantized, _, _ = choice(4, shared=shared)
    counts = [n.total_lookups for n in quantized.report().nodes if n.node.startswith("where")]
    assert sum(counts) == 2 * WIDTH


def test_a_condition_is_made_one_bit_once_for_all_that_ask_for_it():
    net, (a, b, gate) = branches(3)
    condition = net.add("Greater", gate, net.constant(0.0))
    zero = net.constant(0.0)
    chosen = [net.add("Where", condition, value, zero) for value in (a, b)]
    _, quantized = quantize(net.model(*chosen), data())
    (lookups,) = [n.total_lookups for n in quantized.report().nodes if n.node.startswith("greater")]
    assert lookups == WIDTH


def test_a_clear_condition_takes_no_lookup():
    net, (a, b) = branches()
    mask = net.constant(np.array([True, False, True, False, False]))
    model = net.model(net.add("Where", mask, a, b))
    _, quantized = quantize(model, data())
    assert quantized.report().lookups == 0


def test_a_product_on_one_register_takes_no_lookup():
    def lookups(gated):
        net, (x,) = branches(1)
        x = net.add("Mul", x, net.add("Sigmoid", x)) if gated else net.add("Sigmoid", x)
        model = net.model(net.dense(x, WIDTH, 3))
        module, quantized = quantize(model, data(2000, seed=1), 6, margin=0.2)
        assert decibels(module(data()), quantized(data())) > 20
        return quantized.report().lookups

    assert lookups(gated=True) == lookups(gated=False) == WIDTH


@pytest.mark.parametrize("activation", ["", "Relu"])
@pytest.mark.parametrize(("n_bits", "least"), [(4, 13), (6, 19)])
def test_residual_additions_are_close_to_float(activation, n_bits, least):
    net = Net(["n", 6])
    x = "x"
    for _ in range(2):
        y = net.dense(x, 6, 6)
        x = net.add("Add", x, net.add(activation, y) if activation else y)
    signal, error = accuracy(net.model(net.dense(x, 6, 3)), n_bits)
    assert signal > least
    assert error < 0.15


def test_a_residual_addition_to_the_input_takes_the_lookups_of_its_activation():
    net = Net(["n", 6])
    x = net.add("Add", "x", net.add("Relu", net.dense("x", 6, 6)))
    _, quantized = quantize(net.model(net.dense(x, 6, 3)), data())
    assert quantized.report().lookups == 6


@pytest.mark.parametrize("operand", ["input", "", "Relu"])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Max", "Min"])
def test_elements_that_a_clear_mask_made_constant_meet_another_branch(op_type, operand):
    net, (a, b) = branches()
    if operand == "input":
        net = Net(["n", 6])
        a, b = net.dense("x", 6, 6), "x"
    elif operand:
        a = net.add(operand, a)
    mask = net.constant(np.arange(6 if operand == "input" else WIDTH) % 3 != 1)
    masked = net.add("Where", mask, b, net.constant(0.5))
    _, error = accuracy(net.model(net.add(op_type, a, masked)), 6)
    assert error < 0.06


@fhe
@compiled
@pytest.mark.parametrize(
    "op_type", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "Equal", "Where", "residual"]
)
def test_simulation_equals_the_clear_integers(op_type):
    net, (a, b) = integer_branches() if op_type == "Equal" else branches()
    calibration = integer_data() if op_type == "Equal" else data()
    if op_type == "Div":
        b = net.add("Add", net.add("Relu", b), net.constant(1.0))
    if op_type == "residual":
        y = net.add("Add", a, net.add("Relu", net.dense(a, WIDTH, WIDTH)))
    elif op_type == "Where":
        y = net.add("Where", net.add("Greater", a, net.constant(0.0)), net.add("Relu", b), a)
    else:
        y = net.add(op_type, a, b)
    if op_type in ("Less", "Equal"):
        y = net.add("Cast", y, to=FLOAT)
    _, quantized = quantize(net.model(y), calibration)
    few = calibration[:4]
    np.testing.assert_array_equal(quantized.compile().simulate(few), quantized(few))
