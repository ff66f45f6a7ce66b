"""What can be said of an operator plugin before any model runs: its revisions and its functions.

A plugin is refused here if every model that needs it would fail; what some models would fail on
is a note.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs

from cml_core.errors import PluginError
from cml_core.ops.plugin import OpPlugin
from cml_core.ops.schema import OpKey
from cml_core.plugins.onnx_schemas import (
    knows_domain,
    newest_opset,
    operator_names,
    opsets_of,
    revisions_of,
    schema_of,
)

__all__ = ["call_faults", "examine", "required_attributes"]

#: Functions that are called with a node's tensors, and how many arguments come before these.
_OF_TENSORS = {"numpy_op": 0, "prepare": 0, "quantized_op": 1, "body": 1}
#: Keywords that an operator gets if its schema asks for them, by the schema's field.
_ASKED = {"counts_outputs": "n_outputs", "sees_graph": "graph"}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def examine(name: str, plugin: OpPlugin) -> tuple[str, ...]:
    """Give notes on an operator plugin.

    Raises
    ------
    PluginError
        ONNX has no such operator or revision, or a function cannot be called the way it will be.
    """
    for key in plugin.schema.keys:
        _check_revision(name, key)
    notes: dict[str, None] = {}
    calls: dict[_Call, OpKey] = {}
    for key in plugin.schema.keys:
        calls.setdefault(_Call.of(plugin, key), key)
    for role, leading in _OF_TENSORS.items():
        function = getattr(plugin, role)
        signature = None if function is None else _signature(function)
        if signature is not None:
            for call, key in calls.items():
                taken = _Taken.of(signature, call, leading)
                fault = next(_faults(taken, call), "")
                if fault:
                    raise PluginError(name, f"its {role} {fault} ({key})", _hint(call, leading))
                notes.update(dict.fromkeys(f"its {role} {n}" for n in _notes(taken, call)))
    if plugin.calibration_hook is not None:
        _check_hook(name, plugin.calibration_hook)
    return tuple(notes)


def call_faults(
    plugin: OpPlugin, key: OpKey, attributes: Iterable[str], n_inputs: int
) -> tuple[str, ...]:
    """What of a node's attributes and inputs the float reference of a plugin cannot take.

    Nothing for operators that ONNX has, as their schema says it.
    """
    found = _taken_by(plugin, key, stated := frozenset(attributes))
    if found is None:
        return ()
    taken, call = found
    faults = []
    unknown = () if taken.names is None else sorted(stated - taken.names)
    if unknown:
        have = ", ".join(sorted(taken.needs | set(plugin.schema.attribute_defaults))) or "none"
        faults.append(f"{key} has no attribute {', '.join(unknown)}; it has {have}")
    lacking = sorted(taken.needs - call.attributes)
    if lacking:
        faults.append(f"{key} needs the attribute {', '.join(lacking)}")
    for wrong, limit, number in (
        (n_inputs < taken.least, "at least", taken.least),
        (taken.most is not None and n_inputs > taken.most, "at most", taken.most),
    ):
        if wrong:
            noun = "input" if number == 1 else "inputs"
            faults.append(f"{key} takes {limit} {number} {noun}, and the node has {n_inputs}")
    return tuple(faults)


def required_attributes(plugin: OpPlugin, key: OpKey) -> tuple[str, ...]:
    """Attributes that nodes of an operator that ONNX does not know must state."""
    found = _taken_by(plugin, key, frozenset())
    return () if found is None else tuple(sorted(found[0].needs - found[1].attributes))


def _taken_by(plugin: OpPlugin, key: OpKey, stated: frozenset[str]) -> tuple[_Taken, _Call] | None:
    """What a float reference takes, and is given where a node states some attributes.

    None where ONNX has the operator, or the function is none of Python's.
    """
    call = _Call.of(plugin, key)
    signature = None if call.known else _signature(plugin.numpy_op)
    if signature is None:
        return None
    call = attrs.evolve(call, attributes=call.attributes | stated)
    return _Taken.of(signature, call, 0), call


def _check_revision(name: str, key: OpKey) -> None:
    """Refuse what ONNX does not have, unless it is newer than the installed onnx."""
    domain, op_type, version = attrs.astuple(key)
    if not knows_domain(domain) or version > newest_opset(domain):
        return
    schema = schema_of(domain, op_type, version)
    if schema is not None and schema.since_version == version and not schema.deprecated:
        return
    where = domain or "ai.onnx"
    have = revisions_of(domain, op_type)
    if not have:
        close = difflib.get_close_matches(op_type, operator_names(domain), n=1)
        hint = f"Did you mean {close[0]}?" if close else "Use a domain of your own."
        raise PluginError(name, f"ONNX has no operator {op_type!r} in {where}", hint)
    listed = ", ".join(map(str, have))
    reason = f"ONNX has no revision {version} of {op_type}; it has {listed}"
    if schema is None:
        hint = f"{where} has {op_type} from opset {have[0]} on."
    elif schema.deprecated:
        hint = f"{where} deprecated {op_type} in opset {schema.since_version}."
    else:
        first, last = opsets_of(domain, op_type, schema.since_version)
        until = f"to {last}" if last else "on"
        hint = f"Revision {first} is in force from opset {first} {until}; list that one."
    raise PluginError(name, reason, hint)


@attrs.frozen(slots=True)
class _Call:
    """How functions will be called for a revision.

    Parameters
    ----------
    least, most : int
        How many tensors there will be.
    attributes : frozenset of str
        Names that are always given as keywords.
    known : bool
        Whether ONNX has the operator, so that the number of tensors is known and there are no
        other attributes.
    """

    least: int
    most: int
    attributes: frozenset[str]
    known: bool

    @classmethod
    def of(cls, plugin: OpPlugin, key: OpKey) -> _Call:
        """Of a revision of a plugin's operator."""
        names = set(plugin.schema.attribute_defaults)
        names |= {name for flag, name in _ASKED.items() if getattr(plugin.schema, flag, False)}
        schema = schema_of(key.domain, key.op_type, key.since_version)
        if schema is None or schema.since_version != key.since_version:
            return cls(0, 0, frozenset(names), known=False)
        names |= set(schema.attributes)
        return cls(schema.min_input, schema.max_input, frozenset(names), known=True)


