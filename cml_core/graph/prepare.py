"""What is done to a model before it is read: conversion of old opsets, functions written out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import onnx
import onnx.defs
import onnx.inliner
import onnx.version_converter
from onnx import helper

from cml_core.errors import InvalidModelError
from cml_core.graph.reader import first_line
from cml_core.ops.schema import normalize_domain
from cml_core.plugins.onnx_schemas import revision_at

__all__ = ["OLDEST_OPSET", "Serves", "all_nodes", "prepared"]

#: The oldest opset of ai.onnx that operators are written for; older models are converted to it.
OLDEST_OPSET = 6
#: `serves(domain, op_type, opset)`: whether there is a plugin for an operator.
Serves = Callable[[str, str, int], bool]


def prepared(model: onnx.ModelProto, source: str, serves: Serves | None = None) -> onnx.ModelProto:
    """Return a model of an opset that cml reads, with no function left that has no plugin.

    A function is written out where it is called: the model's own ones and operators that ONNX
    itself defines by others, unless a plugin serves them. A model that needs nothing is returned
    as it is.

    Parameters
    ----------
    model : onnx.ModelProto
        The model; it is not changed.
    source : str
        Where it came from, for messages.
    serves : callable, optional
        Says which operators have a plugin; by default all that ONNX knows have one.

    Raises
    ------
    InvalidModelError
        The model cannot be converted, or a function cannot be written out.
    """
    return _inlined(_converted(model, source), source, serves)


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes and those of the graphs within them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (*attribute.graphs, attribute.g):
                yield from all_nodes(graph.node)


def _converted(model: onnx.ModelProto, source: str) -> onnx.ModelProto:
    versions = [o.version for o in model.opset_import if normalize_domain(o.domain) == ""]
    if len(versions) != 1 or versions[0] >= OLDEST_OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OLDEST_OPSET)
    except Exception as error:
        fault = (
            f"opset {versions[0]} of ai.onnx cannot be converted to opset {OLDEST_OPSET}, the "
            f"oldest that cml reads: {first_line(error)}; export the model at a newer opset"
        )
        raise InvalidModelError(source, (fault,)) from error


def _inlined(model: onnx.ModelProto, source: str, serves: Serves | None) -> onnx.ModelProto:
    found = _without_plugin(model, serves)
    if not found:
        return model
    versions = _versions(model.opset_import)
    model = _of_one_opset(model, versions)
    written = [f for f in model.functions if (normalize_domain(f.domain), f.name) in found]
    other = any(
        versions.get("", v) != v for v in (_versions(f.opset_import).get("") for f in written)
    )
    model = _with_defaults(model)
    try:
        if other:  # Functions of another opset of ai.onnx can be converted, but only all at once.
            model = onnx.inliner.inline_local_functions(model, convert_version=True)
        model = onnx.inliner.inline_selected_functions(
            model, sorted(found), inline_schema_functions=True
        )
    except Exception as error:
        names = ", ".join(f"{domain or 'ai.onnx'}::{name}" for domain, name in sorted(found))
        fault = f"the functions {names} cannot be written out: {first_line(error)}"
        raise InvalidModelError(source, (fault,)) from error
    for function in written:
        for domain, version in _versions(function.opset_import).items():
            if domain not in versions:
                model.opset_import.append(helper.make_opsetid(domain, version))
                versions[domain] = version
    return model


def _of_one_opset(model: onnx.ModelProto, versions: Mapping[str, int]) -> onnx.ModelProto:
    """Let functions import the model's opset where all of their operators are the same in both.

    What is left has to be converted, which fails where types cannot be inferred.
    """
    version = versions.get("")
    if version is None or all(
        _versions(f.opset_import).get("", version) == version for f in model.functions
    ):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for function in changed.functions:
        for opset in function.opset_import:
            if normalize_domain(opset.domain) == "" and all(
                revision_at("", node.op_type, opset.version)
                == revision_at("", node.op_type, version)
                for node in all_nodes(function.node)
                if normalize_domain(node.domain) == ""
            ):
                opset.version = version
    return changed


def _with_defaults(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write out defaults of functions' attributes where they are called: the inliner drops them.

    What a function refers to in its own body are its attributes, which every call states then.
    """
    defaults = {
        (normalize_domain(f.domain), f.name, f.overload): f.attribute_proto
        for f in model.functions
        if f.attribute_proto
    }
    if not defaults:
        return model
    filled = onnx.ModelProto()
    filled.CopyFrom(model)
    for nodes in (filled.graph.node, *(function.node for function in filled.functions)):
        for node in all_nodes(nodes):
            stated = {attribute.name for attribute in node.attribute}
            key = normalize_domain(node.domain), node.op_type, node.overload
            node.attribute.extend(a for a in defaults.get(key, ()) if a.name not in stated)
    return filled


def _versions(imports: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    return {normalize_domain(opset.domain): opset.version for opset in imports}


def _without_plugin(model: onnx.ModelProto, serves: Serves | None) -> set[tuple[str, str]]:
    """Domain and name of the functions that a model calls and that no plugin serves."""
    own = {(normalize_domain(f.domain), f.name): list(f.node) for f in model.functions}
    opsets = _versions(model.opset_import)
    found: set[tuple[str, str]] = set()
    waiting = list(model.graph.node)
    while waiting:
        nodes, waiting = list(all_nodes(waiting)), []
        for key in {(normalize_domain(node.domain), node.op_type) for node in nodes} - found:
            version = opsets.get(key[0], 1)
            if serves is not None and serves(*key, version):
                continue
            if key in own:
                waiting += own[key]
            elif serves is None or not _has_body(*key, version):
                continue
            found.add(key)
    return found


def _has_body(domain: str, op_type: str, opset: int) -> bool:
    """Whether ONNX defines an operator by others."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)  # type: ignore[attr-defined]
