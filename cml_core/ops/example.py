"""OpExample: one use of an operator, read by tests, documentation and the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from attrs import validators

__all__ = ["OpExample"]


def _tensors(values: Any) -> tuple[Any, ...]:
    return tuple(_tensor(value) for value in values)


def _tensor(value: Any) -> Any:
    if isinstance(value, tuple):
        return _tensors(value)
    return None if value is None else np.asarray(value)


def _optional_tensors(values: Any) -> tuple[Any, ...] | None:
    return None if values is None else _tensors(values)


def _places(instance: OpExample, attribute: Any, value: tuple[Any, ...]) -> None:
    # The default is for examples that have inputs; the kit says so of those that have none.
    count = max(1, len(instance.inputs))
    if not all(isinstance(place, int) and 0 <= place < count for place in value):
        have = f"{count} input{'' if count == 1 else 's'}"
        raise ValueError(
            f"encrypted must be places among the example's {have}, counted from 0, not {value!r}"
        )


@attrs.frozen(slots=True, eq=False)
class OpExample:
    """Inputs and attributes of one use of an operator, and what must come out.

    Parameters
    ----------
    inputs : sequence of array, tuple of array or None
        Tensors in the operator's order; a tuple of them where the operator takes a sequence, and
        `None` where an optional input is left out.
    attributes : mapping
        ONNX attributes under ONNX's spelling; the others take their schema's defaults.
    outputs : sequence of array, tuple of array or None, optional
        Expected outputs; one that is `None` is not compared. Left out, the `onnx` package's
        reference implementation says.
    encrypted : tuple of int
        Which inputs are encrypted in the quantized checks; the others are clear constants.
    tolerance : float
        Largest error of the quantized form at `n_bits`, relative to the range of the output.
    n_bits : int
        Bit width of inputs, weights and activations in the quantized checks.
    opset : int or None
        Opset version the example is for; by default, the newest revision of the plugin.
    n_outputs : int
        How many outputs the node has.
    lookups : int or None
        How many table lookups one sample costs when the example is a whole model, computed on the
        server; None promises nothing.
    max_bits : int or None
        Most bits that enter any of these lookups; None promises nothing.
    name : str
        What the example shows, in a few words.
    """

    inputs: tuple[Any, ...] = attrs.field(converter=_tensors)
    attributes: Mapping[str, Any] = attrs.field(factory=dict, converter=dict)
    outputs: tuple[Any, ...] | None = attrs.field(default=None, converter=_optional_tensors)
    encrypted: tuple[int, ...] = attrs.field(
        default=(0,), converter=tuple, validator=_places, kw_only=True
    )
    tolerance: float = attrs.field(default=0.1, validator=validators.ge(0.0), kw_only=True)
    n_bits: int = attrs.field(default=4, validator=validators.in_(range(1, 17)), kw_only=True)
    opset: int | None = attrs.field(default=None, kw_only=True)
    n_outputs: int = attrs.field(default=1, validator=validators.ge(1), kw_only=True)
    lookups: int | None = attrs.field(
        default=None, validator=validators.optional(validators.ge(0)), kw_only=True
    )
    max_bits: int | None = attrs.field(
        default=None, validator=validators.optional(validators.in_(range(1, 17))), kw_only=True
    )
    name: str = attrs.field(default="", kw_only=True)
