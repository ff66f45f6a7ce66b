"""Tree ensembles: evaluated as onnxruntime does, and computed on encrypted data exactly."""

import itertools
import operator
from collections import Counter

import attrs
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import cml_core as cml
from cml_core.errors import NodeError
from cml_core.program.cost import lookup_complexity
from cml_ops_contrib._shared.tree_plan import Draft, make_plans
from cml_ops_contrib._shared.trees import Ensemble, classic_ensemble

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
FORMS = ("thermometer", "bins", "uniform")


def random_trees(rng, *, trees=3, depth=4, features=4, targets=2, modes=MODES[:1], kind="class"):
    """Attributes of an ensemble whose thresholds are quarters, so that samples may meet them."""
    nodes = {name: [] for name in ("tree", "id", "feature", "mode", "value", "true", "false")}
    leaves = {name: [] for name in ("tree", "node", "target", "weight")}
    for tree in range(trees):
        count = itertools.count(1)
        front = [(0, 0)]
        while front:
            node, level = front.pop()
            inner = level < depth and (level == 0 or rng.uniform() < 0.8)
            true, false = (next(count), next(count)) if inner else (0, 0)
            nodes["tree"].append(tree)
            nodes["id"].append(node)
            nodes["feature"].append(int(rng.integers(features)) if inner else 0)
            nodes["mode"].append(str(rng.choice(modes)) if inner else "LEAF")
            nodes["value"].append(float(rng.integers(-6, 7)) / 4 if inner else 0.0)
            nodes["true"].append(true)
            nodes["false"].append(false)
            if inner:
                front += [(true, level + 1), (false, level + 1)]
                continue
            for target in range(targets):
                leaves["tree"].append(tree)
                leaves["node"].append(node)
                leaves["target"].append(target)
                leaves["weight"].append(float(rng.normal()))
    return {
        "nodes_treeids": nodes["tree"],
        "nodes_nodeids": nodes["id"],
        "nodes_featureids": nodes["feature"],
        "nodes_modes": nodes["mode"],
        "nodes_values": nodes["value"],
        "nodes_truenodeids": nodes["true"],
        "nodes_falsenodeids": nodes["false"],
        f"{kind}_treeids": leaves["tree"],
        f"{kind}_nodeids": leaves["node"],
        f"{kind}_ids": leaves["target"],
        f"{kind}_weights": leaves["weight"],
    }


def samples(rng, count=200, features=4):
    """Some on thresholds, some between."""
    x = rng.integers(-8, 9, (count, features)) / 4
    return (x + np.where(rng.uniform(size=x.shape) < 0.5, 0, rng.normal(size=x.shape))).astype("f")


def tree_model(op_type, attributes, *, features=4, outputs=("y",), before=(), opset=3):
    """A model of one ensemble, with nodes before it."""
    source = before[-1].output[0] if before else "x"
    node = helper.make_node(
        op_type, [source], outputs, name="trees", domain="ai.onnx.ml", **attributes
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", features])
    kinds = [TensorProto.INT64, TensorProto.FLOAT][-len(outputs) :]
    ys = [helper.make_tensor_value_info(n, k, None) for n, k in zip(outputs, kinds, strict=True)]
    graph = helper.make_graph([*before, node], "trees", [x], ys)
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def regressor(rng, **options):
    attributes = random_trees(rng, kind="target", **options)
    attributes["n_targets"] = options.get("targets", 2)
    return tree_model("TreeEnsembleRegressor", attributes, features=options.get("features", 4))


def classifier(rng, **options):
    attributes = random_trees(rng, **options)
    attributes["classlabels_int64s"] = list(range(options.get("targets", 2)))
    features = options.get("features", 4)
    outputs = ("label", "scores")
    return tree_model("TreeEnsembleClassifier", attributes, features=features, outputs=outputs)


def in_onnxruntime(model, x):
    onnxruntime = pytest.importorskip("onnxruntime", reason="compares with onnxruntime")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})


