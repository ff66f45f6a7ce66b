"""Trunc: integers of one format with their low bits taken off, as after a sum.

The two revisions of QONNX differ in the scale of the result: that of the input, or its own.
"""

from __future__ import annotations

import attrs
import numpy as np

from cml_core.plugin_api import LoweringContext, OpKind, OpPlugin, OpSchema, elementwise
from cml_ops_contrib._shared.quant_formats import (
    Integers,
    bits_of,
    float_type,
    kept,
    refuse_encrypted,
    rounding_of,
)

__all__ = ["trunc_plugin", "trunc_plugin_1"]


@attrs.frozen(slots=True, eq=False)
class _Trunc:
    """y = (clip(round(round(x / scale + zeropt) / divisor)) - out_zero) * out_scale."""

    scale: np.ndarray
    zeropt: np.ndarray
    divisor: np.ndarray
    out_scale: np.ndarray
    out_zero: np.ndarray
    integers: Integers
    rounding: object

    @property
    def parameters(self):
        """All that may vary from element to element."""
        ends = self.integers.low, self.integers.high
        return self.scale, self.zeropt, self.divisor, self.out_scale, self.out_zero, *ends

    def exact(self, dtype, values, scale, zeropt, divisor, out_scale, out_zero, low, high):
        """The result in float64."""
        whole = np.rint(values.astype(dtype) / scale.astype(dtype) + zeropt.astype(dtype))
        cut = np.clip(self.rounding(whole / divisor), low, high)
        return (cut - out_zero) * out_scale

    def __call__(self, x):
        dtype = float_type(x)
        return (np.asarray(self.exact(dtype, x, *self.parameters)).astype(dtype),)

    def lowered(self, ctx, x):
        dtype = float_type(x)
        y = elementwise(ctx, lambda *arrays: self.exact(dtype, *arrays), x, *self.parameters)
        offset = self.out_scale * (self.integers.low - self.out_zero)
        return (kept(y, x, self.out_scale, offset, self.integers.levels),)


def _trunc_1(scale, zeropt, in_bitwidth, out_bitwidth, *, rounding_mode):
    scale, zeropt = scale.astype(np.float64), zeropt.astype(np.float64)
    bits = bits_of("out_bitwidth", out_bitwidth)
    divisor = 2.0 ** (bits_of("in_bitwidth", in_bitwidth) - bits)
    # The format does not say whether it is signed.
    integers = Integers(-(2.0 ** (bits - 1)), 2.0**bits - 1, np.ones(()))
    return _Trunc(scale, zeropt, divisor, scale, zeropt, integers, rounding_of(rounding_mode))


def _trunc_2(scale, zeropt, in_bitwidth, out_scale, out_bitwidth, *, rounding_mode, signed, narrow):
    scale, zeropt, out_scale = (v.astype(np.float64) for v in (scale, zeropt, out_scale))
    divisor = 2.0 ** np.rint(np.log2(out_scale / scale))
    bits = bits_of("out_bitwidth", out_bitwidth)
    integers = Integers.of(bits, signed=signed, narrow=narrow)
    integers = attrs.evolve(integers, step=np.ones(()))
    rounding = rounding_of(rounding_mode)
    return _Trunc(scale, zeropt, divisor, out_scale, zeropt / divisor, integers, rounding)


def _trunc_plugin(revision, domain, defaults, read, names, examples):
    def trunc(x, *parameters, **attributes):
        return read(*parameters, **attributes)(x)

    def quantized_trunc(ctx: LoweringContext, x, *parameters, **attributes):
        refuse_encrypted(ctx, **dict(zip(names, parameters, strict=True)))
        return read(*parameters, **attributes).lowered(ctx, x)

    return OpPlugin(
        schema=OpSchema(
            "Trunc",
            since_versions=(revision,),
            kind=OpKind.ELEMENTWISE,
            domain=domain,
            attribute_defaults=defaults,
        ),
        numpy_op=trunc,
        quantized_op=quantized_trunc,
        examples=examples,
        restrictions="scales, zero points and bit widths must be clear",
    )


def trunc_plugin_1(domain, examples):
    """Trunc of revision 1, whose result has the scale of its input."""
    names = ("scale", "zeropt", "in_bitwidth", "out_bitwidth")
    return _trunc_plugin(1, domain, {"rounding_mode": "FLOOR"}, _trunc_1, names, examples)


def trunc_plugin(domain, examples):
    """Trunc of revision 2, whose result has a scale and limits of its own."""
    names = ("scale", "zeropt", "in_bitwidth", "out_scale", "out_bitwidth")
    defaults = {"rounding_mode": "FLOOR", "signed": 1, "narrow": 0}
    return _trunc_plugin(2, domain, defaults, _trunc_2, names, examples)
