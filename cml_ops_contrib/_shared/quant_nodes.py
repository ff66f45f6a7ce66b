"""Nodes that quantize and dequantize in one: Quant and BipolarQuant.

QONNX defines them (Pappalardo et al. 2022, arXiv:2206.07527; the revisions are those of the
documents in its repository, docs/qonnx-custom-ops), and Brevitas exports them. Scales, zero points
and bit widths are tensors, one number for all or of a shape that broadcasts with the input. Under
encryption the model's own grid is kept, whatever bit width was chosen for the rest: one lookup per
element, none where the integers are on it already. A model input that nothing else reads is
encrypted on that grid by the client.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import LoweringContext, OpKind, OpPlugin, OpSchema, elementwise
from cml_ops_contrib._shared.quant_formats import (
    KEPT_LEVELS,
    NEAREST,
    Integers,
    bits_of,
    float_type,
    kept,
    refuse_encrypted,
    rounding_of,
)

__all__ = ["bipolar_plugin", "quant_plugin"]

#: How far the grid of an input that is not rounded to nearest is shifted, in steps: by half of one,
#: but for so little that what is on a boundary goes where the node puts it. It is more than float32
#: is off by. Signs have one boundary, and zero is on it.
_LITTLE, _LITTLE_OF_SIGN = 2.0**-14, 2.0**-18
_SHIFTS = {"FLOOR": 0.5 - _LITTLE, "CEIL": _LITTLE - 0.5}


def _rounded(value, rounding, low, high, step):
    signs = np.where(value >= 0, 1.0, -1.0)
    return np.where(step == 2, signs, np.clip(rounding(value), low, high))


def _quant(x, scale, zeropt, bitwidth, *, signed, narrow, rounding_mode):
    integers = Integers.of(bits_of("bitwidth", bitwidth), signed=signed, narrow=narrow)
    dtype = float_type(x)
    scale, zeropt = scale.astype(dtype), zeropt.astype(dtype)
    value = x.astype(dtype) / scale + zeropt
    ends = integers.low, integers.high, integers.step
    rounded = _rounded(value, rounding_of(rounding_mode), *ends).astype(dtype)
    return (np.asarray((rounded - zeropt) * scale, dtype=dtype),)


class _QuantizedQuant:
    def __call__(
        self,
        ctx: LoweringContext,
        x,
        scale,
        zeropt,
        bitwidth,
        *,
        signed,
        narrow,
        rounding_mode,
    ):
        refuse_encrypted(ctx, scale=scale, zeropt=zeropt, bitwidth=bitwidth)
        integers = Integers.of(bits_of("bitwidth", bitwidth), signed=signed, narrow=narrow)
        rounding, dtype = rounding_of(rounding_mode), float_type(x)

        def function(values, scales, zeros, low, high, step):
            # In the model's own precision, so that what is a tie there is one here as well; but
            # the result is exact, so that it is on its grid.
            value = values.astype(dtype) / scales.astype(dtype) + zeros.astype(dtype)
            return (_rounded(value, rounding, low, high, step) - zeros) * scales

        ends = integers.low, integers.high, integers.step
        y = elementwise(ctx, function, x, scale, zeropt, *ends)
        exact = scale.astype(np.float64)
        offset = exact * (integers.low - zeropt.astype(np.float64))
        return (kept(y, x, exact * integers.step, offset, integers.levels),)


def _propose_quant(recorder, inputs, outputs, attributes):
    """Ask for a model input on the grid of the result."""
    _, scale, zeropt, bitwidth = inputs
    (y,) = outputs
    single = all(parameter.size == 1 for parameter in (scale, zeropt, bitwidth))
    mode = attributes["rounding_mode"].upper()
    shift = 0.0 if mode in NEAREST else _SHIFTS.get(mode)
    if not single or shift is None or y.size == 0 or not 0 < float(scale.reshape(())) < np.inf:
        return
    formats = {"signed": attributes["signed"], "narrow": attributes["narrow"]}
    integers = Integers.of(bits_of("bitwidth", bitwidth).reshape(()), **formats)
    if integers.levels > KEPT_LEVELS:
        return
    step, zero = (float(parameter.reshape(())) for parameter in (scale, zeropt))
    if integers.step == 2:
        _propose_signs(recorder, step, -step * zero)
        return
    seen = np.rint(y.astype(np.float64) / step + zero)
    low, high = recorder.notes.get("seen", (seen.min(), seen.max()))
    recorder.notes["seen"] = low, high = min(low, seen.min()), max(high, seen.max())
    # As far on both sides as the width lasts: what costs nothing need not be left out.
    levels = min(2 ** max(1, int(high - low).bit_length()), integers.levels)
    first = low - (levels - int(high - low + 1)) // 2
    first = float(np.clip(first, integers.low, integers.high - levels + 1))
    clips = first == integers.low, first + levels - 1 == integers.high
    recorder.propose_grid(0, step, step * (first - zero + shift), levels, clips=clips)


def _propose_signs(recorder, scale, middle):
    low = middle - scale
    recorder.propose_grid(0, 2 * scale * (1 - _LITTLE_OF_SIGN), low, 2, clips=(True, True))


def quant_plugin(op_type, domain, examples):
    """Quant of a domain."""
    return OpPlugin(
        schema=OpSchema(
            op_type,
            since_versions=(1,),
            kind=OpKind.ELEMENTWISE,
            domain=domain,
            attribute_defaults={"signed": 1, "narrow": 0, "rounding_mode": "ROUND"},
        ),
        numpy_op=_quant,
        quantized_op=_QuantizedQuant(),
        calibration_hook=_propose_quant,
        examples=examples,
        restrictions="scales, zero points and bit widths must be clear",
    )


def _bipolar(x, scale):
    dtype = float_type(x)
    return (np.asarray(np.where(x >= 0, 1, -1).astype(dtype) * scale.astype(dtype)),)


class _QuantizedBipolar:
    def __call__(self, ctx: LoweringContext, x, scale):
        refuse_encrypted(ctx, scale=scale)
        y = elementwise(ctx, lambda values, s: np.where(values >= 0, s, -s), x, scale)
        exact = scale.astype(np.float64)
        return (kept(y, x, 2 * exact, -exact, 2),)


def _propose_bipolar(recorder, inputs, outputs, attributes):
    """Ask for a model input as its signs."""
    scale = inputs[1]
    if scale.size == 1 and 0 < float(scale.reshape(())) < np.inf:
        _propose_signs(recorder, float(scale.reshape(())), 0.0)


def bipolar_plugin(domain, examples):
    """BipolarQuant of a domain."""
    return OpPlugin(
        schema=OpSchema(
            "BipolarQuant", since_versions=(1,), kind=OpKind.ELEMENTWISE, domain=domain
        ),
        numpy_op=_bipolar,
        quantized_op=_QuantizedBipolar(),
        calibration_hook=_propose_bipolar,
        examples=examples,
        restrictions="the scale must be clear",
    )
