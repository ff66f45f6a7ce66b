"""Sums of conditions and weights of bits: trees as matrix products, decided exactly."""

import itertools

import numpy as np
import pytest

import cml_core as cml
from cml_core.program.instructions import Opcode
from cml_core.quantization.alternatives import planned
from tests.networks import Net, samples


def grown(rng, depth, features):
    """A random tree: a node is a feature, a threshold and both branches; None is a leaf."""
    if depth == 0 or rng.random() < 0.2:
        return None
    threshold = float(np.float32(rng.normal(0, 0.7)))
    return (
        int(rng.integers(features)),
        threshold,
        grown(rng, depth - 1, features),
        grown(rng, depth - 1, features),
    )


def paths(tree, nodes, path=()):
    """Paths of a tree to its leaves; `nodes` takes what they test, in order."""
    if tree is None:
        yield path
        return
    feature, threshold, left, right = tree
    nodes.append((feature, threshold))
    node = len(nodes) - 1
    yield from paths(left, nodes, (*path, (node, 1)))
    yield from paths(right, nodes, (*path, (node, -1)))


def forest(trees=4, depth=4, features=5, targets=2, seed=0):
    """A forest as matrices, those of small trees padded with zeros."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(trees):
        nodes = []
        tree = (0, 0.1, grown(rng, depth - 1, features), grown(rng, depth - 1, features))
        parts.append((nodes, list(paths(tree, nodes))))
    most, leaves = (max(len(part[k]) for part in parts) for k in (0, 1))
    which, bias = np.zeros((trees * most, features)), np.zeros((trees * most, 1))
    turns, wanted = np.zeros((trees, leaves, most)), np.zeros((trees * leaves, 1))
    values = np.zeros((trees, targets, leaves))
    for t, (nodes, found) in enumerate(parts):
        for k, (feature, threshold) in enumerate(nodes):
            which[t * most + k, feature], bias[t * most + k] = 1, threshold
        for k, path in enumerate(found):
            for node, sign in path:
                turns[t, k, node] = sign
            wanted[t * leaves + k] = sum(sign > 0 for _, sign in path)
            values[t, :, k] = rng.normal(0, 10.0**-t, targets)
    net = Net(["batch", features])
    x = net.add("Gemm", net.constant(which), "x", transB=1)
    x = net.add("LessOrEqual", x, net.constant(bias))
    x = net.add("Reshape", x, net.constant([trees, most, -1]))
    x = net.add("MatMul", net.constant(turns), net.add("Cast", x, to=1))
    x = net.add("Reshape", x, net.constant([trees * leaves, -1]))
    x = net.add("Equal", net.constant(wanted), x)
    x = net.add("Reshape", x, net.constant([trees, leaves, -1]))
    x = net.add("MatMul", net.constant(values), net.add("Cast", x, to=1))
    x = net.add("ReduceSum", x, net.constant([0]), keepdims=0)
    return net.model(net.add("Transpose", x, perm=[1, 0])), np.abs(values).max()


@pytest.mark.parametrize("thresholds", ["thermometer", "bins"])
@pytest.mark.parametrize("seed", range(3))
def test_trees_as_matrices_are_exact(seed, thresholds):
    model, largest = forest(seed=seed)
    module = cml.NumpyModule.from_onnx(model)
    # Few samples do not reach all leaves; others must be right all the same.
    quantized = cml.quantize(module, samples([5], 30), cml.QuantConfig(thresholds=thresholds))
    data = samples([5], 2000, seed=9)
    np.testing.assert_allclose(quantized(data), module(data), atol=4 * largest / 4096)


def test_they_cost_two_bits_for_each_leaf_at_most():
    module = cml.NumpyModule.from_onnx(forest(trees=6)[0])
    quantized = cml.quantize(module, samples([5], 200))
    found = [node.lookups for node in quantized.report().nodes if node.lookups]
    assert [set(each) for each in found] == [{2}]
    (turns,) = (c for c in module.graph.constants.values() if c.ndim == 3 and c.min() == -1)
    leaves = int(np.abs(turns).any(axis=2).sum())
    assert quantized.report().lookups <= leaves - 2 * 6


def test_what_is_sent_in_digits_is_put_together_everywhere(tmp_path):
    model, _ = forest()
    module = cml.NumpyModule.from_onnx(model)
    quantized = cml.quantize(module, samples([5], 200))
    (code,) = quantized.client.outputs
    assert code.digits is not None
    data = samples([5], 50, seed=1)
    wanted = quantized(data)
    quantized.save(tmp_path / "forest.cml")
    again = type(quantized).load(tmp_path / "forest.cml")
    np.testing.assert_array_equal(again(data), wanted)
    exported = cml.NumpyModule.from_onnx(quantized.to_onnx())
    np.testing.assert_allclose(exported(data), wanted, rtol=1e-6)


def test_few_bits_are_read_of_a_forest_without_loss():
    model, largest = forest()
    module = cml.NumpyModule.from_onnx(model)
    quantized = cml.quantize(module, samples([5], 200), cml.QuantConfig.fast())
    data = samples([5], 500, seed=3)
    np.testing.assert_allclose(quantized(data), module(data), atol=4 * largest / 4096)


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
def test_a_forest_as_matrices_encrypted(key_cache):
    model, _ = forest(trees=2, depth=3)
    quantized = cml.quantize(cml.NumpyModule.from_onnx(model), samples([5], 100))
    circuit = quantized.compile(key_cache=key_cache)
    data = samples([5], 2, seed=1)
    np.testing.assert_array_equal(circuit.simulate(data), quantized(data))
    circuit.keygen()
    np.testing.assert_array_equal(circuit.predict(data), quantized(data))


def test_equal_votes_stay_equal():
    # Two conditions vote for a class each; a third one makes weights that are no small multiples.
    net = Net(["batch", 3])
    x = net.add("Cast", net.add("Greater", "x", net.constant([0.1, -0.2, 1.5])), to=1)
    votes = np.float32([[0.1, 0], [0, 0.1], [0.0123457, 0.0076543]])
    module = cml.NumpyModule.from_onnx(net.model(net.add("MatMul", x, net.constant(votes))))
    quantized = cml.quantize(module, samples([3], 100))
    first, second = quantized(np.float32([[1, 1, 0]]))[0]
    assert first == second


def test_columns_of_zeros_do_not_keep_others_from_being_chosen():
    net = Net(["batch", 3])
    chosen = net.constant(np.float32([[0, 0, 1], [0, 0, 0], [1, 0, 0]]))
    x = net.add("Greater", net.add("MatMul", "x", chosen), net.constant([0.5, -1.0, 0.25]))
    module = cml.NumpyModule.from_onnx(net.model(net.add("Cast", x, to=1)))
    data = samples([3], 100)
    quantized = cml.quantize(module, data)
    assert quantized.report().lookups == 0
    np.testing.assert_array_equal(quantized(data), module(data))


def test_parts_of_a_sum_need_no_common_scale():
    rng = np.random.default_rng(0)
    net = Net(["batch", 6])
    x = net.add("Reshape", "x", net.constant([-1, 2, 1, 3]))
    scales = np.array([1.0, 0.03]).reshape(2, 1, 1)
    x = net.add("MatMul", x, net.constant(rng.normal(size=(2, 3, 4)) * scales))
    x = net.add("ReduceSum", x, net.constant([1, 2]), keepdims=0)
    data = samples([6], 200)
    module = cml.NumpyModule.from_onnx(net.model(x))
    quantized = cml.quantize(module, data, n_bits=7)
    assert quantized.report().lookups == 0
    assert sum(i.opcode is Opcode.MATMUL for i in quantized.program.instructions) == 1
    error = np.square(quantized(data) - module(data)).mean()
    assert error < 1e-3 * np.square(module(data)).mean()


def _holds(conjunction, bits):
    return all(bits[literal >> 1] == (literal & 1) for literal in conjunction)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_plans_of_conjunctions_hold_for_all_bits(seed, ordered):
    rng = np.random.default_rng(seed)
    count = 6
    scale = {k: (k // 3, k % 3) for k in range(count)} if ordered else {}
    found = []
    for _ in range(2):
        tree = grown(rng, 4, count)
        nodes = []
        # A bit may be asked for twice, and differently: such paths are never taken.
        found += [
            frozenset(2 * nodes[n][0] + (sign > 0) for n, sign in path)
            for path in paths(tree, nodes)
        ]
    found.append(frozenset(2 * k + 1 for k in range(1 if ordered else 5)))
    plan = planned(found, count, scale)
    added = {each: rng.integers(-9, 10, 3) for each in found}
    low, high = plan.ends(added, 3)
    for bits in itertools.product((0, 1), repeat=count):
        if ordered and any(bits[k] < bits[k + 1] for k in (0, 1, 3, 4)):
            continue
        values = list(bits) + [None] * len(plan.asked)
        for place in sorted(range(len(plan.asked)), key=lambda k: plan.asked[k].stage):
            asked = plan.asked[place]
            total = asked.start + sum(f * values[v] for v, f in asked.terms.items())
            assert 0 <= total <= asked.most
            values[count + place] = int(total == asked.most)
        total = np.zeros(3, dtype=np.int64)
        for each in added:
            terms, start = plan.values[each]
            value = start + sum(f * values[v] for v, f in terms.items())
            assert value == _holds(each, bits)
            total = total + value * added[each]
        assert (low <= total).all()
        assert (total <= high).all()
