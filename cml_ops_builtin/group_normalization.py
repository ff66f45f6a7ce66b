"""GroupNormalization: every group of channels normalized, then every channel scaled.

Under encryption each element costs one lookup for its square and one for its logarithm, each
group two for its mean and its deviation; what is normalized and scaled lives in the decode.
Channels of different scales in a group cost one lookup more for each element.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpPlugin,
    OpSchema,
    elementwise,
    hookimpl,
    reshape,
)
from cml_ops_builtin._shared.encrypted_normalizing import encrypted_standardized
from cml_ops_builtin._shared.normalizing import (
    group_normalized,
    groups_of,
    inverse_root,
    per_channel,
    scaled_per_channel,
    stash_dtype,
)


def group_normalization(x, scale, bias, *, num_groups, epsilon, stash_type):
    normalized = group_normalized(x, num_groups, epsilon, stash_type)
    return (scaled_per_channel(normalized, scale, bias),)


class QuantizedGroupNormalization:
    """GroupNormalization with clear scale and bias."""

    def __call__(self, ctx: LoweringContext, x, scale, bias, *, num_groups, epsilon, stash_type):
        if isinstance(scale, EncryptedTensor) or isinstance(bias, EncryptedTensor):
            ctx.refuse("its scale or bias is encrypted", "They must be constants of the model.")
        stash_dtype(stash_type)
        groups = reshape(ctx, x, groups_of(x.shape, num_groups))
        y, _, _ = encrypted_standardized(ctx, groups, (2,), inverse_root(epsilon))
        parameters = (per_channel(p, x.ndim) for p in (scale, bias))
        y = reshape(ctx, y, x.shape)
        return (elementwise(ctx, lambda value, s, b: value * s + b, y, *parameters),)


@hookimpl
def cml_op():
    x = np.array([[[1.0, 2.0], [-1.0, 0.5], [3.0, 0.0], [1.5, -2.0]]], dtype=np.float32)
    scale, bias = np.array([[1.0, -2.0, 0.5, 2.0], [0.0, 0.5, 1.0, -1.0]], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("GroupNormalization", since_versions=(21,)),
        numpy_op=group_normalization,
        quantized_op=QuantizedGroupNormalization(),
        tail=True,
        examples=(
            OpExample((x, scale, bias), {"num_groups": 2}, tolerance=0.05, name="two groups"),
            OpExample(
                (x, scale, bias),
                {"num_groups": 1, "epsilon": 0.1},
                tolerance=0.05,
                name="one group",
            ),
        ),
        restrictions="scale and bias must be clear",
    )
