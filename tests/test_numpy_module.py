"""NumpyModule: an ONNX model that runs in NumPy."""

import copy
import pickle

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto

import cml_core as cml
from cml_core.errors import AttributeValueError, InputShapeError, NodeError
from tests.models import linear_model, make_model, node, plugin, registry_with, relu_model, value

X = np.array([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, -1.0, 2.0]], dtype=np.float32)


def two_by_two():
    """A sum and a difference of two inputs that share their batch size."""
    nodes = [node("Add", ["a", "b"], ["sum"]), node("Sub", ["a", "b"], ["difference"])]
    shape = ["batch", 2]
    return cml.NumpyModule.from_onnx(
        make_model(nodes, {"a": shape, "b": shape}, ["sum", "difference"])
    )


def test_results_equal_those_of_the_onnx_reference(digits):
    images = digits.test[:20]
    reference = onnx.reference.ReferenceEvaluator(onnx.load(digits.path))
    (expected,) = reference.run(None, {"pixels": images})
    result = digits.module(images)
    assert (result.dtype, result.shape) == (np.float32, (20, 10))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


def test_one_output_is_an_array_and_several_are_a_tuple():
    module = cml.NumpyModule.from_onnx(linear_model())
    assert module(X).shape == (2, 3)
    total, difference = two_by_two()([[1, 2]], [[3, 5]])
    np.testing.assert_array_equal(total, np.float32([[4, 7]]), strict=True)
    np.testing.assert_array_equal(difference, np.float32([[-2, -3]]), strict=True)


def test_by_name_it_is_a_dict_to_a_dict():
    results = two_by_two().run({"b": [[3, 5]], "a": [[1, 2]]})
    assert list(results) == ["sum", "difference"]
    np.testing.assert_array_equal(results["difference"], [[-2, -3]])


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.uint8, bool])
def test_inputs_take_the_model_s_dtype(dtype):
    module = cml.NumpyModule.from_onnx(relu_model())
    x = np.array([[0, 1, 1, 0]], dtype=dtype)
    result = module(x)
    np.testing.assert_array_equal(result, np.float32([[0, 1, 1, 0]]), strict=True)


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT32])
def test_other_dtypes_than_float32_are_kept(kind):
    nodes = [node("Relu", ["x"], ["y"])]
    model = make_model(nodes, [value("x", [2], kind)], [value("y", [2], kind)])
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    result = cml.NumpyModule.from_onnx(model)(np.array([-1, 2], np.int8))
    np.testing.assert_array_equal(result, np.array([0, 2], dtype), strict=True)


@pytest.mark.parametrize("batch", [0, 1, 2, 300])
def test_any_batch_size_runs(batch):
    x = np.zeros((batch, 4), np.float32)
    assert cml.NumpyModule.from_onnx(linear_model())(x).shape == (batch, 3)


def test_tensors_without_dimensions_run():
    module = cml.NumpyModule.from_onnx(relu_model(()))
    result = module(-3.5)
    assert (result, result.shape, result.dtype) == (0.0, (), np.float32)
    with pytest.raises(InputShapeError):
        module([-3.5])


def test_an_undeclared_shape_takes_any_rank():
    module = cml.NumpyModule.from_onnx(relu_model(None))
    for shape in [(), (3,), (2, 0, 4)]:
        assert module(np.ones(shape)).shape == shape


def test_inputs_that_share_a_symbol_must_agree():
    with pytest.raises(InputShapeError) as raised:
        two_by_two()(np.zeros((3, 2)), np.zeros((1, 2)))
    assert (raised.value.name, raised.value.shape) == ("b", (1, 2))
    assert "batch = 3, as in input 'a'" in raised.value.expected


def test_a_model_without_inputs_runs_on_nothing():
    model = make_model([node("Add", ["c", "c"], ["y"])], {}, ["y"], {"c": X})
    module = cml.NumpyModule.from_onnx(model)
    np.testing.assert_array_equal(module(), 2 * X)
    np.testing.assert_array_equal(module.run({})["y"], 2 * X)


def test_inputs_are_not_changed(digits):
    x = digits.test[:5].copy()
    x.flags.writeable = False
    digits.module(x)
    np.testing.assert_array_equal(x, digits.test[:5])


def test_an_operator_that_fails_is_named_with_its_inputs():
    nodes = [node("Add", ["a", "b"], ["y"], name="sum")]
    module = cml.NumpyModule.from_onnx(make_model(nodes, {"a": None, "b": None}, ["y"]))
    with pytest.raises(NodeError) as raised:
        module(np.zeros((2, 3)), np.zeros(4))
    assert (raised.value.node, raised.value.op_type) == ("sum", "Add")
    assert "float32(2, 3), float32(4,)" in raised.value.reason
    assert str(raised.value).startswith("node 'sum' (Add) failed: operands could not be broadcast")