@pytest.mark.parametrize("modes", [MODES[:1], MODES[:2], MODES])
@pytest.mark.parametrize("how", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_a_regressor_gives_what_onnxruntime_gives(modes, how):
    rng = np.random.default_rng(len(modes))
    model = regressor(rng, modes=modes)
    model.graph.node[0].attribute.append(helper.make_attribute("aggregate_function", how))
    model.graph.node[0].attribute.append(helper.make_attribute("base_values", [0.5, -0.25]))
    x = samples(rng)
    x[::7, 1] = np.nan
    (wanted,) = in_onnxruntime(model, x)
    np.testing.assert_allclose(cml.NumpyModule.from_onnx(model)(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tracks", [0, 1])
def test_missing_values_go_where_the_node_says(tracks):
    rng = np.random.default_rng(3)
    model = regressor(rng)
    count = next(len(a.ints) for a in model.graph.node[0].attribute if a.name == "nodes_treeids")
    attribute = helper.make_attribute("nodes_missing_value_tracks_true", [tracks] * count)
    model.graph.node[0].attribute.append(attribute)
    x = samples(rng)
    x[rng.uniform(size=x.shape) < 0.3] = np.nan
    (wanted,) = in_onnxruntime(model, x)
    np.testing.assert_allclose(cml.NumpyModule.from_onnx(model)(x), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("targets", [2, 3])
def test_a_classifier_gives_what_onnxruntime_gives(post, targets):
    rng = np.random.default_rng(targets)
    model = classifier(rng, targets=targets)
    model.graph.node[0].attribute.append(helper.make_attribute("post_transform", post))
    x = samples(rng)
    labels, scores = in_onnxruntime(model, x)
    got = cml.NumpyModule.from_onnx(model)(x)
    # Of two classes onnxruntime names the second if its score is positive, whatever the other's;
    # the specification says that it is the top one.
    if targets > 2:
        np.testing.assert_array_equal(got[0], labels)
    np.testing.assert_array_equal(got[0], got[1].argmax(axis=1))
    np.testing.assert_allclose(got[1], scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("post", "positive"), [("NONE", False), ("NONE", True), ("LOGISTIC", False)]
)
def test_one_score_of_two_classes_is_read_as_onnxruntime_reads_it(post, positive):
    rng = np.random.default_rng(5)
    model = classifier(rng, targets=1)
    attributes = {a.name: a for a in model.graph.node[0].attribute}
    attributes["classlabels_int64s"].ints[:] = [3, 7]
    if positive:
        attributes["class_weights"].floats[:] = np.abs(attributes["class_weights"].floats) / 4
    model.graph.node[0].attribute.append(helper.make_attribute("post_transform", post))
    x = samples(rng)
    labels, scores = in_onnxruntime(model, x)
    got = cml.NumpyModule.from_onnx(model)(x)
    np.testing.assert_array_equal(got[0], labels)
    np.testing.assert_allclose(got[1], scores, rtol=1e-4, atol=1e-5)


def ensemble_of(rng, **options):
    attributes = random_trees(rng, kind="target", **options)
    return classic_ensemble("target", options.get("targets", 2), attributes)


def run_plan(plan, x, most_bits=4):
    """Everything that a plan says, and that it keeps its promises on the way."""
    bits = (x[:, plan.feature] > plan.cuts).astype(int)
    for stage in plan.stages:
        total = stage.start + (bits[:, stage.index] * stage.factor).sum(axis=-1)
        count, states = stage.table.shape
        assert (total >= 0).all()
        assert (total < states).all()
        assert states <= 2**most_bits
        bits = np.concatenate([bits, stage.table[np.arange(count), total]], axis=1)
    results = bits @ plan.weights + plan.start
    assert (results >= 0).all()
    assert (results <= plan.top).all()
    return results @ plan.join + plan.base


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    trees=st.integers(1, 6),
    depth=st.integers(0, 7),
    features=st.integers(1, 5),
    targets=st.integers(1, 4),
    many_modes=st.booleans(),
    kinds=st.none() | st.integers(1, 3),
)
def test_a_plan_adds_up_what_the_trees_do(seed, trees, depth, features, targets, many_modes, kinds):
    rng = np.random.default_rng(seed)
    modes = MODES if many_modes else MODES[:1]
    ensemble = ensemble_of(
        rng, trees=trees, depth=depth, features=features, targets=targets, modes=modes
    )
    if kinds is not None:
        # Leaves of few different values, by which packed subtrees are told apart. If none were
        # negative, one target might be what the others leave, and with their errors.
        values = -np.abs(rng.normal(size=(kinds, targets))).astype("f")
        leaves = values[rng.integers(kinds, size=len(ensemble.leaves))]
        ensemble = attrs.evolve(ensemble, leaves=leaves)
    x = samples(rng, 300, features)
    wanted = ensemble.aggregated(x, "SUM")
    # Each leaf is rounded to a 4096th of the largest.
    most = trees * np.abs(ensemble.leaves).max(initial=0.0) / 2**13
    for plan in make_plans(ensemble):
        assert np.abs(run_plan(plan, x) - wanted).max() <= most * 1.001 + 1e-6
        if modes == MODES[:1]:
            forks = len(ensemble.feature)
            assert plan.lookups <= max(0, forks - int((ensemble.roots >= 0).sum()))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    trees=st.integers(1, 3),
    depth=st.integers(1, 5),
    features=st.integers(1, 8),
    targets=st.integers(1, 2),
    many_modes=st.booleans(),
)
def test_packed_trees_add_up_the_same(seed, trees, depth, features, targets, many_modes):
    rng = np.random.default_rng(seed)
    modes = MODES if many_modes else MODES[:1]
    ensemble = ensemble_of(
        rng, trees=trees, depth=depth, features=features, targets=targets, modes=modes
    )
    x = samples(rng, 300, features)
    wanted = ensemble.aggregated(x, "SUM")
    most = trees * np.abs(ensemble.leaves).max(initial=0.0) / 2**13
    draft = Draft.of(ensemble)
    # Whether they are cheap or not.
    plans = [*draft.summed(), *itertools.chain(*draft.told())]
    for plan in plans:
        assert np.abs(run_plan(plan, x) - wanted).max() <= most * 1.001 + 1e-6


def test_plans_with_as_many_results_have_the_same_results():
    rng = np.random.default_rng(2)
    ensemble = ensemble_of(rng, trees=4, depth=4, targets=1)
    leaves = rng.choice(np.float32([0.0, 0.25, 1.0]), (len(ensemble.leaves), 1))
    ensemble = attrs.evolve(ensemble, leaves=leaves)
    for plans in Draft.of(ensemble).told():
        paths, packed = plans
        np.testing.assert_array_equal(paths.join, packed.join)
        np.testing.assert_allclose(paths.base, packed.base, atol=1e-12)
        np.testing.assert_array_equal(paths.top, packed.top)


def complete(rng, depth, features, leaves=None):
    """Attributes of a complete tree of one target, whose nodes test one feature after another."""
    count = 2**depth - 1
    inner = np.arange(2 * count + 1) < count
    below = 2 * np.arange(len(inner))
    weights = rng.normal(size=count + 1) if leaves is None else np.array(leaves)
    return {
        "nodes_treeids": [0] * len(inner),
        "nodes_nodeids": list(range(len(inner))),
        "nodes_featureids": np.where(inner, np.arange(len(inner)) % features, 0).tolist(),
        "nodes_modes": np.where(inner, "BRANCH_LEQ", "LEAF").tolist(),
        "nodes_values": np.where(inner, rng.normal(size=len(inner)) / 2, 0.0).tolist(),
        "nodes_truenodeids": np.where(inner, below + 1, 0).tolist(),
        "nodes_falsenodeids": np.where(inner, below + 2, 0).tolist(),
        "target_treeids": [0] * (count + 1),
        "target_nodeids": list(range(count, len(inner))),
        "target_ids": [0] * (count + 1),
        "target_weights": weights.astype(float).tolist(),
        "n_targets": 1,
    }


def lone_tree(depth, features, leaves=None):
    """A module of a complete tree, and samples."""
    rng = np.random.default_rng(depth)
    attributes = complete(rng, depth, features, leaves)
    model = tree_model("TreeEnsembleRegressor", attributes, features=features)
    return cml.NumpyModule.from_onnx(model), rng.normal(size=(400, features)).astype("f")


def widths_of(report):
    """How many lookups there are of each width."""
    total = Counter()
    for node in report.nodes:
        total.update(node.lookups)
    return dict(total)


@pytest.mark.parametrize(
    ("depth", "features", "leaves", "widths"),
    [
        # Three comparisons are eight values.
        (2, 3, None, {3: 1}),
        # A lookup that gives a bit, where paths cost two.
        (2, 3, [0, 1, 1, 0], {3: 1}),
        # Each side of the root: three comparisons, and whether it is that side.
        (3, 7, None, {4: 2}),
        # Each of two features is in one of four bins at most.
        (3, 2, None, {4: 1}),
        # Too many values for one lookup, and too many lookups for packing.
        (4, 15, None, {2: 14}),
    ],
)
def test_a_lone_tree_is_packed_where_that_is_cheaper(depth, features, leaves, widths):
    module, x = lone_tree(depth, features, leaves)
    quantized = cml.quantize(module, x[:50])
    report = quantized.report()
    assert widths_of(report) == widths
    # What paths cost whose results have as many bits as they may.
    assert report.complexity < (2**depth - 2) * lookup_complexity(2, 6.0)
    wanted = module(x)
    assert np.abs(quantized(x) - wanted).max() <= np.abs(wanted).max() / 2**12


@pytest.mark.parametrize(
    ("config", "widths"),
    [
        ({"thresholds": "bins"}, {4: 2}),
        # Comparisons are lookups of four bits, which would be dearer if leaves were read off some.
        ({"thresholds": "uniform", "input_bits": 4}, {2: 6, 4: 7}),
    ],
)
def test_how_comparisons_are_encrypted_decides_too(config, widths):
    module, x = lone_tree(3, 7)
    quantized = cml.quantize(module, x, cml.QuantConfig(**config))
    assert widths_of(quantized.report()) == widths


def test_a_packed_tree_is_as_exact_simulated_stored_and_exported(tmp_path):
    pytest.importorskip("concrete", reason="needs a compiler")
    module, x = lone_tree(3, 7)
    quantized = cml.quantize(module, x[:50])
    wanted = quantized(x)
    quantized.save(tmp_path / "tree.cml")
    circuit = quantized.compile()
    # Six paths of two bits would cost 3.3e8.
    assert circuit.report.complexity < 2.9e8
    for got in (
        cml.QuantizedModule.load(tmp_path / "tree.cml")(x),
        circuit.simulate(x),
        in_onnxruntime(quantized.to_onnx(), x)[0],
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
def test_decrypted_results_of_a_packed_tree_are_the_integers(key_cache):
    module, x = lone_tree(3, 7)
    quantized = cml.quantize(module, x[:50])
    circuit = quantized.compile(cml.FheOptions(key_cache=key_cache))
    circuit.keygen()
    np.testing.assert_array_equal(circuit.predict(x[:4]), quantized(x[:4]))


def test_of_probabilities_one_class_is_what_the_others_leave():
    rng = np.random.default_rng(0)
    ensemble = ensemble_of(rng, targets=3)
    shares = rng.dirichlet(np.ones(3), len(ensemble.leaves)).astype("f")
    ensemble = Ensemble(
        *(getattr(ensemble, n) for n in ("feature", "mode", "value", "missing", "true", "false")),
        ensemble.roots,
        shares,
    )
    (plan,) = make_plans(ensemble)
    x = samples(rng)
    assert np.abs(run_plan(plan, x) - ensemble.aggregated(x, "SUM")).max() < 3 * 2 / 2**12
    # One target is computed from the results of the others.
    assert (np.count_nonzero(plan.join, axis=1) == 2).all()


def test_deep_trees_are_looked_up_at_two_bits():
    rng = np.random.default_rng(1)
    ensemble = ensemble_of(rng, trees=2, depth=10, features=12, targets=1)
    plan, *_ = make_plans(ensemble)
    assert len(plan.stages) > 1
    x = samples(rng, 500, 12)
    error = np.abs(run_plan(plan, x, most_bits=2) - ensemble.aggregated(x, "SUM")).max()
    assert error <= 2 * np.abs(ensemble.leaves).max() / 2**13 * 1.001


@pytest.mark.parametrize("form", ["thermometer", "bins"])
@pytest.mark.parametrize("modes", [MODES[:1], MODES])
def test_labels_are_those_of_the_float_model_to_the_last_sample(form, modes):
    rng = np.random.default_rng(7)
    model = classifier(rng, targets=3, trees=5, modes=modes)
    module = cml.NumpyModule.from_onnx(model)
    x, calibration = samples(rng, 2000), samples(rng, 20)
    quantized = cml.quantize(module, calibration, cml.QuantConfig(thresholds=form))
    labels, scores = module(x)
    got, quantized_scores = quantized(x)
    assert np.abs(quantized_scores - scores).max() < 0.01 * np.ptp(scores)
    close = np.sort(scores, axis=1)
    sure = close[:, -1] - close[:, -2] > 0.02 * np.ptp(scores)
    np.testing.assert_array_equal(got[sure], labels[sure])
    report = quantized.report()
    widths = {width for node in report.nodes for width in node.lookups}
    assert widths <= ({2} if form == "thermometer" else {1, 2, 3, 4})


def test_a_uniform_grid_moves_thresholds_by_half_a_step_at_most():
    rng = np.random.default_rng(8)
    module = cml.NumpyModule.from_onnx(regressor(rng, targets=1, trees=1, depth=2))
    x = rng.uniform(-2, 2, (3000, 4)).astype("f")
    config = cml.QuantConfig(thresholds="uniform", input_bits=6)
    quantized = cml.quantize(module, x, config)
    ensemble = ensemble_of(np.random.default_rng(8), targets=1, trees=1, depth=2)
    cuts = make_plans(ensemble)[0].cuts
    far = (np.abs(x[:, :, np.newaxis] - cuts).min(axis=2) > 4 / 2**6).all(axis=1)
    assert far.sum() > 500
    np.testing.assert_allclose(quantized(x)[far], module(x)[far], atol=0.01)


@pytest.mark.parametrize("form", FORMS)
def test_simulation_storage_and_export_agree_with_the_integers(form, tmp_path):
    pytest.importorskip("concrete", reason="needs a compiler")
    rng = np.random.default_rng(9)
    # Features with so many thresholds that a bin is encrypted in two digits, and others.
    model = classifier(rng, targets=3, depth=3, trees=8, features=2)
    module = cml.NumpyModule.from_onnx(model)
    x = samples(rng, 60, 2)
    config = cml.QuantConfig(thresholds=form, input_bits=4)
    quantized = cml.quantize(module, x, config)
    digits = [code for code in quantized.client.inputs if code.low_bits is not None]
    assert bool(digits) == (form != "thermometer")
    wanted = quantized(x)
    quantized.save(tmp_path / "trees.cml")
    for got in (
        cml.QuantizedModule.load(tmp_path / "trees.cml")(x),
        quantized.compile().simulate(x),
        in_onnxruntime(quantized.to_onnx(), x),
    ):
        np.testing.assert_array_equal(got[0], wanted[0])
        np.testing.assert_allclose(got[1], wanted[1], rtol=1e-6)


@pytest.mark.fhe
@pytest.mark.usefixtures("encrypts_quickly")
@pytest.mark.parametrize("form", FORMS)
def test_decrypted_results_are_the_integers(form, key_cache):
    rng = np.random.default_rng(10)
    module = cml.NumpyModule.from_onnx(classifier(rng, targets=2, depth=2, trees=2))
    x = samples(rng, 60)
    quantized = cml.quantize(module, x, cml.QuantConfig(thresholds=form, input_bits=4))
    circuit = quantized.compile(cml.FheOptions(key_cache=key_cache))
    circuit.keygen()
    for got, wanted in zip(circuit.predict(x[:3]), quantized(x[:3]), strict=True):
        np.testing.assert_array_equal(got, wanted)


def scaled(*, opset=18):
    """Nodes that scale and shift each feature, one of them turned round, and reorder them."""
    scale = helper.make_node("Mul", ["x", "by"], ["scaled"])
    shift = helper.make_node("Add", ["scaled", "off"], ["shifted"])
    order = helper.make_node("Gather", ["shifted", "order"], ["moved"], axis=1)
    return [scale, shift, order]


@pytest.mark.parametrize("function", [None, "Tanh", "Exp"])
def test_what_stands_before_the_trees_is_undone_to_the_last_bit(function):
    rng = np.random.default_rng(11)
    before = scaled()
    if function:
        before.append(helper.make_node(function, ["moved"], ["bent"]))
    attributes = random_trees(rng, kind="target", targets=1)
    attributes["n_targets"] = 1
    model = tree_model("TreeEnsembleRegressor", attributes, before=before)
    for name, value in {
        "by": np.float32([1.7, -0.3, 0.9, 1.1]),
        "off": np.float32([0.1, 0.2, -0.7, 0.0]),
        "order": np.array([2, 0, 3, 1]),
    }.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    module = cml.NumpyModule.from_onnx(model)
    x, calibration = samples(rng, 3000), samples(rng, 30)
    stats = cml.calibrate(module, calibration)
    assert set(stats.cuts) == {"x"}
    quantized = cml.quantize(module, stats, cml.QuantConfig())
    wanted = module(x)
    assert np.abs(quantized(x) - wanted).max() <= 3 * np.abs(wanted).max() / 2**12
    if function == "Tanh":
        return  # It falls here and there, by the last bit.
    # And exactly at the cuts: the last number below each, and the first above.
    cuts = stats.cuts["x"]
    at = np.repeat(x[:1], 2 * len(cuts.values), axis=0)
    rows = np.arange(len(cuts.values))
    low = cuts.values.astype("f")
    at[2 * rows, cuts.element] = low
    at[2 * rows + 1, cuts.element] = np.nextafter(low, np.float32(np.inf))
    assert np.abs(quantized(at) - module(at)).max() <= 3 * np.abs(wanted).max() / 2**12


def test_an_input_that_something_else_reads_too_keeps_its_grid():
    rng = np.random.default_rng(12)
    attributes = random_trees(rng, kind="target", targets=1)
    attributes["n_targets"] = 1
    model = tree_model("TreeEnsembleRegressor", attributes)
    weight = onnx.numpy_helper.from_array(rng.normal(size=(4, 1)).astype("f"), "weight")
    model.graph.initializer.append(weight)
    model.graph.node.append(helper.make_node("MatMul", ["x", "weight"], ["z"]))
    model.graph.node.append(helper.make_node("Add", ["y", "z"], ["sum"]))
    model.graph.output[0].name = "sum"
    module = cml.NumpyModule.from_onnx(model)
    x = rng.uniform(-2, 2, (300, 4)).astype("f")
    assert not cml.calibrate(module, x).cuts
    quantized = cml.quantize(module, x, n_bits=7)
    error = np.abs(quantized(x) - module(x))
    assert np.median(error) < 0.05 * np.ptp(module(x))


def test_an_ensemble_of_lone_leaves_is_a_constant():
    rng = np.random.default_rng(13)
    module = cml.NumpyModule.from_onnx(regressor(rng, depth=0))
    x = samples(rng, 10)
    quantized = cml.quantize(module, x)
    np.testing.assert_allclose(quantized(x), module(x), atol=3 * 5 / 2**13)
    assert quantized(x[:0]).shape == (0, 2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("nodes_modes", ["BRANCH_LEQ", "NO_LEAF", "LEAF"], "BRANCH_LEQ"),
        ("nodes_truenodeids", [5, 0, 0], "a node of tree 0"),
        ("nodes_values", [0.5], "3, one for each node"),
        ("target_ids", [0, 4], "from 0 to below 1"),
        ("nodes_truenodeids", [0, 0, 0], "trees"),
    ],
)
def test_attributes_that_contradict_each_other_are_refused(name, value, expected):
    attributes = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, 2.0],
        "n_targets": 1,
        name: value,
    }
    module = cml.NumpyModule.from_onnx(tree_model("TreeEnsembleRegressor", attributes))
    with pytest.raises(NodeError, match=expected) as error:
        module(np.zeros((1, 4), "f"))
    assert error.value.node == "trees"


