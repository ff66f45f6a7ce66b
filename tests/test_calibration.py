"""The calibration run: what it learns of every tensor, and the data it refuses."""

import numpy as np
import pytest
from onnx import TensorProto

import cml_core as cml
from cml_core.calibration.observers import MinMaxObserver
from cml_core.calibration.stats import CalibrationRecorder
from cml_core.errors import (
    CalibrationError,
    ConfigError,
    InputNameError,
    InputShapeError,
    NodeError,
)
from cml_core.plugin_api import ElementwiseQuantizedOp
from tests.models import linear_model, make_model, node, plugin, registry_with, relu_model, value
from tests.networks import mlp, samples


def module_of(*nodes, inputs=None, outputs=("y",), constants=None, registry=None):
    inputs = {"x": ["batch", 2]} if inputs is None else inputs
    model = make_model(nodes, inputs, outputs, constants, domains={"test": 1})
    return cml.NumpyModule.from_onnx(model, registry=registry)


def ranges(stats):
    return {name: (seen.low, seen.high) for name, seen in stats.ranges.items()}


def rows(*values):
    return np.array([[v, 0.0] for v in values], dtype=np.float32)


# --- ranges ---


def test_the_range_of_every_tensor_is_seen():
    module = module_of(
        node("Neg", ["x"], ["a"]), node("Relu", ["a"], ["b"]), node("Sqrt", ["b"], ["y"])
    )
    stats = cml.calibrate(module, rows(-9, 3, 1))
    assert ranges(stats) == {"x": (-9, 3), "a": (-3, 9), "b": (0, 9), "y": (0, 3)}


@pytest.mark.parametrize("place", [0, 255, 256, 300, 511, 512, 599])
def test_ranges_are_right_wherever_in_the_data_an_extreme_lies(place):
    x = np.random.default_rng(0).uniform(-1, 1, size=(600, 2)).astype(np.float32)
    x[place] = [-7.0, 8.0]
    stats = cml.calibrate(module_of(node("Neg", ["x"], ["y"])), x)
    assert ranges(stats) == {"x": (-7, 8), "y": (-8, 7)}
    np.testing.assert_array_equal(stats.samples["x"], x[:, np.newaxis])


def test_samples_of_a_fixed_shape_are_run_one_by_one():
    module = module_of(node("Neg", ["x"], ["y"]), inputs={"x": [1, 2]})
    stats = cml.calibrate(module, rows(*range(-300, 10)))
    assert ranges(stats) == {"x": (-300, 9), "y": (-9, 300)}


def test_data_may_come_by_position_or_by_name():
    module = module_of(node("Add", ["x", "z"], ["y"]), inputs={"x": ["n", 2], "z": ["n", 2]})
    by_position = cml.calibrate(module, (rows(1, 2), rows(5, 5)))
    by_name = cml.calibrate(module, {"z": rows(5, 5), "x": rows(1, 2)})
    assert ranges(by_position) == ranges(by_name) == {"x": (0, 2), "z": (0, 5), "y": (0, 7)}


def test_values_that_are_not_finite_do_not_count_in_a_range():
    module = module_of(node("Log", ["x"], ["a"]), node("Exp", ["a"], ["y"]))
    x = np.array([[0.0, -1.0], [1.0, np.e]], dtype=np.float64)
    stats = cml.calibrate(module, x)
    assert ranges(stats)["a"] == pytest.approx((0.0, 1.0))
    assert ranges(stats)["y"] == pytest.approx((0.0, np.e))


def test_a_tensor_that_is_never_finite_has_the_range_of_zero():
    module = module_of(node("Log", ["x"], ["y"]))
    assert ranges(cml.calibrate(module, -np.ones((3, 2))))["y"] == (0.0, 0.0)


def test_tensors_of_other_kinds_are_seen_as_numbers_or_not_at_all():
    module = module_of(
        node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
        node("Less", ["whole", "two"], ["truth"]),
        outputs=["truth"],
        constants={"two": np.int64(2)},
    )
    assert ranges(cml.calibrate(module, rows(-5, 7))) == {
        "x": (-5, 7),
        "whole": (-5, 7),
        "truth": (0, 1),
    }
    observer = MinMaxObserver()
    observer.update(np.array(["a"], dtype=object))
    observer.update(np.zeros((0, 3)))
    assert observer.range(8) == (0.0, 0.0)


