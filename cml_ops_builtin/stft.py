"""STFT: the Fourier transform of a signal's frames, each multiplied by a window.

Under encryption the signal is encrypted, and window, frame_step and frame_length are clear: one
product with the same clear matrix for each frame, which costs no lookup.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    EncryptedTensor,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
    move,
)
from cml_ops_builtin._shared.fourier import transform, transform_encrypted, transform_frames
from cml_ops_builtin._shared.precision import widened


def stft(signal, frame_step, window=None, frame_length=None, *, onesided):
    # PyTorch writes real signals without the axis of their parts, and ONNX Runtime takes them.
    signal = signal[..., np.newaxis] if signal.ndim == 2 else signal
    places = transform_frames(signal.shape, frame_step, window, frame_length)
    frames = widened(signal)[:, places]
    if window is not None:
        frames = frames * widened(window)[:, np.newaxis]
    return (transform(frames, None, 2, inverse=0, onesided=onesided).astype(signal.dtype),)


def quantized_stft(
    ctx: LoweringContext, signal, frame_step, window=None, frame_length=None, *, onesided
):
    if any(isinstance(t, EncryptedTensor) for t in (frame_step, window, frame_length)):
        ctx.refuse("window, frame_step and frame_length must be clear")
    if signal.ndim == 2:
        (signal,) = move(ctx, lambda a: a[..., np.newaxis], [signal])
    places = transform_frames(signal.shape, frame_step, window, frame_length)
    (frames,) = move(ctx, lambda a: a[:, places], [signal])
    return (transform_encrypted(ctx, frames, None, 2, inverse=0, onesided=onesided, window=window),)


@hookimpl
def cml_op():
    x = np.array([[[3.0], [-7.0], [1.0], [8.0], [-4.0], [0.0]]], dtype=np.float32)
    window = np.array([0.5, 1.0, 0.5], dtype=np.float32)
    return OpPlugin(
        schema=OpSchema("STFT", since_versions=(17,), kind=OpKind.LINEAR),
        numpy_op=stft,
        quantized_op=quantized_stft,
        examples=(
            OpExample((x, np.int64(2), None, np.int64(4)), tolerance=0.01, name="no window"),
            OpExample((x, np.int64(3), window), lookups=0, name="window"),
            OpExample(
                (np.concatenate([x, x[:, ::-1]], axis=2), np.int64(2), window, np.int64(3)),
                {"onesided": 0},
                name="complex numbers",
            ),
        ),
        restrictions="window, frame_step and frame_length must be clear",
    )
