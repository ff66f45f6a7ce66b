"""Arrays on their way into a model: names, dtypes, shapes, and what is refused."""

from types import MappingProxyType

import ml_dtypes
import numpy as np
import pytest

from cml_core.errors import InputDtypeError, InputError, InputNameError, InputShapeError
from cml_core.feeds import Intake, as_feeds, bind_arguments, unpack
from cml_core.graph.model import TensorSpec


def spec(name="x", dtype="float32", shape=None):
    return TensorSpec(name, None if dtype is None else np.dtype(dtype), shape)


def feed(value, dtype="float32", shape=None):
    return as_feeds([spec("x", dtype, shape)], {"x": value})["x"]


# --- names ---


def test_positional_arrays_take_the_names_of_the_inputs_in_order():
    assert bind_arguments([spec("a"), spec("b")], [1, 2]) == {"a": 1, "b": 2}
    assert bind_arguments([], []) == {}


@pytest.mark.parametrize(
    ("count", "missing", "unknown"),
    [(0, ("a", "b"), ()), (1, ("b",), ()), (3, (), ("positional argument 3",))],
)
def test_too_few_or_too_many_positional_arrays_are_refused(count, missing, unknown):
    with pytest.raises(InputNameError) as raised:
        bind_arguments([spec("a"), spec("b")], range(count))
    assert (raised.value.missing, raised.value.unknown) == (missing, unknown)
    assert raised.value.expected == ("a", "b")


@pytest.mark.parametrize(
    ("names", "missing", "unknown"),
    [("a", ("b",), ()), ("ac", ("b",), ("c",)), ("abcd", (), ("c", "d")), ("", ("a", "b"), ())],
)
def test_wrong_names_are_refused_with_those_that_are_right(names, missing, unknown):
    with pytest.raises(InputNameError) as raised:
        as_feeds([spec("a"), spec("b")], dict.fromkeys(names, 0.0))
    assert (raised.value.missing, raised.value.unknown) == (missing, unknown)
    assert "The model's inputs are: a, b." in str(raised.value)


@pytest.mark.parametrize("given", [np.zeros(2), [0.0], None, "a"])
def test_what_has_no_names_at_all_is_refused(given):
    with pytest.raises(InputNameError, match=f"a {type(given).__name__} without names"):
        as_feeds([spec("a")], given)


def test_any_mapping_will_do(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(as_feeds([spec("a")], arrays)["a"], [1, 1])
    assert as_feeds([spec("a")], MappingProxyType({"a": 1}))["a"] == 1


def test_one_result_is_an_array_and_several_are_a_tuple():
    assert unpack({"y": 1}) == 1
    assert unpack({"y": 1, "z": 2}) == (1, 2)


# --- dtypes ---


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float64([0.5, -1]), "float32"),
        (np.float16([0.5, -1]), "float64"),
        (np.int64([3, -1]), "float32"),
        (np.uint8([3, 255]), "float16"),
        ([True, False], "float32"),
        (np.int64([3, -128]), "int8"),
        (np.uint8([3, 255]), "int64"),
        (np.int64([3, 255]), "uint8"),
        (np.float32([0.5, 1.5]), ml_dtypes.bfloat16),
        (np.array(["a", "b"]), "object"),
        ([0.5, -1], "float32"),
        (7, "float32"),
    ],
    ids=str,
)
def test_values_are_converted_where_they_keep_their_meaning(value, dtype):
    result = feed(value, dtype)
    assert result.dtype == np.dtype(dtype)
    assert result.tolist() == np.asarray(value).tolist()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float32([1.0]), "int64"),
        (np.float32([1.0]), "bool"),
        (np.int64([0, 1]), "bool"),
        ([True], "int64"),
        (np.int64([128]), "int8"),
        (np.int64([-1]), "uint8"),
        (np.uint64([2**63]), "int64"),
        (np.complex64([1.0]), "float32"),
        (["1.0"], "float32"),
        (np.array([1.0, None]), "float32"),
        (np.float32([1.0]), "object"),
        (np.array(["2024-01-01"], "datetime64[D]"), "float32"),
        (None, "float32"),
    ],
    ids=str,
)
def test_other_conversions_are_refused(value, dtype):
    with pytest.raises(InputDtypeError) as raised:
        feed(value, dtype)
    assert (raised.value.name, raised.value.expected) == ("x", dtype)
    assert raised.value.dtype == str(np.asarray(value).dtype)


def test_the_dtype_of_an_empty_array_does_not_matter():
    assert feed([], "int64").dtype == np.int64
    assert feed(np.zeros((0, 3)), "bool").shape == (0, 3)


def test_an_array_of_the_right_dtype_is_not_copied():
    x = np.zeros(3, np.float32)
    assert feed(x) is x
    assert feed(x, None) is x


def test_what_is_beyond_a_float_becomes_infinite_without_a_warning():
    assert feed(np.float64([1e300])).tolist() == [np.inf]


class Stubborn:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("call detach() first")


