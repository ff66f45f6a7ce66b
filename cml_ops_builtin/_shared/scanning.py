"""The iterations of Scan."""

from __future__ import annotations

from cml_core.plugin_api import AttributeValueError

__all__ = ["scan_once", "scans_of"]


def scans_of(tensors, num_scan_inputs, body):
    """Divide the inputs into states and what is scanned, checked against the graph."""
    count = len(tensors) - num_scan_inputs
    if num_scan_inputs < 1 or count < 0:
        raise AttributeValueError("num_scan_inputs", num_scan_inputs, f"from 1 to {len(tensors)}")
    if len(body.inputs) != len(tensors) or len(body.outputs) < count:
        raise AttributeValueError(
            "body",
            f"a graph of {len(body.inputs)} inputs and {len(body.outputs)} outputs",
            f"{len(tensors)} inputs and at least {count} outputs",
        )
    return tensors[:count], tensors[count:]


def scan_once(body, state, rows, length):
    """Run the graph over the first elements of each row.

    Returns
    -------
    tuple of array
        The last state.
    list of list of array
        What each iteration gave of every output that grows.
    """
    if any(len(row) != len(rows[0]) for row in rows):
        sizes = [len(row) for row in rows]
        raise AttributeValueError("scan_input_axes", sizes, "axes of one size to scan along")
    grown = [[] for _ in body.outputs[len(state) :]]
    for place in range(length):
        results = body(*state, *(row[place, ...] for row in rows))
        state = results[: len(state)]
        for elements, result in zip(grown, results[len(state) :], strict=True):
            elements.append(result)
    return tuple(state), grown
