"""Scan of opset 8: over axis 1 of a batch, whose sequences may have lengths of their own."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.looping import gathered
from cml_ops_builtin._shared.scanning import scan_once, scans_of


def scan_8(sequence_lens, *tensors, num_scan_inputs, body, directions=None):
    states, scanned = scans_of(tensors, num_scan_inputs, body)
    directions = (0,) * len(scanned) if directions is None else tuple(directions)
    if len(directions) != len(scanned) or not set(directions) <= {0, 1}:
        raise AttributeValueError("directions", directions, f"{len(scanned)} values, each 0 or 1")
    if any(tensor.ndim < 2 for tensor in scanned):
        raise AttributeValueError("scan inputs", "fewer than 2 axes", "(batch, sequence, ...)")
    batch, longest = scanned[0].shape[:2]
    if any(len(tensor) != batch for tensor in tensors):
        raise AttributeValueError(
            "inputs", [len(tensor) for tensor in tensors], f"batches of size {batch}"
        )
    lengths = np.full(batch, longest) if sequence_lens is None else sequence_lens
    if lengths.shape != (batch,) or np.any((lengths < 0) | (lengths > longest)):
        raise AttributeValueError(
            "sequence_lens", lengths.tolist(), f"{batch} lengths from 0 to {longest}"
        )
    outputs = []
    for place, length in enumerate(lengths.tolist()):
        rows = [
            tensor[place, :length][::-1] if back else tensor[place, :length]
            for tensor, back in zip(scanned, directions, strict=True)
        ]
        state, grown = scan_once(body, [tensor[place] for tensor in states], rows, length)
        specs = body.outputs[len(states) :]
        gained = [gathered(*pair) for pair in zip(grown, specs, strict=True)]
        # What follows the end of a sequence is not defined; it is zero here.
        rests = [[(0, longest - length)] + [(0, 0)] * (array.ndim - 1) for array in gained]
        padded = [np.pad(array, rest) for array, rest in zip(gained, rests, strict=True)]
        outputs.append((*state, *padded))
    return tuple(np.stack(results) for results in zip(*outputs, strict=True))


@hookimpl
def cml_op():
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    body = helper.make_graph(
        [
            helper.make_node("Add", ["total", "x"], ["next"]),
            helper.make_node("Identity", ["next"], ["kept"]),
        ],
        "body",
        [info("total", [2]), info("x", [2])],
        [info("next", [2]), info("kept", [2])],
    )
    x = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]], dtype=np.float32)
    start = np.zeros((1, 2), dtype=np.float32)
    short = np.array([[[1.0, 2.0], [4.0, 6.0], [0.0, 0.0]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Scan", since_versions=(8,)),
        numpy_op=scan_8,
        examples=(
            OpExample(
                (None, start, x),
                {"num_scan_inputs": 1, "body": body},
                (x.sum(1), x.cumsum(1)),
                n_outputs=2,
                opset=8,
                encrypted=(),
                name="running sum",
            ),
            OpExample(
                (np.array([2]), start, x),
                {"num_scan_inputs": 1, "body": body},
                (short[:, 1], short),
                n_outputs=2,
                opset=8,
                encrypted=(),
                name="a sequence that ends early",
            ),
        ),
    )