def test_a_model_without_inputs_is_run_once():
    draw = node("RandomUniform", [], ["y"], low=4.0, high=5.0, shape=[9], seed=1.0)
    module = module_of(draw, inputs=[])
    stats = cml.calibrate(module, {})
    ((name, (low, high)),) = ranges(stats).items()
    assert name == "y"
    assert 4 <= low < high <= 5
    assert stats.samples == {}


# --- hooks ---


def test_hooks_see_every_batch_and_their_notes_reach_lowering():
    calls, found = [], []

    def hook(recorder, inputs, outputs, attributes):
        calls.append((inputs, outputs, dict(attributes)))
        recorder.notes["samples"] = recorder.notes.get("samples", 0) + len(inputs[0])

    def scale(x, y=None, *, by=1):
        return (x * np.asarray(by, x.dtype),)

    def quantized(ctx, *tensors, **attributes):
        found.append((ctx.bound.name, dict(ctx.notes)))
        return ElementwiseQuantizedOp(scale)(ctx, tensors[0], **attributes)

    scaled = plugin("Scale", numpy_op=scale, quantized_op=quantized, calibration_hook=hook)
    module = module_of(
        node("Scale", ["x", ""], ["a"], domain="test", name="double", by=2),
        node("Scale", ["a"], ["b"], domain="test", name="same"),
        node("Gemm", ["b", "w"], ["y"], name="dense"),
        constants={"w": np.eye(2, dtype=np.float32)},
        registry=registry_with(theirs=scaled),
    )
    x = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    stats = cml.calibrate(module, x)

    assert [len(inputs[0]) for inputs, _, _ in calls] == [256, 256, 44, 44]
    (a, omitted), (doubled,), attributes = calls[0]
    assert omitted is None
    assert attributes == {"by": 2}
    np.testing.assert_array_equal(a, x[:256])
    np.testing.assert_array_equal(doubled, 2 * x[:256])
    assert stats.notes == {"double": {"samples": 300}, "same": {"samples": 300}}

    cml.quantize(module, stats, n_bits=4)
    assert found == [("double", {"samples": 300}), ("same", {"samples": 300})]


def test_a_hook_that_fails_is_named_with_its_node():
    def hook(recorder, inputs, outputs, attributes):
        raise KeyError("thresholds")

    module = module_of(
        node("Odd", ["x"], ["y"], domain="test", name="odd"),
        registry=registry_with(theirs=plugin("Odd", calibration_hook=hook)),
    )
    with pytest.raises(NodeError, match="calibration hook raised KeyError") as raised:
        cml.calibrate(module, rows(1))
    assert (raised.value.node, raised.value.op_type) == ("odd", "Odd")


def test_what_was_learned_cannot_be_changed():
    stats = cml.calibrate(cml.NumpyModule.from_onnx(relu_model()), np.ones((2, 4)))
    for mapping in (stats.ranges, stats.notes, stats.samples):
        with pytest.raises(TypeError):
            mapping["x"] = None
    assert len(repr(stats)) < 200


# --- data that will not do ---


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_data_that_is_not_finite_is_refused_with_the_first_bad_sample(bad):
    x = rows(1, 2, 3, 4, 5)
    x[[2, 4], 1] = bad
    with pytest.raises(CalibrationError) as raised:
        cml.calibrate(module_of(node("Relu", ["x"], ["y"])), x)
    assert raised.value.name == "x"
    assert "in 2 of 5 samples (the first is number 2)" in raised.value.reason
    assert raised.value.hint


def test_data_that_is_too_large_for_the_model_s_dtype_is_refused():
    with pytest.raises(CalibrationError, match="infinite values in 1 of 1 samples"):
        cml.calibrate(module_of(node("Relu", ["x"], ["y"])), np.array([[1e300, 0.0]]))


@pytest.mark.parametrize(
    ("shape", "data"),
    [(["batch", 2], (0, 2)), ([1, 2], (0, 2)), ([1, 2], (0, 1, 2)), (["batch", 2], (0, 0))],
)
def test_data_without_samples_is_refused(shape, data):
    module = module_of(node("Relu", ["x"], ["y"]), inputs={"x": shape})
    wanted = CalibrationError if data[-1] == 2 else InputShapeError
    with pytest.raises(wanted) as raised:
        cml.calibrate(module, np.zeros(data))
    assert raised.value.name == "x"
    if wanted is CalibrationError:
        assert raised.value.reason == "is empty"
        assert "samples that look like" in raised.value.hint


