"""DynamicQuantizeLinear: a tensor as uint8, with the scale and zero point that its range asks for.

Under encryption nobody knows the range of one sample, so the scale and the zero point are those of
the calibration data, in the clear; what is computed with them stands for the same real values.
One lookup per element brings the tensor onto that grid; a model input that nothing else reads is
encrypted on it and costs none.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
)
from cml_ops_builtin._shared.quantized_tensors import kept_integers, round_to

_TOP = 255


def dynamic_quantize_linear(x):
    scale, zero_point = _parameters(x.min(initial=0.0), x.max(initial=0.0))
    return round_to(x / scale, zero_point, np.dtype(np.uint8)), scale, zero_point


def _parameters(low, high):
    """Scale and zero point of a range that holds zero; a range of zero has a scale of one."""
    low, high = np.float32(low), np.float32(high)
    scale = np.float32(1.0) if low == high else (high - low) / np.float32(_TOP)
    zero_point = np.rint(np.clip(-low / scale, 0, _TOP))
    return np.array(scale, dtype=np.float32), np.array(zero_point, dtype=np.uint8)


class QuantizedDynamicQuantizeLinear:
    """DynamicQuantizeLinear with the range of the calibration data."""

    def __call__(self, ctx: LoweringContext, x):
        scale, zero_point = _parameters(*ctx.notes.get("range", (0.0, 0.0)))

        def function(values):
            # In float32, so that what is a tie there is one here as well.
            return round_to(values.astype(np.float32) / scale, zero_point, np.dtype(np.uint8))

        y = kept_integers(elementwise(ctx, function, x), np.dtype(np.uint8))
        return y, scale, zero_point


def learn_range(recorder, inputs, outputs, attributes):
    """Keep the range of all samples, and ask for the input on the grid that follows from it."""
    x = inputs[0]
    low, high = recorder.notes.get("range", (0.0, 0.0))
    low, high = float(x.min(initial=low)), float(x.max(initial=high))
    recorder.notes["range"] = low, high
    scale, zero_point = _parameters(low, high)
    recorder.propose_grid(0, float(scale), -float(scale) * int(zero_point), _TOP + 1)


@hookimpl
def cml_op():
    return OpPlugin(
        schema=OpSchema("DynamicQuantizeLinear", since_versions=(11,)),
        numpy_op=dynamic_quantize_linear,
        quantized_op=QuantizedDynamicQuantizeLinear(),
        calibration_hook=learn_range,
        examples=(
            OpExample(
                (np.array([[-1.0, 0.3, 2.0]], dtype=np.float32),),
                n_outputs=3,
                tolerance=0.0,
                n_bits=3,
                name="both signs",
            ),
            OpExample(
                (np.array([1.0, 2.5, 4.0], dtype=np.float32),),
                n_outputs=3,
                tolerance=0.0,
                n_bits=3,
                name="the range always holds zero",
            ),
            OpExample(
                (np.zeros((2, 0), dtype=np.float32),),
                n_outputs=3,
                encrypted=(),
                outputs=(np.zeros((2, 0), np.uint8), np.float32(1.0), np.uint8(0)),
                name="nothing",
            ),
        ),
        restrictions="scale and zero point are those of the calibration data, not of each sample",
    )
