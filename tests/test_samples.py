"""Batches divided into samples, and samples brought together again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cml_core.errors import InputDtypeError, InputError, InputNameError, InputShapeError
from cml_core.graph.model import TensorSpec
from cml_core.numpy_module import NumpyModule
from cml_core.samples import SampleLayout, count_samples
from tests.models import make_model, node, value

FLOAT = np.dtype(np.float32)


def layout(inputs, outputs=None):
    specs = tuple(TensorSpec(name, FLOAT, shape) for name, shape in inputs.items())
    outputs = inputs if outputs is None else outputs
    return SampleLayout(
        specs, tuple(TensorSpec(name, FLOAT, shape) for name, shape in outputs.items())
    )


def numbers(*shape):
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


# --- open batch size ---


def test_the_first_axis_of_an_open_batch_counts_samples():
    samples = layout({"x": ("batch", 3)}).split({"x": numbers(5, 3)})["x"]
    assert samples.shape == (5, 1, 3)
    np.testing.assert_array_equal(samples[2, 0], [6, 7, 8])


@pytest.mark.parametrize("symbol", ["batch", None])
@given(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3))
def test_splitting_and_joining_an_open_batch_gives_it_back(symbol, shape):
    both = layout({"x": (symbol, *shape[1:])})
    given_array = numbers(*shape)
    samples = both.split({"x": given_array})
    assert count_samples(samples) == shape[0]
    assert samples["x"].shape == (shape[0], 1, *shape[1:])
    np.testing.assert_array_equal(both.join(samples)["x"], given_array, strict=True)


@given(st.integers(0, 2), st.integers(0, 4), st.integers(1, 3))
def test_results_are_joined_along_the_axis_with_the_inputs_symbol(axis, count, size):
    shape = [2, 3, 4]
    shape[axis] = size
    declared = list(shape)
    declared[axis] = "batch"
    samples = np.random.default_rng(0).normal(size=(count, *shape)).astype(FLOAT)
    both = layout({"x": ("batch", 2)}, {"y": tuple(declared)})
    joined = both.join({"y": samples})["y"]
    expected_shape = list(shape)
    expected_shape[axis] = count * size
    assert joined.shape == tuple(expected_shape)
    if count:
        np.testing.assert_array_equal(joined, np.concatenate(list(samples), axis=axis))


@pytest.mark.parametrize("declared", [None, (), ("other", 2), (None, 2), (1, 2)])
def test_results_without_that_symbol_are_joined_along_their_first_axis(declared):
    both = layout({"x": ("batch", 2)}, {"y": declared})
    np.testing.assert_array_equal(both.join({"y": numbers(5, 1, 2)})["y"], numbers(5, 2))


def test_a_known_batch_axis_outweighs_the_symbol():
    specs = (TensorSpec("x", FLOAT, ("batch", 2)),), (TensorSpec("y", FLOAT, ("batch", 2)),)
    both = SampleLayout(*specs, {"y": 1})
    joined = both.join({"y": numbers(5, 1, 2)})["y"]
    np.testing.assert_array_equal(joined, numbers(1, 10))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_result_that_is_the_same_for_every_batch_comes_once(count):
    specs = (TensorSpec("x", FLOAT, ("batch", 2)),), (TensorSpec("y", FLOAT, (3,)),)
    both = SampleLayout(*specs, {"y": None})
    assert both.join({"y": np.zeros((count, 3), FLOAT)})["y"].shape == (3,)


def test_a_result_without_dimensions_is_one_number_per_sample():
    both = layout({"x": ("batch", 2)}, {"y": ()})
    np.testing.assert_array_equal(both.join({"y": numbers(5)})["y"], numbers(5))
    np.testing.assert_array_equal(both.join({"y": numbers(1)})["y"], numbers(1))


def test_an_input_of_fixed_shape_is_the_same_for_every_sample():
    both = layout({"x": ("batch", 2), "scale": (3,), "one": ()})
    given_arrays = {"x": numbers(4, 2), "scale": numbers(3), "one": np.float32(1)}
    samples = both.split(given_arrays)
    assert {name: array.shape for name, array in samples.items()} == {
        "x": (4, 1, 2),
        "scale": (4, 3),
        "one": (4,),
    }
    np.testing.assert_array_equal(samples["scale"], [numbers(3)] * 4)


def test_a_single_sample_of_one_input_serves_all_of_another():
    both = layout({"x": ("n", 2), "y": ("m", 2)})
    samples = both.split({"x": numbers(1, 2), "y": numbers(4, 2)})
    assert samples["x"].shape == samples["y"].shape == (4, 1, 2)
    samples = both.split({"x": numbers(1, 2), "y": numbers(0, 2)})
    assert samples["x"].shape == (0, 1, 2)
    with pytest.raises(InputShapeError, match="2 samples, as in the other inputs") as raised:
        both.split({"x": numbers(2, 2), "y": numbers(4, 2)})
    assert (raised.value.name, raised.value.shape) == ("y", (4, 2))


def test_an_input_of_unknown_rank_counts_samples_if_it_has_an_axis():
    both = layout({"x": None, "y": None})
    samples = both.split({"x": numbers(4, 2), "y": np.float32(3)})
    assert (samples["x"].shape, samples["y"].shape) == ((4, 1, 2), (4,))
    batches = list(both.batches(samples, 3))
    assert [batch["x"].shape for batch in batches] == [(3, 2), (1, 2)]
    assert [batch["y"].shape for batch in batches] == [(), ()]


# --- fixed shape ---


@pytest.mark.parametrize(
    ("declared", "given_shape", "expected"),
    [
        ((1, 3), (1, 3), (1, 1, 3)),
        ((1, 3), (5, 3), (5, 1, 3)),
        ((1, 3), (5, 1, 3), (5, 1, 3)),
        ((1, 3), (0, 3), (0, 1, 3)),
        ((1, 3), (0, 1, 3), (0, 1, 3)),
        ((2, 3), (6, 3), (3, 2, 3)),
        ((2, 3), (4, 2, 3), (4, 2, 3)),
        ((3,), (3,), (1, 3)),
        ((3,), (6,), (2, 3)),
        ((3,), (5, 3), (5, 3)),
        ((), (), (1,)),
        ((), (5,), (5,)),
        ((2, 0), (4, 0), (2, 2, 0)),
        ((1, "steps"), (5, 7), (5, 1, 7)),
        ((1, "steps"), (5, 1, 7), (5, 1, 7)),
        ((1, 3, None), (3, 1, 3, 2), (3, 1, 3, 2)),
    ],
)
def test_a_model_of_fixed_shape_takes_several_samples_in_two_ways(declared, given_shape, expected):
    samples = layout({"x": declared}).split({"x": numbers(*given_shape)})["x"]
    np.testing.assert_array_equal(samples, numbers(*expected), strict=True)


@pytest.mark.parametrize(
    ("declared", "given_shape"),
    [((2, 3), (5, 3)), ((2, 3), (2, 4)), ((2, 3), (0, 4)), ((2, 3), (3,)), ((2, 3), (1, 1, 2, 3)),
     ((2, 3), (4, 3, 2)), ((3,), (4,)), ((), (2, 2)), ((1, "n", "n"), (1, 2, 3))],
)  # fmt: skip
def test_other_shapes_are_refused_as_they_were_given(declared, given_shape):
    with pytest.raises(InputShapeError) as raised:
        layout({"x": declared}).split({"x": numbers(*given_shape)})
    assert raised.value.shape == given_shape
    assert "or several of that shape stacked" in raised.value.expected


@given(
    hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
    st.integers(0, 4),
)
def test_stacked_samples_of_a_fixed_shape_come_back_stacked_or_as_one_batch(shape, count):
    both = layout({"x": shape})
    stacked = numbers(count, *shape)
    samples = both.split({"x": stacked})
    np.testing.assert_array_equal(samples["x"], stacked)
    joined = both.join(samples)["x"]
    if count == 1:
        np.testing.assert_array_equal(joined, stacked[0], strict=True)
    else:
        np.testing.assert_array_equal(joined.ravel(), stacked.ravel())
        is_batch = len(shape) > 1 or shape == (1,)
        wanted = (count * shape[0], *shape[1:]) if is_batch else (count, *shape)
        assert joined.shape == wanted


@pytest.mark.parametrize(
    ("result", "expected"),
    [((2, 5), (6, 5)), ((1, 5), (3, 5)), ((5,), (3, 5)), ((), (3,)), ((4, 5), (3, 4, 5))],
)
def test_results_of_a_fixed_batch_are_one_larger_batch_and_others_are_stacked(result, expected):
    both = layout({"x": (2, 3)}, {"y": result})
    joined = both.join({"y": numbers(3, *result)})["y"]
    np.testing.assert_array_equal(joined, numbers(*expected), strict=True)


def test_every_sample_of_a_fixed_shape_is_checked_for_its_dtype():
    both = SampleLayout((TensorSpec("x", np.dtype(np.int8), (1, 2)),), ())
    with pytest.raises(InputDtypeError):
        both.split({"x": np.array([[1, 2], [3, 300]])})


@pytest.mark.parametrize("shape", [("batch", 2), (1, 2)], ids=["open", "fixed"])
def test_wrong_names_dtypes_and_ragged_rows_are_input_errors(shape):
    both = layout({"x": shape})
    with pytest.raises(InputNameError):
        both.split({"y": numbers(1, 2)})
    with pytest.raises(InputDtypeError):
        both.split({"x": np.array([["1", "2"]])})
    with pytest.raises(InputError):
        both.split({"x": [[1.0, 2.0], [3.0]]})


# --- batches for the model itself ---


@given(st.integers(1, 9), st.integers(1, 5), st.sampled_from([("batch", 2), (1, 2), (2,)]))
def test_batches_hold_every_sample_once(count, size, shape):
    both = layout({"x": shape, "same": (3,)})
    per_sample = both.split({"x": numbers(count, *shape[-1:]), "same": numbers(3)})
    batches = list(both.batches(per_sample, size))
    rows = np.concatenate([batch["x"].reshape(-1, 2) for batch in batches])
    np.testing.assert_array_equal(rows, numbers(count, 2))
    assert all(len(batch["x"].reshape(-1, 2)) <= (size if both.batched else 1) for batch in batches)
    assert all(batch["same"].shape == (3,) for batch in batches)


def test_a_model_without_inputs_has_one_sample():
    both = layout({}, {"y": (2,)})
    assert both.split({}) == {}
    assert count_samples({}) == count_samples([]) == 1
    assert list(both.batches({}, 10)) == [{}]
    np.testing.assert_array_equal(both.join({"y": numbers(1, 2)})["y"], numbers(2))


@pytest.mark.parametrize("batch", ["batch", 1, 2])
def test_samples_one_by_one_give_what_the_model_gives_for_the_batch(batch):
    nodes = [node("Transpose", ["x"], ["t"]), node("Relu", ["x"], ["y"])]
    outputs = [value("t", [3, batch]), value("y", [batch, 3])]
    module = NumpyModule.from_onnx(make_model(nodes, {"x": [batch, 3]}, outputs))
    both = SampleLayout(module.inputs, module.outputs)
    x = numbers(4, 3) - 5
    samples = both.split({"x": x})
    results = [module.run({"x": samples["x"][k]}) for k in range(count_samples(samples))]
    joined = both.join({name: np.stack([r[name] for r in results]) for name in ("t", "y")})
    np.testing.assert_array_equal(joined["y"], np.maximum(x, 0))
    if batch == "batch":
        np.testing.assert_array_equal(joined["t"], x.T)
