"""What ONNX says of operators: which exist, in which revisions, and from when to when."""

from __future__ import annotations

import functools

import onnx.defs

__all__ = [
    "knows_domain",
    "newest_opset",
    "not_in_onnx",
    "operator_names",
    "opsets_of",
    "revision_at",
    "revisions_of",
    "schema_of",
]


@functools.cache
def schema_of(domain: str, op_type: str, version: int) -> onnx.defs.OpSchema | None:
    """The schema in force at an opset version, whether deprecated or not; None if there is none."""
    try:
        return onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return None


def revision_at(domain: str, op_type: str, opset: int) -> int | None:
    """The revision in force at an opset version; None if the operator does not exist there."""
    schema = schema_of(domain, op_type, opset)
    return None if schema is None or schema.deprecated else int(schema.since_version)


@functools.cache
def revisions_of(domain: str, op_type: str) -> tuple[int, ...]:
    """Every revision that ONNX ever had of an operator, those that deprecate it left out."""
    return tuple(int(s.since_version) for s in _history(domain, op_type) if not s.deprecated)


def opsets_of(domain: str, op_type: str, revision: int) -> tuple[int, int | None]:
    """The first and the last opset version at which a revision is in force; None is no end yet."""
    later = [int(s.since_version) for s in _history(domain, op_type)]
    return revision, min((v - 1 for v in later if v > revision), default=None)


@functools.cache
def knows_domain(domain: str) -> bool:
    """Whether ONNX defines operators of a domain."""
    return any(schema.domain == domain for schema in _schemas())


@functools.cache
def newest_opset(domain: str) -> int:
    """The newest opset version of a domain that the installed onnx knows; 0 if it knows none."""
    if domain == "":
        return int(onnx.defs.onnx_opset_version())
    return max((int(s.since_version) for s in _schemas() if s.domain == domain), default=0)


@functools.cache
def operator_names(domain: str) -> frozenset[str]:
    """Every operator that ONNX has or had in a domain."""
    return frozenset(schema.name for schema in _schemas() if schema.domain == domain)


def not_in_onnx(domain: str, op_type: str, opset: int) -> tuple[str, str]:
    """Why ONNX itself has no such operator at an opset, and what would help."""
    where = domain or "ai.onnx"
    alive = revisions_of(domain, op_type)
    ended = [int(s.since_version) for s in _history(domain, op_type) if s.deprecated]
    later = [version for version in alive if version > opset]
    hint = f"Export the model at opset {later[0]} or newer." if later else ""
    if any(version <= opset for version in ended):
        end = max(version for version in ended if version <= opset)
        if not hint:
            hint = f"Export the model with what replaces it, or at an opset before {end}."
        return f"{where} deprecated it in opset {end}, and the model imports {opset}", hint
    if later:
        return f"it came into {where} with opset {later[0]}, and the model imports {opset}", hint
    reason = f"ONNX has no operator {op_type!r} in {where} opset {opset}"
    return reason, "Check the spelling and the domain."


@functools.cache
def _history(domain: str, op_type: str) -> tuple[onnx.defs.OpSchema, ...]:
    """Every revision of an operator that ONNX ever had, oldest first."""
    found = [schema for schema in _schemas() if (schema.domain, schema.name) == (domain, op_type)]
    return tuple(sorted(found, key=lambda schema: int(schema.since_version)))


@functools.cache
def _schemas() -> tuple[onnx.defs.OpSchema, ...]:
    return tuple(onnx.defs.get_all_schemas_with_history())