@attrs.frozen(slots=True)
class _Taken:
    """What a function takes.

    Parameters
    ----------
    names, needs : frozenset of str or None
        Keywords that it takes, None for any, and those that it cannot do without.
    least, most : int or None
        How many tensors it needs and takes, None for any number.
    """

    names: frozenset[str] | None
    needs: frozenset[str]
    least: int
    most: int | None

    @classmethod
    def of(cls, signature: inspect.Signature, call: _Call, leading: int) -> _Taken:
        """Of a function that is called with some arguments before the tensors."""
        parameters = tuple(signature.parameters.values())
        kinds = {parameter.kind for parameter in parameters}
        places = [p for p in parameters if p.kind in _POSITIONAL][leading:]
        places = [p for p in places if p.name not in call.attributes]
        by_name = frozenset(p.name for p in parameters if p.kind in _BY_NAME)
        only_by_name = (p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)
        return cls(
            None if inspect.Parameter.VAR_KEYWORD in kinds else by_name,
            frozenset(p.name for p in only_by_name if p.default is p.empty),
            sum(p.default is p.empty for p in places),
            None if inspect.Parameter.VAR_POSITIONAL in kinds else len(places),
        )


def _faults(taken: _Taken, call: _Call) -> Iterator[str]:
    """Why every call would fail."""
    lacking = () if taken.names is None else sorted(call.attributes - taken.names)
    if lacking:
        yield f"cannot take the attribute{_s(lacking)} {', '.join(lacking)}"
    if not call.known:
        return
    unknown = sorted(taken.needs - call.attributes)
    if unknown:
        what = f"the attribute{_s(unknown)} {', '.join(unknown)}"
        yield f"needs {what}, which the operator does not have"
    if taken.most is not None and taken.most < call.least:
        yield f"takes {taken.most} tensors, and the operator has at least {call.least} inputs"
    if taken.least > call.most:
        yield f"needs {taken.least} tensors, and the operator has at most {call.most} inputs"


def _notes(taken: _Taken, call: _Call) -> Iterator[str]:
    """Why some calls would fail."""
    if not call.known:
        return
    if taken.least > call.least:
        yield (
            f"needs {taken.least} tensors, and nodes may have {call.least} inputs: give optional "
            "ones the default None"
        )
    if taken.most is not None and taken.most < call.most:
        yield f"takes {taken.most} tensors, and nodes may have more inputs"


def _check_hook(name: str, hook: Callable[..., Any]) -> None:
    signature = _signature(hook)
    if signature is None:
        return
    try:
        signature.bind(None, (), (), {})
    except TypeError as error:
        raise PluginError(
            name,
            f"its calibration_hook cannot be called: {error}",
            "It is called with (recorder, inputs, outputs, attributes).",
        ) from None


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """None for what was not written in Python, such as NumPy's own functions."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _hint(call: _Call, leading: int) -> str:
    first = "ctx or writer, " if leading else ""
    names = ", ".join(sorted(call.attributes))
    keywords = f"the attributes as keywords: {names}" if names else "no keywords"
    return f"It is called with {first}the node's tensors, and {keywords}."


def _s(names: Sequence[str]) -> str:
    return "s" if len(names) > 1 else ""
