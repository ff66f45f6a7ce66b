"""OpKey and OpSchema: which operator a plugin is about."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import validators

__all__ = ["AI_ONNX", "OpKey", "OpKind", "OpSchema", "normalize_domain"]

#: The default ONNX domain. Files may also write it as "ai.onnx".
AI_ONNX = ""


def normalize_domain(domain: str) -> str:
    """Return `domain` with the two spellings of the default domain made one."""
    return AI_ONNX if domain == "ai.onnx" else domain


@attrs.frozen(order=True, slots=True)
class OpKey:
    """One revision of one operator.

    Parameters
    ----------
    domain : str
        ONNX domain, `""` for `ai.onnx`.
    op_type : str
        Operator name in ONNX's spelling, such as `"Gemm"`.
    since_version : int
        Opset version in which this revision of the schema appeared.
    """

    domain: str = attrs.field(converter=normalize_domain)
    op_type: str
    since_version: int

    def __str__(self) -> str:
        return f"{self.domain or 'ai.onnx'}::{self.op_type}-{self.since_version}"


class OpKind(enum.Enum):
    """How an operator treats the elements of its inputs; what the framework may assume of it."""

    ELEMENTWISE = "elementwise"
    """Each output element depends on the input elements at its own (broadcast) position."""
    MOVEMENT = "movement"
    """Elements are moved, repeated or dropped, never changed."""
    LINEAR = "linear"
    """A sum of products of input elements with weights: work for the server, never the tail's."""
    SHAPE = "shape"
    """Depends on the shapes of its inputs only, never on their values; always clear."""
    CUSTOM = "custom"
    """Anything else."""


def _tuple(value: Any) -> Any:
    """A tuple of what can be gone through; the validator refuses the rest."""
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _revisions(instance: OpSchema, attribute: Any, value: Any) -> None:
    numbers = isinstance(value, tuple) and all(type(version) is int for version in value)
    if not numbers or not value or value[0] < 1 or list(value) != sorted(set(value)):
        raise ValueError(
            f"since_versions must be increasing opset versions, not {value!r}; (1,) and (7, 13) are"
        )


@attrs.frozen(slots=True)
class OpSchema:
    """The operator that a plugin implements.

    Parameters
    ----------
    op_type : str
        Operator name in ONNX's spelling.
    since_versions : tuple of int
        The schema revisions that the author has read and that this plugin implements.
    kind : OpKind
        How the operator treats its elements.
    domain : str
        ONNX domain, `""` for `ai.onnx`.
    attribute_defaults : mapping
        Defaults of optional attributes, only for operators that `onnx.defs` does not know.
    counts_outputs : bool
        Whether the operator gets the number of its node's outputs as attribute `n_outputs`.
    sees_graph : bool
        Whether the operator gets the graph that its node is in as attribute `graph`, an
        `EnclosingGraph`.
    """

    op_type: str = attrs.field(
        validator=validators.and_(validators.instance_of(str), validators.min_len(1))
    )
    since_versions: tuple[int, ...] = attrs.field(converter=_tuple, validator=_revisions)
    kind: OpKind = attrs.field(default=OpKind.CUSTOM, validator=validators.instance_of(OpKind))
    domain: str = attrs.field(default=AI_ONNX, converter=normalize_domain, kw_only=True)
    attribute_defaults: Mapping[str, Any] = attrs.field(
        factory=dict, converter=dict, kw_only=True, eq=False
    )
    counts_outputs: bool = attrs.field(default=False, kw_only=True)
    sees_graph: bool = attrs.field(default=False, kw_only=True)

    @property
    def keys(self) -> tuple[OpKey, ...]:
        """One key per revision."""
        return tuple(OpKey(self.domain, self.op_type, version) for version in self.since_versions)