def test_too_few_features_are_refused():
    rng = np.random.default_rng(14)
    model = regressor(rng)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2
    with pytest.raises(NodeError, match="at least"):
        cml.NumpyModule.from_onnx(model)(np.zeros((1, 2), "f"))


def test_the_least_of_trees_is_refused_by_name():
    rng = np.random.default_rng(15)
    model = regressor(rng)
    model.graph.node[0].attribute.append(helper.make_attribute("aggregate_function", "MIN"))
    module = cml.NumpyModule.from_onnx(model)
    with pytest.raises(NodeError, match="SUM or AVERAGE"):
        cml.quantize(module, samples(rng, 10))


def test_values_that_are_no_numbers_are_reported():
    rng = np.random.default_rng(16)
    quantized = cml.quantize(cml.NumpyModule.from_onnx(regressor(rng)), samples(rng, 20))
    x = samples(rng, 5)
    x[2] = np.nan
    with pytest.warns(cml.SaturationWarning, match="1 of 5 samples"):
        quantized(x)


def test_attributes_are_read_once_for_each_node(monkeypatch):
    read = []

    def counted(kind, targets, attributes):
        read.append(kind)
        return classic_ensemble(kind, targets, attributes)

    monkeypatch.setattr("cml_ops_contrib.tree_ensemble_regressor.classic_ensemble", counted)
    rng = np.random.default_rng(17)
    modules = [cml.NumpyModule.from_onnx(regressor(rng)) for _ in range(2)]
    x = samples(rng, 5)
    first = [module(x) for module in modules]
    for module, wanted in zip(modules, first, strict=True):
        np.testing.assert_array_equal(module(x), wanted)
    assert len(read) == 2


