"""All that an operator plugin may import from cml.

A plugin is a module with one function marked `hookimpl`:

    @hookimpl
    def cml_op():
        return OpPlugin(schema=OpSchema(...), numpy_op=..., quantized_op=..., examples=(...))

The functions below that take a `LoweringContext` first are what quantized implementations are
made of.

The names in `__all__` are the plugin API, of version `API_VERSION`; `docs/plugin-api.md` says what
may change between versions. A plugin states what it was written for as `CML_API = "1.0"`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_core.calibration.stats import CalibrationRecorder
from cml_core.errors import AttributeValueError
from cml_core.graph.bound import Subgraph
from cml_core.graph.writer import GraphWriter
from cml_core.limits import check_size
from cml_core.ops.body import Body
from cml_core.ops.elementwise import ElementwiseQuantizedOp
from cml_core.ops.example import OpExample
from cml_core.ops.movement import MovementQuantizedOp
from cml_core.ops.plugin import (
    UNKNOWN,
    CalibrationHook,
    NumpyOp,
    OpPlugin,
    Preparation,
    QuantizedOp,
)
from cml_core.ops.schema import OpKey, OpKind, OpSchema
from cml_core.plugins.api_version import API_VERSION
from cml_core.plugins.deprecation import Deprecated, deprecated_names
from cml_core.plugins.hookspecs import hookimpl
from cml_core.program.codings import binary_digits, signed_digits
from cml_core.program.cost import demand_steps, lookup_complexity
from cml_core.program.instructions import Interval, Opcode
from cml_core.program.kernels import conv_nd, window_view
from cml_core.program.ranges import Bounds
from cml_core.quantization.arithmetic import (
    add,
    maximum,
    minimum,
    multiply,
    of_difference,
    subtract,
)
from cml_core.quantization.codes import Grid
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.elementwise import elementwise, pack
from cml_core.quantization.encrypted import Decode, EncryptedTensor
from cml_core.quantization.grid import affine, choose_grid, requantize
from cml_core.quantization.linear import conv, matmul, sum_
from cml_core.quantization.lookup import lookup
from cml_core.quantization.movement import broadcast_to, move, reshape, transpose
from cml_core.quantization.products import matmul_encrypted

__all__ = [
    "API_VERSION",
    "UNKNOWN",
    "AttributeValueError",
    "Body",
    "Bounds",
    "CalibrationHook",
    "CalibrationRecorder",
    "Decode",
    "ElementwiseQuantizedOp",
    "EncryptedTensor",
    "GraphWriter",
    "Grid",
    "Interval",
    "LoweringContext",
    "MovementQuantizedOp",
    "NumpyOp",
    "OpExample",
    "OpKey",
    "OpKind",
    "OpPlugin",
    "OpSchema",
    "Opcode",
    "Preparation",
    "QuantizedOp",
    "Subgraph",
    "add",
    "affine",
    "binary_digits",
    "broadcast_to",
    "check_size",
    "choose_grid",
    "conv",
    "conv_nd",
    "demand_steps",
    "elementwise",
    "hookimpl",
    "lookup",
    "lookup_complexity",
    "matmul",
    "matmul_encrypted",
    "maximum",
    "minimum",
    "move",
    "multiply",
    "of_difference",
    "pack",
    "requantize",
    "reshape",
    "signed_digits",
    "subtract",
    "sum_",
    "transpose",
    "window_view",
]

#: Names that still work and will not for ever.
_DEPRECATED: dict[str, Deprecated] = {}

if not TYPE_CHECKING:  # A type checker takes it as a promise of any name.
    __getattr__ = deprecated_names(__name__, _DEPRECATED)
