"""Normalization of the last axis: its float form, and the nodes that it is quantized as."""

from __future__ import annotations

import numpy as np


def layer_norm(x, gamma, beta=None, *, epsilon):
    """Return normalized rows, their means, and the inverses of their standard deviations."""
    mean = x.mean(axis=-1, keepdims=True)
    centered = x - mean
    variance = np.square(centered).mean(axis=-1, keepdims=True)
    inverse = (1 / np.sqrt(variance + epsilon)).astype(x.dtype, copy=False)
    y = centered * inverse * gamma
    return y if beta is None else y + beta, mean, inverse


def rms_norm(x, gamma, *, epsilon):
    """Return rows over their root mean square, and the inverse of that."""
    squares = np.square(x).mean(axis=-1, keepdims=True)
    inverse = (1 / np.sqrt(squares + epsilon)).astype(x.dtype, copy=False)
    return x * inverse * gamma, inverse


def write_layer_norm(writer, x, gamma, beta=None, *, epsilon):
    """Write LayerNormalization, or what it is made of where the opset has none."""
    if writer.opset >= 17:
        inputs = (x, gamma) if beta is None else (x, gamma, beta)
        return writer.add("LayerNormalization", *inputs, epsilon=epsilon)
    centered = writer.add("Sub", x, write_mean(writer, x))
    y = writer.add("Mul", write_scaled(writer, centered, epsilon), gamma)
    return y if beta is None else writer.add("Add", y, beta)


def write_rms_norm(writer, x, gamma, *, epsilon):
    """Write RMSNormalization, or what it is made of where the opset has none."""
    if writer.opset >= 23:
        return writer.add("RMSNormalization", x, gamma, epsilon=epsilon)
    return writer.add("Mul", write_scaled(writer, x, epsilon), gamma)


def write_scaled(writer, x, epsilon):
    """Write x over its root mean square."""
    squares = write_mean(writer, writer.add("Mul", x, x))
    root = writer.add("Sqrt", writer.add("Add", squares, writer.constant(epsilon, np.float32)))
    return writer.add("Div", x, root)


def write_mean(writer, x):
    """Write the mean of the last axis; its axes became an input with opset 18."""
    if writer.opset >= 18:
        return writer.add("ReduceMean", x, writer.constant([-1]))
    return writer.add("ReduceMean", x, axes=[-1])