def test_an_operator_that_refuses_an_attribute_is_named_with_what_it_expects():
    def picky(x, *, axis):
        raise AttributeValueError("axis", axis, "a number below 2")

    nodes = [node("Picky", ["x"], ["y"], name="picky", axis=5, domain="test")]
    model = make_model(nodes, {"x": ["n", 4]}, ["y"], domains={"test": 1})
    ops = registry_with(theirs=plugin("Picky", numpy_op=picky))
    with pytest.raises(NodeError) as raised:
        cml.NumpyModule.from_onnx(model, registry=ops)(X)
    assert raised.value.node == "picky"
    assert raised.value.reason == "axis is 5, expected a number below 2"


def test_numpy_does_not_warn():
    nodes = [node("Div", ["a", "b"], ["y"])]
    module = cml.NumpyModule.from_onnx(make_model(nodes, {"a": [2], "b": [2]}, ["y"]))
    result = module([1.0, 0.0], [0.0, 0.0])
    np.testing.assert_array_equal(result, [np.inf, np.nan])


def test_the_module_keeps_the_model_and_shows_its_interface():
    model = linear_model()
    module = cml.NumpyModule.from_onnx(model)
    assert module.onnx_model == model
    assert [(spec.name, spec.shape) for spec in module.inputs] == [("x", ("batch", 4))]
    assert [(spec.name, spec.shape) for spec in module.outputs] == [("y", ("batch", 3))]
    assert repr(module) == "<NumpyModule the model: 1 nodes>"


def test_another_registry_may_be_given():
    empty = cml.OpRegistry({})
    with pytest.raises(cml.CmlError, match="no plugin provides Gemm"):
        cml.NumpyModule.from_onnx(linear_model(), registry=empty)


# --- what is the caller's own ---


def test_what_is_done_to_the_model_later_changes_nothing():
    model = linear_model()
    module = cml.NumpyModule.from_onnx(model)
    before = module(X)
    for constant in model.graph.initializer:
        constant.raw_data = bytes(len(constant.raw_data))
        del constant.float_data[:]
    assert module.onnx_model != model
    np.testing.assert_array_equal(module(X), before)


@pytest.mark.parametrize("second", ["Identity", "Transpose", "Flatten"])
def test_outputs_share_no_memory(second):
    nodes = [node("Relu", ["x"], ["a"]), node(second, ["a"], ["b"])]
    module = cml.NumpyModule.from_onnx(make_model(nodes, {"x": ["n", 4]}, ["a", "b"]))
    a, b = module(X)
    kept = b.copy()
    a[...] = -1
    np.testing.assert_array_equal(b, kept)


def test_results_can_be_written_to_and_keep_no_more_than_themselves():
    constants = {"shape": np.int64([3, 2, 4]), "s": np.int64([0]), "e": np.int64([1])}
    nodes = [
        node("Relu", ["x"], ["h"]),
        node("Expand", ["h", "shape"], ["wide"]),
        node("Slice", ["h", "s", "e"], ["part"]),
    ]
    model = make_model(nodes, {"x": [2, 4]}, ["wide", "part"], constants)
    wide, part = cml.NumpyModule.from_onnx(model)(X)
    wide[0, 0, 0] = 7
    assert wide[1, 0, 0] == 1
    assert part.base is None or part.base.nbytes <= 2 * part.nbytes


def test_types_that_differ_where_onnx_wants_one_are_refused_by_name():
    """NumPy would multiply float32 with float64, and give what the model does not declare."""
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    module = cml.NumpyModule.from_onnx(make_model(nodes, {"x": [2, 4]}, ["y"], {"w": np.eye(4)}))
    for _ in range(2):
        with pytest.raises(NodeError, match="A and B must have one type, and are float32 and f"):
            module(X)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_compute_the_same(copied):
    module = cml.NumpyModule.from_onnx(linear_model())
    np.testing.assert_array_equal(copied(module)(X), module(X))
    quantized = cml.quantize(module, X)
    np.testing.assert_array_equal(copied(quantized)(X), quantized(X))


def test_a_module_of_a_registry_of_its_own_is_not_copied():
    registry = registry_with()
    module = cml.NumpyModule.from_onnx(linear_model(), registry=registry)
    with pytest.raises(TypeError, match="registry of its own"):
        copy.deepcopy(module)