def test_an_input_whose_samples_are_empty_is_not_missing():
    module = module_of(
        node("Concat", ["x", "none"], ["y"], axis=1),
        inputs=[value("x", ["n", 2]), value("none", ["n", 0])],
    )
    stats = cml.calibrate(module, {"x": rows(3, 4), "none": np.zeros((2, 0))})
    assert ranges(stats)["y"] == (0, 4)


def test_wrong_names_counts_and_shapes_are_refused():
    module = cml.NumpyModule.from_onnx(linear_model())
    x = np.zeros((5, 4))
    with pytest.raises(InputNameError, match="The model's inputs are: x"):
        cml.calibrate(module, {"pixels": x})
    with pytest.raises(InputNameError, match="positional argument 2"):
        cml.calibrate(module, (x, x))
    with pytest.raises(InputShapeError, match=r"expected \(batch, 4\)"):
        cml.calibrate(module, np.zeros((5, 3)))


# --- observers ---


def test_a_recorder_adds_up_what_its_observers_see():
    recorder = CalibrationRecorder()
    for batch in ([3.0, 1.0], [-2.0], []):
        recorder.observe("t", np.array(batch))
    recorder.turn_to("node")
    recorder.notes["a"] = 1
    recorder.turn_to("silent")
    stats = recorder.finish({})
    assert ranges(stats) == {"t": (-2.0, 3.0)}
    assert stats.notes == {"node": {"a": 1}}


def test_an_unknown_observer_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="minmax") as raised:
        cml.calibrate(cml.NumpyModule.from_onnx(relu_model()), np.zeros((1, 4)), observer="median")
    assert (raised.value.argument, raised.value.value) == ("observer", "median")


@pytest.mark.parametrize("place", ["inputs", "outputs"])
def test_a_hook_cannot_change_what_other_nodes_read(place):
    def hook(ctx, inputs, outputs, attributes):
        (inputs if place == "inputs" else outputs)[0][...] = 0

    careless = plugin("Careless", calibration_hook=hook)
    module = module_of(
        node("Careless", ["x"], ["a"], domain="test"),
        node("Neg", ["a"], ["y"]),
        registry=registry_with(careless=careless),
    )
    with pytest.raises(NodeError, match=r"its calibration hook raised ValueError.*read-only"):
        cml.calibrate(module, rows(1, 2))


# --- statistics given to quantize ---


def test_statistics_keep_samples_of_their_own():
    module = cml.NumpyModule.from_onnx(mlp([4, 3, 2]))
    data, wanted = samples([4], 60), None
    for spoilt in (False, True):
        buffer = data.copy()
        stats = cml.calibrate(module, buffer)
        if spoilt:
            buffer[...] = 100
        result = cml.quantize(module, stats, n_bits=4)(data)
        wanted = result if wanted is None else wanted
        np.testing.assert_array_equal(result, wanted)


def test_statistics_that_do_not_go_with_the_configuration_are_refused():
    module, data = cml.NumpyModule.from_onnx(mlp([4, 3, 2])), samples([4], 60)
    stats = cml.calibrate(module, data)
    with pytest.raises(ConfigError, match="observer='mse' is not possible: expected 'minmax'"):
        cml.quantize(module, stats, cml.QuantConfig(observer="mse"))
    other = cml.NumpyModule.from_onnx(mlp([4, 3, 2], seed=1))
    with pytest.raises(ConfigError, match="statistics of another model"):
        cml.quantize(other, stats)
    wide = cml.calibrate(module, data, observer="mse", n_bits=8)
    with pytest.raises(ConfigError, match="activation_bits=3 is not possible: expected 8"):
        cml.quantize(module, wide, cml.QuantConfig(observer="mse", activation_bits=3))
    # Which ranges these observers choose has nothing to do with bits.
    cml.quantize(module, stats, n_bits=3)
    # The same file, loaded once more.
    cml.quantize(cml.NumpyModule.from_onnx(mlp([4, 3, 2])), stats, n_bits=3)


@pytest.mark.parametrize("function", [cml.calibrate, cml.quantize])
def test_what_is_no_module_is_told_how_to_become_one(function):
    with pytest.raises(ConfigError, match=r"NumpyModule\.from_onnx makes one"):
        function(mlp([4, 3, 2]), samples([4], 60))
