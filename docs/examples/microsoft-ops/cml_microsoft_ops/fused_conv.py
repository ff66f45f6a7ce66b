"""FusedConv: a convolution, optionally the sum with another tensor, and an activation."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    OpExample,
    OpPlugin,
    OpSchema,
    conv_nd,
    hookimpl,
)

from ._activations import PARAMETERS, activate, parameters_of, write_activation

#: The attributes that are those of Conv.
GEOMETRY = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


def fused_conv(x, w, b=None, z=None, *, activation, activation_params=(), **geometry):
    """Convolve, add `z`, and apply the activation."""
    y = conv_nd(x, w, **windows(x.shape[2:], w.shape[2:], **geometry))
    if b is not None:
        y = y + b.reshape(-1, *[1] * (w.ndim - 2))
    return (activate(y if z is None else y + z, activation, named(activation, activation_params)),)


def body(writer, x, w, b=None, z=None, *, activation, activation_params=(), **geometry):
    """Write it as Conv, Add and the activation."""
    inputs = (x, w) if b is None else (x, w, b)
    y = writer.add("Conv", *inputs, **geometry)
    if z is not None:
        y = writer.add("Add", y, z)
    return (write_activation(writer, y, activation, named(activation, activation_params)),)


def windows(spatial, kernel, *, auto_pad, group, strides=(), dilations=(), pads=(), **_):
    """Return how windows lie over an image, with the padding that `auto_pad` asks for."""
    strides = strides or (1,) * len(kernel)
    dilations = dilations or (1,) * len(kernel)
    pads = pads or (0,) * (2 * len(kernel))
    if auto_pad == "VALID":
        pads = (0,) * (2 * len(kernel))
    elif auto_pad != "NOTSET":
        sizes = zip(spatial, kernel, strides, dilations, strict=True)
        missing = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in sizes]
        less, more = [m // 2 for m in missing], [m - m // 2 for m in missing]
        pads = (*more, *less) if auto_pad == "SAME_LOWER" else (*less, *more)
    return {"strides": strides, "dilations": dilations, "group": group, "pads": pads}


def named(activation, values):
    """Return parameters that come in order by their names."""
    names = tuple(PARAMETERS.get(activation, ()))
    parameters_of(activation)
    if len(values) != len(names) and activation != "HardSwish":
        raise AttributeValueError("activation_params", values, f"{len(names)} numbers")
    return dict(zip(names, values, strict=False))


@hookimpl
def cml_op():
    """FusedConv of com.microsoft, as onnxruntime's ConvActivationFusion makes it."""
    x = np.float32([[[[1, -2, 0, 1], [0, 1, 2, -1], [-1, 0, 1, 2], [2, 1, -1, 0]]]])
    w = np.float32([[[[1, 0], [0, -1]]], [[[-1, 1], [1, 0]]]])
    b = np.float32([0.5, -0.5])
    z = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3) / 8 - 1
    # What the convolution gives, without a bias.
    y = np.float32(
        [[[0, -4, 1], [0, 0, 0], [-2, 1, 1]], [[-3, 3, 3], [0, 1, -2], [3, 2, 0]]],
    )[None]
    biased = y + b.reshape(1, 2, 1, 1)
    return OpPlugin(
        schema=OpSchema(
            "FusedConv",
            (1,),
            domain="com.microsoft",
            attribute_defaults={"activation": "", "auto_pad": "NOTSET", "group": 1},
        ),
        numpy_op=fused_conv,
        body=body,
        examples=(
            OpExample(
                (x, w, b),
                {"activation": "Relu"},
                (np.maximum(biased, 0),),
                lookups=18,
                max_bits=5,
            ),
            OpExample(
                (x, w, b),
                {"activation": "LeakyRelu", "activation_params": [0.25]},
                (np.where(biased < 0, 0.25 * biased, biased),),
                lookups=18,
                max_bits=5,
                name="with a parameter",
            ),
            OpExample(
                (x, w, None, z),
                {"activation": "Clip", "activation_params": [-2.0, 1.0]},
                (np.clip(y + z, -2, 1),),
                lookups=9,
                max_bits=1,
                name="with a clear sum",
            ),
            OpExample(
                (x, w, b, z),
                {"activation": "Relu"},
                (np.maximum(biased + z, 0),),
                encrypted=(0, 3),
                n_bits=6,
                lookups=18,
                max_bits=7,
                name="with an encrypted sum",
            ),
            OpExample(
                (x, w),
                {"activation": "HardSigmoid", "activation_params": [0.2, 0.5]}
                | {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
                (np.clip(0.2 * y[..., ::2, ::2] + 0.5, 0, 1),),
                lookups=8,
                max_bits=5,
                name="strides",
            ),
        ),
    )
