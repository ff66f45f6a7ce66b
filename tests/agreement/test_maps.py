"""Operators of ai.onnx.ml between maps and tensors, beside onnxruntime on random ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import cml_core as cml
from tests.agreement.harness import MANY
from tests.contrib.nodes import ML, assert_same, model_of, session_of

SETTINGS = settings(max_examples=MANY, derandomize=MANY < 100, database=None)
#: Numbers that float32 holds.
FLOATS = st.integers(-(2**10), 2**10).map(lambda n: n / 8)
WORDS = st.sampled_from(["", "a", "bc", "Ü"])
INTEGERS = st.integers(-3, 5)
KEYS = {"STRING": WORDS, "INT64": INTEGERS}


def model_of_map(op_type, key, result, **attributes):
    """A model that takes a map to floats and gives a tensor."""
    key, result = (getattr(TensorProto, name) for name in (key, result))
    kind = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], ["y"], name="node", domain=ML, **attributes)],
        "map",
        [helper.make_value_info("x", kind)],
        [helper.make_tensor_value_info("y", result, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(ML, 1)], ir_version=8)


def agrees(model, x):
    (wanted,) = session_of(model).run(None, {"x": x})
    assert_same(cml.NumpyModule.from_onnx(model)(x), np.asarray(wanted))


@SETTINGS
@given(st.data())
def test_dict_vectorizer(data):
    key = data.draw(st.sampled_from(["STRING", "INT64"]))
    # onnxruntime takes no maps to other types from Python.
    x = data.draw(st.dictionaries(KEYS[key], FLOATS, min_size=1, max_size=4))
    vocabulary = data.draw(st.lists(KEYS[key], min_size=1, max_size=4, unique=True))
    name = "string_vocabulary" if key == "STRING" else "int64_vocabulary"
    agrees(model_of_map("DictVectorizer", key, "FLOAT", **{name: vocabulary}), x)


@SETTINGS
@given(st.data())
def test_cast_map(data):
    form = data.draw(st.sampled_from(["DENSE", "SPARSE"]))
    low = 0 if form == "SPARSE" else -3
    x = data.draw(st.dictionaries(st.integers(low, 5), FLOATS, min_size=1, max_size=4))
    target = data.draw(st.sampled_from(["FLOAT", "INT64", "STRING"]))
    options = {"cast_to": f"TO_{target}", "map_form": form, "max_map": data.draw(st.integers(1, 7))}
    agrees(model_of_map("CastMap", "INT64", target, **options), x)


@SETTINGS
@given(st.data())
def test_zip_map(data):
    name = data.draw(st.sampled_from(["classlabels_strings", "classlabels_int64s"]))
    kind = WORDS if name.endswith("strings") else INTEGERS
    labels = data.draw(st.lists(kind, min_size=1, max_size=4, unique=True))
    count = data.draw(st.integers(1, 3))
    rows = st.lists(FLOATS, min_size=len(labels), max_size=len(labels))
    x = np.float32(data.draw(st.lists(rows, min_size=count, max_size=count)))
    x = x[0] if data.draw(st.booleans()) else x
    model = model_of("ZipMap", [x], **{name: labels})
    got = cml.NumpyModule.from_onnx(model)(x)
    del model.graph.output[:]
    model.graph.output.append(helper.make_empty_tensor_value_info("output0"))
    (wanted,) = session_of(model).run(None, {"input0": x})
    assert list(got) == wanted