@pytest.mark.parametrize("modes", [MODES[:1], MODES])
@pytest.mark.parametrize("tracks", [False, True])
def test_what_all_nodes_ask_is_found_out_once(monkeypatch, modes, tracks):
    rng = np.random.default_rng(18)
    attributes = random_trees(rng, modes=modes, kind="target")
    attributes["nodes_missing_value_tracks_true"] = [tracks] * len(attributes["nodes_modes"])
    ensemble = classic_ensemble("target", 2, attributes)
    x = samples(rng)
    x[::5, 1] = np.nan
    wanted = [
        [walked(ensemble, root, row) for root in ensemble.roots.tolist()] for row in x.tolist()
    ]

    def refuse(*_):
        raise AssertionError("asked again")

    monkeypatch.setattr(np, "unique", refuse)
    np.testing.assert_array_equal(ensemble.reached(x), wanted)


def walked(ensemble, at, row):
    """The leaf that one sample reaches in one tree, node after node."""
    tests = (operator.le, operator.lt, operator.ge, operator.gt, operator.eq, operator.ne)
    while at >= 0:
        value = row[ensemble.feature[at]]
        taken = tests[ensemble.mode[at]](value, ensemble.value[at])
        taken = taken or (value != value and ensemble.missing[at])
        at = int((ensemble.true if taken else ensemble.false)[at])
    return ~at
