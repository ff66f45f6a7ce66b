"""Fourier transforms, windows and mel bands."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.agreement.harness import Fault, Node, Operator, agreement
from tests.agreement.spatial import batch, finite
from tests.agreement.values import FLOATS, HALF, optional, shape

COUNTS = (np.dtype(np.int32), np.dtype(np.int64))


def count(draw, low, high):
    """Draw a scalar of one of the types that lengths have."""
    return np.asarray(draw(st.integers(low, high)), dtype=draw(st.sampled_from(COUNTS)))


def dft(draw, dtype, revision):
    onesided, inverse = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    parts = (2 if inverse else 1) if onesided else draw(st.integers(1, 2))
    outer = (batch(draw), *shape(draw, 1, 3, min_size=1, max_size=5))
    x = finite(draw, dtype, (*outer, parts))
    axis = draw(st.integers(0, len(outer) - 1))
    least = 2 if onesided and inverse else 1
    if x.shape[axis] < least:
        axis = 1
        x = finite(draw, dtype, (outer[0], least + 1, *outer[2:], parts))
    stated = axis - x.ndim if draw(st.booleans()) else axis
    length = count(draw, least, 7) if draw(st.booleans()) else None
    attributes = {"inverse": inverse, "onesided": onesided}
    if revision >= 20:
        return Node([x, length, np.asarray(stated)], attributes, constants=(1, 2))
    attributes["axis"] = stated
    return Node([x] if length is None else [x, length], attributes, constants=(1,))


def stft(draw, dtype, revision):
    length, parts = draw(st.integers(1, 9)), draw(st.integers(1, 2))
    size = draw(st.integers(1, length))
    signal = finite(draw, dtype, (draw(st.integers(1, 2)), length, parts))
    inputs = [signal, count(draw, 1, 4)]
    given = draw(st.sampled_from(["window", "length", "both"]))
    inputs.append(finite(draw, dtype, (size,)) if given != "length" else None)
    if given != "window":
        inputs.append(np.asarray(size, dtype=inputs[1].dtype))
    onesided = draw(st.integers(0, 1)) if parts == 1 else 0
    # onnxruntime wants the lengths to be known beforehand.
    return Node(inputs, {"onesided": onesided}, constants=(1, 3))


def window(draw, dtype, revision):
    kinds = [onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16]
    stated = {"output_datatype": draw(st.sampled_from(kinds)), "periodic": draw(st.integers(0, 1))}
    return Node([np.asarray(draw(st.integers(2, 9)), dtype=dtype)], optional(draw, **stated))


def mel_weight_matrix(draw, dtype, revision):
    rate = draw(st.sampled_from([8000, 16000]))
    low = draw(st.sampled_from([0.0, 125.0, 310.0]))
    high = draw(st.sampled_from([1000.0, 2100.0, rate / 2]))
    lengths = [count(draw, 1, 9), count(draw, 8, 64), np.asarray(rate)]
    edges = [np.asarray(edge, dtype=dtype) for edge in (low, high)]
    kinds = st.sampled_from([onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE])
    return Node([*lengths, *edges], optional(draw, output_datatype=draw(kinds)))


def has_another_length(node, case):
    """Whether the inverse of one half of a spectrum is shorter or longer than the spectrum."""
    x, length = node.inputs[0], (*node.inputs, None)[1]
    if not (node.attributes["inverse"] and node.attributes["onesided"]) or length is None:
        return False
    axis = node.attributes["axis"] if case.revision < 20 else int(node.inputs[2])
    return int(length) // 2 + 1 != x.shape[axis]


IN_FLOAT32 = "onnxruntime has its cosines and coefficients in float32"
WINDOW = Operator(window, COUNTS, tolerance={"float64": 1e-6}, why=IN_FLOAT32)
TOLERANCE = {"float32": 1e-4, "float64": 1e-6}

OPERATORS = {
    "BlackmanWindow": WINDOW,
    "DFT": Operator(
        dft,
        FLOATS + HALF,
        tolerance=TOLERANCE,
        why=IN_FLOAT32,
        faults=[Fault("onnxruntime", "takes wrong frequencies", when=has_another_length)],
    ),
    "HammingWindow": WINDOW,
    "HannWindow": WINDOW,
    "MelWeightMatrix": Operator(
        mel_weight_matrix,
        FLOATS,
        typed=3,
        faults=[Fault("onnxruntime", "wants all bands inside", says="out of range")],
    ),
    "STFT": Operator(stft, FLOATS + HALF, tolerance=TOLERANCE, why=IN_FLOAT32),
}


@agreement(OPERATORS)
def test_signals(case):
    case.check()
