"""Reading an ONNX model into a Graph, with all its faults reported together."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import google.protobuf.message
import onnx
import onnx.defs

from cml_core.errors import InvalidModelError, ModelFileError
from cml_core.graph.model import Graph
from cml_core.graph.prepare import OLDEST_OPSET, Serves, all_nodes, prepared
from cml_core.graph.reader import GraphReader
from cml_core.ops.schema import normalize_domain

__all__ = ["OLDEST_OPSET", "load_graph", "read_model"]


def load_graph(
    model: str | os.PathLike[str] | bytes | onnx.ModelProto, serves: Serves | None = None
) -> Graph:
    """Read a model.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        An ONNX file, its content, or the parsed model.
    serves : callable, optional
        `serves(domain, op_type, opset)` says which operators have a plugin: functions are written
        out where they are called, unless a plugin serves them.

    Raises
    ------
    ModelFileError
        There is no such file, or it is not an ONNX model.
    InvalidModelError
        The model breaks the rules of ONNX; every fault is listed.
    """
    if isinstance(model, onnx.ModelProto):
        # What its owner does to it later changes nothing here.
        own = onnx.ModelProto()
        own.CopyFrom(model)
        return _read(own, "the model", None, serves)
    if isinstance(model, bytes):
        return _read(_parse(model, "the model"), "the model", None, serves)
    try:
        path = Path(model)
    except TypeError:
        raise ModelFileError(
            f"a {type(model).__name__}",
            "it is neither a path, nor bytes, nor an onnx.ModelProto",
            "Export the model to ONNX first.",
        ) from None
    return _read(read_model(path), str(path), path.parent, serves)


def read_model(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file, whatever is in its graph; external data is left where it is.

    Raises
    ------
    ModelFileError
        There is no such file, or it is not an ONNX model.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(str(path), reason) from error
    return _parse(content, str(path))


def _parse(content: bytes, source: str) -> onnx.ModelProto:
    if not content:
        raise ModelFileError(source, "it is empty")
    try:
        model = onnx.load_model_from_string(content)
    except google.protobuf.message.DecodeError:
        raise ModelFileError(
            source,
            "it is truncated or not an ONNX file",
            "Write it again with onnx.save or the exporter it came from.",
        ) from None
    if not model.HasField("graph") or not model.opset_import:
        raise ModelFileError(
            source, "it holds no ONNX graph", "Was it written by an ONNX exporter?"
        )
    return model


def _read(
    model: onnx.ModelProto, source: str, base_dir: Path | None, serves: Serves | None
) -> Graph:
    model = prepared(model, source, serves)
    opsets, faults = _opsets(model)
    reader = GraphReader(model.graph, model, opsets, source, base_dir)
    graph = reader.read()
    faults += reader.faults
    if faults:
        raise InvalidModelError(source, tuple(faults))
    return graph


def _opsets(model: onnx.ModelProto) -> tuple[dict[str, int], list[str]]:
    """Version by domain, and faults; domains that no node is of play no role."""
    opsets: dict[str, int] = {}
    faults = []
    used = {normalize_domain(node.domain) for node in all_nodes(model.graph.node)}
    for item in model.opset_import:
        domain, version = normalize_domain(item.domain), item.version
        where = domain or "ai.onnx"
        if domain not in used:
            continue
        if opsets.get(domain, version) != version:
            faults.append(f"opsets {opsets[domain]} and {version} of {where} are imported")
        opsets[domain] = version
        newest = _newest_opset(domain)
        if newest is not None and version > newest:
            oldest = OLDEST_OPSET if domain == "" else 1
            faults.append(
                f"opset {version} of {where} is not supported: the installed onnx "
                f"{onnx.__version__} knows {oldest} to {newest}; "
                "upgrade the onnx package or export at an older opset"
            )
    return opsets, faults


@functools.cache
def _newest_opset(domain: str) -> int | None:
    """The newest opset of a domain that the onnx package knows; None if it knows none."""
    if domain == "":
        return int(onnx.defs.onnx_opset_version())
    schemas = onnx.defs.get_all_schemas_with_history()
    return max((int(s.since_version) for s in schemas if s.domain == domain), default=None)
