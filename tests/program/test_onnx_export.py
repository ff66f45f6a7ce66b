"""Exported to ONNX and run by onnxruntime: the same integers, and the same values."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import cml_core as cml
from cml_core.errors import ExportError, OutputFileError
from cml_core.program.execute import execute
from cml_core.program.instructions import Instruction, Interval, Opcode, Program
from cml_core.program.onnx_export import program_to_onnx
from cml_core.quantization.client import SaturationWarning
from cml_core.quantization.module import OverflowWarning
from cml_core.testing.trial import Trial
from tests.models import linear_model, make_model, node, value
from tests.networks import Net, mlp, residual_cnn, samples
from tests.program.test_programs import CASES, build

ort = pytest.importorskip("onnxruntime", reason="onnxruntime has no build for this Python")

QUANTIZED = [
    pytest.param(
        entry.plugin,
        example,
        id=f"{entry.name.rpartition('.')[2]}-{example.name.replace(' ', '_') or place}",
    )
    for entry in cml.default_registry()
    for place, example in enumerate(entry.plugin.examples)
    if entry.plugin.quantized_op is not None
]
#: Units in the last place by which onnxruntime's own float operators differ from NumPy's. Where
#: a model has no float tail, values are the same to the last bit.
TAIL_ULP = 8


def run(model: onnx.ModelProto, *arrays: np.ndarray) -> list[np.ndarray]:
    """What onnxruntime makes of a model that the checker accepts."""
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [found.name for found in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def drawn(program: Program, count: int = 5) -> list[np.ndarray]:
    """Any integers that inputs may be, far beyond those of calibration in combination."""
    rng = np.random.default_rng(0)
    inputs = [program.instructions[position] for position in program.inputs]
    return [
        rng.integers(i.proven.low, i.proven.high + 1, size=(count, *i.shape), dtype=np.int64)
        for i in inputs
    ]


def assert_same_integers(program: Program, inputs: list[np.ndarray]) -> None:
    got = run(program_to_onnx(program), *inputs)
    for found, wanted in zip(got, execute(program, inputs), strict=True):
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("case", CASES)
def test_each_instruction(case):
    program, _ = build(case, 0)
    assert_same_integers(program, drawn(program))


@pytest.mark.parametrize(("plugin", "example"), QUANTIZED)
def test_the_integers_of_every_operator(plugin, example):
    program = Trial(plugin, example).quantized().program
    if not program.outputs:
        pytest.skip("nothing in it depends on an encrypted value")
    assert_same_integers(program, drawn(program))


def one(opcode, attributes=None, constants=None, low=-40, high=40, shape=(3,), made=None):
    """A program of one instruction."""
    interval = Interval(low, high)
    x = Instruction(Opcode.INPUT, (), shape, interval, interval, {"name": "x"})
    wide = Interval(-(2**40), 2**40) if high > 2**20 else Interval(-(2**20), 2**20)
    made = Instruction(
        opcode, (0,), made or shape, wide, wide, attributes or {}, constants or {}, "node"
    )
    return Program((x, made), (1,))


def test_shifts_of_negative_integers_round_down():
    x = np.arange(-40, 41)[:, np.newaxis]
    program = one(Opcode.ROUND, {"lsbs": 3}, shape=(1,))
    assert_same_integers(program, [x])
    tables = {"tables": np.arange(10)[np.newaxis]}
    program = one(Opcode.LOOKUP, {"offset": -20, "shift": 2}, tables, shape=(1,))
    assert_same_integers(program, [x])


def test_slices_that_step_back_over_the_first_element():
    attributes = {"starts": (None,), "stops": (None,), "steps": (-1,)}
    assert_same_integers(one(Opcode.SLICE, attributes), [np.arange(6).reshape(2, 3)])


def test_sums_over_no_axis_and_samples_without_elements():
    x = np.arange(6).reshape(2, 3)
    assert_same_integers(one(Opcode.SUM, {"axes": (), "keepdims": False}), [x])
    empty = one(Opcode.RESHAPE, shape=(0, 3), made=(3, 0, 2))
    assert_same_integers(empty, [np.zeros((2, 0, 3), dtype=np.int64)])


def test_integers_of_more_than_32_bits():
    weight = {"weight": np.array([[2**31], [2**31 + 1]])}
    program = one(Opcode.MATMUL, {}, weight, 0, 2**30, shape=(2,), made=(1,))
    assert_same_integers(program, [np.array([[2**30 - 1, 2**30 - 3]])])


def test_grouped_and_dilated_convolution():
    rng = np.random.default_rng(0)
    weight = {"weight": rng.integers(-3, 4, size=(6, 2, 2, 3))}
    settings = {"strides": (2, 1), "dilations": (1, 2), "group": 2}
    program = one(Opcode.CONV, settings, weight, shape=(1, 4, 6, 7), made=(1, 6, 3, 3))
    assert_same_integers(program, drawn(program))


def test_names_of_nodes_hold_those_of_the_original_graph():
    model = program_to_onnx(one(Opcode.ROUND, {"lsbs": 1}), ["in"], ["out"])
    names = [n.name for n in model.graph.node]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("node/") for name in names) >= 3
    assert [model.graph.input[0].name, model.graph.output[0].name] == ["in", "out"]
    assert {n.domain for n in model.graph.node} == {""}


# --- whole models ---------------------------------------------------------------------------------


def quantized(model, data, tail="client", n_bits=4):
    module = cml.NumpyModule.from_onnx(model)
    return cml.quantize(module, data, cml.QuantConfig.with_bits(n_bits, tail=tail))


def assert_same_values(module: cml.QuantizedModule, *arrays: np.ndarray, ulp: int = 0) -> None:
    with warnings.catch_warnings():
        for category in (SaturationWarning, OverflowWarning):
            warnings.simplefilter("ignore", category)
        wanted = module(*arrays)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for got, want in zip(run(module.to_onnx(), *arrays), wanted, strict=True):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        if ulp and want.dtype.kind == "f":
            np.testing.assert_array_max_ulp(got, want, ulp)
        else:
            np.testing.assert_array_equal(got, want)


def tailed(*operators: str, shape=("batch", 4), opset: int = 17, **attributes):
    """A dense layer, and operators on its result, all of them outputs."""
    net = Net(shape, opset=opset)
    names = [net.dense("x", 4, 3)]
    for operator in operators:
        names.append(net.add(operator, names[-1], **attributes))
    return net.model(*names)


@pytest.mark.parametrize("tail", ["client", "server"])
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        pytest.param(mlp([5, 4, 3]), [5], id="mlp"),
        pytest.param(mlp([5, 4, 3], "Sigmoid"), [5], id="sigmoid"),
        pytest.param(residual_cnn(), [1, 6, 6], id="residual cnn"),
        pytest.param(linear_model(), [4], id="linear"),
    ],
)
def test_values_are_the_same_to_the_last_bit(model, shape, tail):
    data = samples(shape)
    module = quantized(model, data, tail)
    assert_same_values(module, data)
    assert_same_values(module, data[:1])


def test_the_digits(digits):
    module = cml.quantize(digits.module, digits.calibration, n_bits=4)
    assert_same_values(module, digits.test, ulp=TAIL_ULP)


def test_inputs_out_of_range_nan_and_infinite():
    data = samples([5])
    module = quantized(mlp([5, 4, 3]), data)
    far = 3 * data
    far.flat[:3] = np.nan, np.inf, -np.inf
    assert_same_values(module, far)


def test_halves_are_rounded_as_numpy_does():
    model = make_model([node("Relu", ["x"], ["y"], name="r")], {"x": ["n", 1]}, ["y"])
    data = np.arange(16, dtype=np.float32)[:, np.newaxis]
    module = quantized(model, data, "server")
    assert module.client.inputs[0].scale == 1.0
    assert_same_values(module, np.arange(-1, 16, 0.5, dtype=np.float32)[:, np.newaxis])


@pytest.mark.parametrize("opset", [11, 14, 21])
def test_a_tail_of_float_operators(opset):
    data = samples([4])
    module = quantized(tailed("Softmax", "Log", opset=opset), data)
    assert module.client.tail is not None
    assert_same_values(module, data, ulp=TAIL_ULP)


def test_integer_results_of_a_tail():
    net = Net(["batch", 4])
    scores = net.dense("x", 4, 3)
    best = net.add("ArgMax", scores, axis=1, keepdims=0)
    model = net.model(best)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    for tail in ("client", "server"):
        assert_same_values(quantized(model, samples([4]), tail), samples([4]))


def test_a_batch_axis_that_is_not_the_first():
    data = samples([4])
    module = quantized(tailed("Transpose", perm=[1, 0]), data, "server")
    assert_same_values(module, data)
    model = module.to_onnx()
    sizes = [[d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim]
             for o in model.graph.output]  # fmt: skip
    assert sizes == [["batch", 3], [3, "batch"]]


def test_a_model_of_fixed_shape_takes_one_sample():
    data = samples([2, 4], 20)
    module = quantized(tailed("Softmax", shape=(2, 4)), data)
    assert_same_values(module, data[0], ulp=TAIL_ULP)


def test_one_value_for_all_samples_of_another_input():
    nodes = [node("Add", ["a", "b"], ["s"], name="s"), node("Relu", ["s"], ["y"], name="r")]
    outputs = ["y", value("c", [2])]
    constant = {"k": np.float32([1, 2])}
    nodes.append(node("Identity", ["k"], ["c"], name="c"))
    model = make_model(nodes, {"a": ["n", 3], "b": [3]}, outputs, constant)
    data = samples([3], 20), samples([3], 1)[0]
    assert_same_values(quantized(model, data, "server"), *data)


def test_names_in_the_model_that_look_like_those_of_the_exporter():
    model = make_model(
        [node("Relu", ["cml/0"], ["cml/tail/1"], name="cml/2")],
        {"cml/0": ["n", 3]},
        ["cml/tail/1"],
    )
    assert_same_values(quantized(model, samples([3]), "server"), samples([3]))


def test_the_integer_program_alone_fits_between_the_stages_of_the_module():
    data = samples([4])
    module = quantized(tailed("Softmax"), data)
    codes = module.quantize_inputs({"x": data})
    integers = run(module.to_onnx(integers=True), *codes)
    results = module.dequantize_outputs(*integers)
    for got, want in zip(results.values(), module(data), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_tail_that_mixes_the_batch_is_refused(tmp_path):
    net = Net(["batch", 4])
    out = net.add("Transpose", net.add("Exp", net.dense("x", 4, 3)), perm=[1, 0])
    module = quantized(net.model(out), samples([4]))
    with pytest.raises(ExportError, match="all samples at once") as caught:
        module.to_onnx(tmp_path / "net.onnx")
    assert caught.value.hint
    assert not any(tmp_path.iterdir())
    module.to_onnx(tmp_path / "net.onnx", integers=True)


def test_the_file_is_written_whole_or_not_at_all(tmp_path):
    module = quantized(linear_model(), samples([4]))
    path = tmp_path / "linear.onnx"
    model = module.to_onnx(path)
    assert onnx.load(path) == model
    with pytest.raises(OutputFileError, match="cannot be written"):
        module.to_onnx(tmp_path / "no" / "linear.onnx")
    assert list(tmp_path.iterdir()) == [path]
