"""The client's side as data, for `.cml` files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from cml_core.errors import InvalidModelError, ModelFileError, UnsupportedNodesError
from cml_core.graph.model import TensorSpec
from cml_core.numpy_module import NumpyModule
from cml_core.plugins.registry import OpRegistry
from cml_core.quantization.client import ClientSide
from cml_core.quantization.cuts import CutCode
from cml_core.quantization.input_output_codes import InputCode, OutputCode
from cml_core.samples import SampleLayout
from cml_core.storage import array_bytes, read_array

__all__ = ["client_from_parts", "client_to_parts"]

_FILE = "client.json"
_TAIL = "tail.onnx"


def client_to_parts(client: ClientSide) -> dict[str, bytes]:
    """The client's side as named parts for a `.cml` file."""
    parts: dict[str, bytes] = {}

    def keep(name: str, array: np.ndarray | None) -> str | None:
        if array is None:
            return None
        parts[f"client/{name}.npy"] = array_bytes(array)
        return f"client/{name}.npy"

    outputs = [
        {
            "name": code.name,
            "dtype": code.dtype.str,
            "low": code.low,
            "channel": keep(f"{place}.channel", code.channel),
            "scale": keep(f"{place}.scale", code.scale),
            "offset": keep(f"{place}.offset", code.offset),
            "table": keep(f"{place}.table", code.table),
            "digits": keep(f"{place}.digits", code.digits),
        }
        for place, code in enumerate(client.outputs)
    ]
    document = {
        "model_inputs": [_spec(spec) for spec in client.layout.inputs],
        "model_outputs": [_spec(spec) for spec in client.layout.outputs],
        "batch_axes": dict(client.layout.batch_axes),
        "tail_takes_batches": client.tail_takes_batches,
        "inputs": [
            {
                "name": code.name,
                "shape": code.shape,
                "form": code.form,
                "suffix": code.suffix,
                "low_bits": code.low_bits,
                "cuts": keep(f"{place}.cuts", code.cuts),
                "element": keep(f"{place}.element", code.element),
            }
            if isinstance(code, CutCode)
            else {
                "name": code.name,
                "shape": code.shape,
                "scale": np.asarray(code.scale).tolist(),
                "offset": np.asarray(code.offset).tolist(),
                "levels": code.levels,
                "clips": code.clips,
            }
            for place, code in enumerate(client.inputs)
        ],
        "outputs": outputs,
        "clear": {n: keep(f"clear.{i}", v) for i, (n, v) in enumerate(client.clear.items())},
    }
    parts[_FILE] = json.dumps(document, indent=1).encode()
    if client.tail is not None:
        parts[_TAIL] = client.tail.onnx_model.SerializeToString()
    return parts


def client_from_parts(
    parts: Mapping[str, bytes], path: str | os.PathLike[str], registry: OpRegistry | None
) -> ClientSide:
    """Read the client's side back; KeyError, ValueError or TypeError if the parts are not one.

    Raises
    ------
    ModelFileError, InvalidModelError, UnsupportedNodesError
        Its tail, an ONNX model, cannot be read or run; they name the file.
    """
    document = json.loads(parts[_FILE])

    def array(file: str | None) -> np.ndarray | None:
        return None if file is None else read_array(parts[file])

    layout = SampleLayout(
        tuple(map(_read_spec, document["model_inputs"])),
        tuple(map(_read_spec, document["model_outputs"])),
        dict(document["batch_axes"]),
    )
    inputs = tuple(_read_input(row, parts) for row in document["inputs"])
    outputs = []
    for row in document["outputs"]:
        channel = array(row["channel"])
        if channel is None:
            raise ValueError(f"output {row['name']!r} has no channels")
        outputs.append(
            OutputCode(
                row["name"],
                np.dtype(row["dtype"]),
                channel,
                array(row["scale"]),
                array(row["offset"]),
                array(row["table"]),
                row["low"],
                array(row.get("digits")),
            )
        )
    try:
        tail = NumpyModule.from_onnx(parts[_TAIL], registry=registry) if _TAIL in parts else None
    except (ModelFileError, InvalidModelError, UnsupportedNodesError) as error:
        raise attrs.evolve(error, source=f"the tail of {path}") from error
    clear = {name: read_array(parts[file]) for name, file in document["clear"].items()}
    whole = bool(document.get("tail_takes_batches", True))
    return ClientSide(layout, inputs, tuple(outputs), tail, clear, whole)


def _read_input(row: Mapping[str, Any], parts: Mapping[str, bytes]) -> InputCode | CutCode:
    name, shape = row["name"], tuple(row["shape"])
    if "form" not in row:
        clips = tuple(row.get("clips", (False, False)))
        scale, offset = (
            value if isinstance(value, float) else np.array(value, dtype=np.float64)
            for value in (row["scale"], row["offset"])
        )
        return InputCode(name, shape, scale, offset, row["levels"], clips)
    if row["form"] not in ("thermometer", "bins"):
        raise ValueError(f"input {name!r} has the unknown form {row['form']!r}")
    cuts, element = (read_array(parts[row[part]]) for part in ("cuts", "element"))
    return CutCode(
        name,
        shape,
        cuts,
        element,
        row["form"],
        row["suffix"],
        row["low_bits"],
    )


def _spec(spec: TensorSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "dtype": None if spec.dtype is None else spec.dtype.str,
        "shape": spec.shape,
    }


def _read_spec(row: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(
        row["name"],
        None if row["dtype"] is None else np.dtype(row["dtype"]),
        None if row["shape"] is None else tuple(row["shape"]),
    )
