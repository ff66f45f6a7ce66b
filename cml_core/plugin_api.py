"""All that an operator plugin may import from cml.

A plugin is a module with one function marked `hookimpl`:

    @hookimpl
    def cml_op():
        return OpPlugin(schema=OpSchema(...), numpy_op=..., quantized_op=..., examples=(...))

The functions below that take a `LoweringContext` first are what quantized implementations are
made of.
"""

from __future__ import annotations

from cml_core.calibration.stats import CalibrationRecorder
from cml_core.errors import AttributeValueError
from cml_core.graph.writer import GraphWriter
from cml_core.ops.body import Body
from cml_core.ops.elementwise import ElementwiseQuantizedOp
from cml_core.ops.example import OpExample
from cml_core.ops.movement import MovementQuantizedOp
from cml_core.ops.plugin import CalibrationHook, NumpyOp, OpPlugin, QuantizedOp
from cml_core.ops.schema import OpKey, OpKind, OpSchema
from cml_core.plugins.hookspecs import hookimpl
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
from cml_core.quantization.context import LoweringContext
from cml_core.quantization.elementwise import elementwise, pack
from cml_core.quantization.encrypted import Decode, EncryptedTensor
from cml_core.quantization.grid import affine, choose_grid, requantize
from cml_core.quantization.linear import conv, matmul, sum_
from cml_core.quantization.lookup import Grid, lookup
from cml_core.quantization.movement import broadcast_to, move, reshape, transpose
from cml_core.quantization.products import matmul_encrypted

__all__ = [
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
    "QuantizedOp",
    "add",
    "affine",
    "broadcast_to",
    "choose_grid",
    "conv",
    "conv_nd",
    "elementwise",
    "hookimpl",
    "lookup",
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
    "subtract",
    "sum_",
    "transpose",
    "window_view",
]