def test_what_cannot_become_an_array_is_refused_by_its_type():
    with pytest.raises(InputDtypeError, match="is of dtype Stubborn"):
        feed(Stubborn())


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(InputShapeError, match="not rows of unequal length"):
        feed([[1.0, 2.0], [3.0]], shape=("n", 2))


# --- shapes ---


@pytest.mark.parametrize(
    ("shape", "declared"),
    [
        ((2, 3), (2, 3)),
        ((5, 3), ("n", 3)),
        ((5, 3), (None, 3)),
        ((0, 3), ("n", 3)),
        ((4, 4), ("n", "n")),
        ((), ()),
        ((7, 7, 7), None),
    ],
)
def test_shapes_that_fit(shape, declared):
    assert feed(np.zeros(shape, np.float32), shape=declared).shape == shape


@pytest.mark.parametrize(
    ("shape", "declared", "expected"),
    [
        ((2, 4), (2, 3), "(2, 3)"),
        ((3,), (2, 3), "2 dimensions, (2, 3)"),
        ((), ("n", 3), "2 dimensions, (n, 3)"),
        ((1,), (), "0 dimensions, ()"),
        ((5, 4), (None, 3), "(?, 3)"),
        ((4, 5), ("n", "n"), "(n, n) with n = 4, as in input 'x'"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_what_would(shape, declared, expected):
    with pytest.raises(InputShapeError) as raised:
        feed(np.zeros(shape), shape=declared)
    error = raised.value
    assert (error.name, error.shape, error.expected) == ("x", shape, expected)
    assert str(error) == f"input 'x' has shape {shape}, expected {expected}."


def test_a_symbol_is_one_size_in_all_inputs():
    specs = [spec("a", shape=("n", 2)), spec("b", shape=(3, "n"))]
    assert as_feeds(specs, {"a": np.zeros((5, 2)), "b": np.zeros((3, 5))})
    with pytest.raises(InputShapeError, match=r"n = 5, as in input 'a'") as raised:
        as_feeds(specs, {"a": np.zeros((5, 2)), "b": np.zeros((3, 4))})
    assert raised.value.name == "b"


def test_sizes_that_are_not_named_may_differ():
    specs = [spec("a", shape=(None, 2)), spec("b", shape=(None,))]
    assert as_feeds(specs, {"a": np.zeros((5, 2)), "b": np.zeros(3)})


def test_every_refusal_is_an_input_error():
    assert all(
        issubclass(kind, InputError) for kind in (InputDtypeError, InputNameError, InputShapeError)
    )


# --- strings ---


def test_strings_are_python_s_own_and_bytes_are_decoded():
    for given in (["ä", "b"], np.array(["ä".encode(), b"b"]), np.array([b"b", "ä"], object)[::-1]):
        taken = feed(given, object)
        assert taken.dtype == object
        assert {type(text) for text in taken} == {str}
        assert sorted(taken) == ["b", "ä"]
    np.testing.assert_array_equal(feed(np.array([["ä".encode()]], object), object), [["ä"]])


@pytest.mark.parametrize("element", [1, None, 2.5, b"\xff"])
def test_other_objects_are_no_strings(element):
    take = Intake([spec("x", object)])
    text = {"x": np.array(["a"], object)}
    take.remember(text, take(text))
    with pytest.raises(InputDtypeError, match="strings"):
        take({"x": np.array([element], object)})


# --- what was accepted before ---


def test_arrays_like_the_last_ones_are_taken_as_they_are():
    take = Intake([spec("a", shape=("n", 2)), spec("b", shape=("n",))])
    for start in range(3):
        given = {"b": np.full(3, start, np.float32), "a": np.full((3, 2), start, np.float32)}
        taken = take(given)
        assert (taken is given) == (start > 0)
        assert taken["a"] is given["a"]
        take.remember(given, taken)


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        (np.zeros((3, 3), np.float32), np.zeros(3, np.float32), InputShapeError),
        (np.zeros((3, 2), np.float32), np.zeros(4, np.float32), InputShapeError),
        (np.zeros((3, 2), np.complex64), np.zeros(3, np.float32), InputDtypeError),
        (np.zeros((3, 2), np.float32), None, InputDtypeError),
    ],
)
def test_others_are_checked_whatever_was_accepted_before(a, b, error):
    take = Intake([spec("a", shape=("n", 2)), spec("b", shape=("n",))])
    for _ in range(2):
        given = {"a": np.zeros((3, 2), np.float32), "b": np.zeros(3, np.float32)}
        take.remember(given, take(given))
    with pytest.raises(error):
        take({"a": a, "b": b})
    with pytest.raises(InputNameError):
        take({"a": np.zeros((3, 2), np.float32)})


def test_what_needed_conversion_is_converted_each_time():
    take = Intake([spec("x", shape=("n",))])
    masked = np.ma.masked_array(np.ones(3, np.float32), [True, False, False])
    for given in 2 * [{"x": np.zeros(3)}, {"x": masked}]:
        taken = take(given)
        assert (type(taken["x"]), taken["x"].dtype) == (np.ndarray, np.float32)
        take.remember(given, taken)
    assert Intake([])({}) == {}
