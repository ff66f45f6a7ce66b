"""OpPlugin: everything that one operator brings, in one value."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import numpy as np
from attrs import validators

from cml_core.ops.body import Body
from cml_core.ops.example import OpExample
from cml_core.ops.schema import OpSchema

if TYPE_CHECKING:
    from cml_core.calibration.stats import CalibrationRecorder
    from cml_core.quantization.context import LoweringContext

__all__ = ["UNKNOWN", "CalibrationHook", "NumpyOp", "OpPlugin", "Preparation", "QuantizedOp"]


class _Unknown(enum.Enum):
    """The kind of `UNKNOWN`."""

    UNKNOWN = "unknown"


#: Stands for a tensor that is not known before a model runs.
UNKNOWN = _Unknown.UNKNOWN


class NumpyOp(Protocol):
    """The float reference of an operator: NumPy arrays in, a tuple of NumPy arrays out.

    Tensors are positional, `None` where an optional input is left out. ONNX attributes are
    keywords in ONNX's spelling, their defaults filled in from the schema. Inputs are never
    modified.
    """

    def __call__(self, *tensors: Any, **attributes: Any) -> tuple[Any, ...]: ...


class Preparation(Protocol):
    """What is done of an operator once per model, such as laying out weights.

    Called when a model is loaded with, for each input of a node, the array if it is a constant,
    `UNKNOWN` if it is not, and `None` if it is left out; attributes are keywords. Returns the
    function of the node's tensors that is called in place of the float reference whenever the
    model runs, or `None` if nothing can be done beforehand.
    """

    def __call__(
        self, *constants: Any, **attributes: Any
    ) -> Callable[..., tuple[Any, ...]] | None: ...


class QuantizedOp(Protocol):
    """The quantized implementation of an operator: it lowers one node to integer instructions.

    Called with the lowering context and, for each input, an `EncryptedTensor`, a clear array or
    `None`; at least one is encrypted. Returns a tuple with an `EncryptedTensor` or a clear array
    for each output.
    """

    def __call__(
        self, ctx: LoweringContext, *tensors: Any, **attributes: Any
    ) -> tuple[Any, ...]: ...


class CalibrationHook(Protocol):
    """What an operator wants to learn from calibration data, beside the range of each output.

    Called once per batch of calibration data with the node's inputs and outputs. What it leaves
    in `recorder.notes` reaches the quantized implementation as `ctx.notes`.
    """

    def __call__(
        self,
        recorder: CalibrationRecorder,
        inputs: tuple[np.ndarray | None, ...],
        outputs: tuple[np.ndarray, ...],
        attributes: Mapping[str, Any],
    ) -> None: ...


@attrs.frozen(slots=True, eq=False)
class OpPlugin:
    """One operator: its schema, float reference, calibration hook and quantized implementation.

    Parameters
    ----------
    schema : OpSchema
        Which operator and which of its revisions.
    numpy_op : NumpyOp
        The operator on NumPy arrays, as the ONNX specification has it.
    quantized_op : QuantizedOp or None
        The operator on encrypted integers; `None` means float only.
    prepare : Preparation or None
        Makes a faster float reference for one node of a model; it gives the same results.
    calibration_hook : CalibrationHook or None
        Called during calibration. The range of every tensor is recorded without it.
    body : Body or None
        The operator written with others: how it is quantized if there is no `quantized_op`, and
        how it is exported.
    examples : tuple of OpExample
        Uses of the operator, read by tests, documentation and the conformance kit.
    restrictions : str
        Where the quantized form is only partial, in words.
    tail : bool
        Whether the client should compute the operator after decryption when no encrypted
        operation follows it. Elementwise operators do so by nature.
    overrides : str or None
        Name of the plugin that this one replaces for the same operator.
    """

    schema: OpSchema = attrs.field(validator=validators.instance_of(OpSchema))
    numpy_op: NumpyOp = attrs.field(validator=validators.is_callable())
    quantized_op: QuantizedOp | None = attrs.field(
        default=None, validator=validators.optional(validators.is_callable())
    )
    prepare: Preparation | None = attrs.field(
        default=None, validator=validators.optional(validators.is_callable()), kw_only=True
    )
    calibration_hook: CalibrationHook | None = attrs.field(
        default=None, validator=validators.optional(validators.is_callable()), kw_only=True
    )
    body: Body | None = attrs.field(
        default=None, validator=validators.optional(validators.is_callable()), kw_only=True
    )
    examples: tuple[OpExample, ...] = attrs.field(
        default=(),
        converter=tuple,
        validator=validators.deep_iterable(validators.instance_of(OpExample)),
        kw_only=True,
    )
    restrictions: str = attrs.field(default="", kw_only=True)
    tail: bool = attrs.field(default=False, kw_only=True)
    overrides: str | None = attrs.field(default=None, kw_only=True)

    @property
    def quantized(self) -> bool:
        """Whether the operator can be computed on encrypted integers."""
        return self.quantized_op is not None or self.body is not None
