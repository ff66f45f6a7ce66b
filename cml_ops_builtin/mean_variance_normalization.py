"""MeanVarianceNormalization: (x - mean) / deviation over some axes.

Under encryption each element costs one lookup for its square and one for its logarithm, each sum
two for the mean and the deviation; the quotient lives in the decode.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import LoweringContext, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.encrypted_normalizing import encrypted_standardized
from cml_ops_builtin._shared.reduce import which_axes
from cml_ops_builtin._shared.reductions import means

#: The specification adds this much to the deviation, so that nothing is divided by zero.
_EPSILON = 1e-9


def mean_variance_normalization(x, *, axes):
    axes = which_axes(x.ndim, axes)
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    centred = wide - means(wide, axes, keepdims=True)
    deviation = np.sqrt(means(np.square(centred), axes, keepdims=True))
    y = centred / (deviation + np.asarray(_EPSILON, dtype=wide.dtype))
    return (y.astype(x.dtype, copy=False),)


class QuantizedMeanVarianceNormalization:
    """MeanVarianceNormalization inside the circuit."""

    def __call__(self, ctx: LoweringContext, x, *, axes):
        def inverse(variance):
            return 1 / (np.sqrt(variance) + np.asarray(_EPSILON, dtype=variance.dtype))

        return encrypted_standardized(ctx, x, which_axes(x.ndim, axes), inverse)[:1]


@hookimpl
def cml_op():
    x = np.array([[[[1.0, 2.0], [4.0, 0.5]], [[-1.0, 3.0], [2.0, 2.5]]]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("MeanVarianceNormalization", since_versions=(9, 13)),
        numpy_op=mean_variance_normalization,
        quantized_op=QuantizedMeanVarianceNormalization(),
        tail=True,
        examples=(
            OpExample((x,), tolerance=0.05, name="every channel"),
            OpExample((x,), {"axes": [1, -1]}, tolerance=0.05, name="other axes"),
            OpExample((x[:, :1],), opset=9, tolerance=0.03, name="one channel, earlier revision"),
        ),
    )
