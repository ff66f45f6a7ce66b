"""CausalConvWithState: a convolution of each channel with its past, which it hands on.

Under encryption the input and the past may be encrypted; weight and bias are clear. It costs no
lookup, as long as the past has one scale for all channels if it is encrypted.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    add,
    conv,
    conv_nd,
    elementwise,
    hookimpl,
    matmul,
    move,
    reshape,
)
from cml_ops_builtin._shared.precision import widened
from cml_ops_builtin._shared.sigmoid import sigmoid


def causal_conv_with_state(x, weight, bias=None, past_state=None, *, activation):
    before = _checked(x, weight, past_state, activation)
    whole = _joined(x, past_state, before)
    y = conv_nd(
        widened(whole),
        widened(weight),
        strides=(1,),
        dilations=(1,),
        group=len(weight),
        pads=(0, 0),
    )
    y = y if bias is None else y + widened(bias)[:, np.newaxis]
    y = y if activation == "none" else y * sigmoid(y)
    return y.astype(x.dtype), whole[..., whole.shape[2] - before :]


def _checked(x, weight, past_state, activation):
    """Check what does not fit together, and return how many elements of the past are used."""
    if activation not in ("none", "silu", "swish"):
        raise AttributeValueError("activation", activation, "none, silu or swish")
    if len(x.shape) != 3:
        raise AttributeValueError("shape of input", tuple(x.shape), "(batch, channels, length)")
    batch, channels, _ = x.shape
    if weight.ndim != 3 or weight.shape[:2] != (channels, 1) or not weight.shape[2]:
        raise AttributeValueError("shape of weight", weight.shape, f"({channels}, 1, k)")
    state = (batch, channels, weight.shape[2] - 1)
    if past_state is not None and tuple(past_state.shape) != state:
        raise AttributeValueError("shape of past_state", tuple(past_state.shape), str(state))
    return state[2]


def _joined(x, past_state, before):
    if past_state is None:
        past_state = np.zeros((*x.shape[:2], before), dtype=x.dtype)
    return np.concatenate([past_state, x], axis=2)


def quantized_causal_conv_with_state(
    ctx: LoweringContext, x, weight, bias=None, past_state=None, *, activation
):
    for name, tensor in (("weight", weight), ("bias", bias)):
        if isinstance(tensor, EncryptedTensor):
            ctx.refuse(f"its input {name} is encrypted", "It must be a constant of the model.")
    before = _checked(x, weight, past_state, activation)
    (whole,) = move(ctx, lambda a, b: _joined(a, b, before), [x, past_state])
    if isinstance(past_state, EncryptedTensor):
        y = _banded(ctx, whole, weight)
    else:
        y = conv(ctx, whole, weight, strides=(1,), dilations=(1,), pads=(0, 0), group=len(weight))
    y = y if bias is None else add(ctx, y, bias[:, np.newaxis])
    y = y if activation == "none" else elementwise(ctx, lambda v: v * sigmoid(v), y)
    (state,) = move(ctx, lambda a: a[..., a.shape[2] - before :], [whole])
    return y, state


def _banded(ctx, whole, weight):
    """Convolve by a product, whose elements may have scales of their own: the past has another."""
    batch, channels, length = whole.shape
    distance = np.arange(length)[:, np.newaxis] - np.arange(length - weight.shape[2] + 1)
    inside = (distance >= 0) & (distance < weight.shape[2])
    band = np.where(inside, weight[:, 0][:, np.where(inside, distance, 0)], 0.0)
    y = matmul(ctx, reshape(ctx, whole, (batch, channels, 1, length)), band)
    return reshape(ctx, y, (batch, channels, y.shape[-1]))


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    x, weight, bias, past = uniform(1, 2, 3), uniform(2, 1, 3), uniform(2), uniform(1, 2, 2)
    return OpPlugin(
        schema=OpSchema("CausalConvWithState", since_versions=(27,), kind=OpKind.LINEAR),
        numpy_op=causal_conv_with_state,
        quantized_op=quantized_causal_conv_with_state,
        examples=(
            OpExample((x, weight), n_outputs=2, lookups=0, name="without a past"),
            OpExample((x, weight, bias, past), {"activation": "silu"}, n_outputs=2, name="all"),
            OpExample(
                (x[..., :1], weight, None, 2.0 * past),
                encrypted=(0, 3),
                n_outputs=2,
                lookups=0,
                name="one element, encrypted past",
            ),
            OpExample((x, weight[..., :1]), {"activation": "swish"}, name="no state"),
        ),
        restrictions="weight and bias must be clear",
    )
