"""Scan: a graph run over the elements of tensors along an axis, carrying a state."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.looping import gathered
from cml_ops_builtin._shared.scanning import scan_once, scans_of


def scan(
    *tensors,
    num_scan_inputs,
    body,
    scan_input_axes=None,
    scan_output_axes=None,
    scan_input_directions=None,
    scan_output_directions=None,
):
    state, scanned = scans_of(tensors, num_scan_inputs, body)
    axes = _each("scan_input_axes", scan_input_axes, len(scanned))
    backward = _each("scan_input_directions", scan_input_directions, len(scanned), flags=True)
    rows = []
    for tensor, axis, back in zip(scanned, axes, backward, strict=True):
        if not -tensor.ndim <= axis < tensor.ndim:
            raise AttributeValueError(
                "scan_input_axes", axis, f"from {-tensor.ndim} to {tensor.ndim - 1}"
            )
        moved = np.moveaxis(tensor, axis, 0)
        rows.append(moved[::-1] if back else moved)
    state, grown = scan_once(body, state, rows, min(len(row) for row in rows))
    specs = body.outputs[len(state) :]
    axes = _each("scan_output_axes", scan_output_axes, len(specs))
    backward = _each("scan_output_directions", scan_output_directions, len(specs), flags=True)
    outputs = [
        gathered(elements[::-1] if back else elements, spec, axis)
        for elements, spec, axis, back in zip(grown, specs, axes, backward, strict=True)
    ]
    return (*state, *outputs)


def _each(name, values, count, *, flags=False):
    """Return an attribute with an entry for each tensor; 0 for all where the model has none."""
    if values is None:
        return (0,) * count
    if len(values) != count or (flags and not set(values) <= {0, 1}):
        wanted = f"{count} values" + (", each 0 or 1" if flags else "")
        raise AttributeValueError(name, tuple(values), wanted)
    return tuple(values)


@hookimpl
def cml_op():
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    # The running sum, of which every value is kept.
    body = helper.make_graph(
        [
            helper.make_node("Add", ["total", "x"], ["next"]),
            helper.make_node("Identity", ["next"], ["kept"]),
        ],
        "body",
        [info("total", [2]), info("x", [2])],
        [info("next", [2]), info("kept", [2])],
    )
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float32)
    start = np.zeros(2, dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("Scan", since_versions=(9, 11, 16, 19, 21, 23, 24, 25)),
        numpy_op=scan,
        examples=(
            OpExample(
                (start, x),
                {"num_scan_inputs": 1, "body": body},
                n_outputs=2,
                encrypted=(),
                name="running sum",
            ),
            OpExample(
                (start, x.T),
                {
                    "num_scan_inputs": 1,
                    "body": body,
                    "scan_input_axes": [1],
                    "scan_input_directions": [1],
                    "scan_output_axes": [-1],
                    "scan_output_directions": [1],
                },
                (x.sum(0), x[::-1].cumsum(0)[::-1].T),
                n_outputs=2,
                encrypted=(),
                name="from the end, along the other axis",
            ),
        ),
    )
