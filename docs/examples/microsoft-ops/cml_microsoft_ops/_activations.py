"""Activations that onnxruntime fuses into convolutions and matrix products.

They have the names and parameters of the ONNX operators that they were. Each is here twice: as a
function of arrays, and as the nodes that it is quantized as.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from cml_core.plugin_api import AttributeValueError

#: The parameters of each activation and, where ONNX has one, their defaults.
PARAMETERS = {
    "Celu": {"alpha": 1.0},
    "Clip": {"min": None, "max": None},
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "HardSwish": {},
    "LeakyRelu": {"alpha": 0.01},
    "Relu": {},
    "Selu": {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
    "ThresholdedRelu": {"alpha": 1.0},
}


def activate(x, name, parameters):
    """Apply the activation of a name to an array."""
    p = {**parameters_of(name), **parameters}
    match name:
        case "Celu":
            y = np.maximum(x, 0) + np.minimum(p["alpha"] * np.expm1(x / p["alpha"]), 0)
        case "Clip":
            y = np.clip(x, p["min"], p["max"])
        case "Elu":
            y = np.where(x > 0, x, p["alpha"] * np.expm1(np.minimum(x, 0)))
        case "HardSigmoid":
            y = np.clip(p["alpha"] * x + p["beta"], 0, 1)
        case "HardSwish":
            y = x * np.clip(x / 6 + 0.5, 0, 1)
        case "LeakyRelu":
            y = np.where(x >= 0, x, p["alpha"] * x)
        case "Relu":
            y = np.maximum(x, 0)
        case "Selu":
            y = p["gamma"] * np.where(x > 0, x, p["alpha"] * np.expm1(np.minimum(x, 0)))
        case "Sigmoid":
            y = expit(x)
        case "Softplus":
            y = np.logaddexp(x, 0)
        case "Softsign":
            y = x / (1 + np.abs(x))
        case "Tanh":
            y = np.tanh(x)
        case "ThresholdedRelu":
            y = np.where(x > p["alpha"], x, 0)
    return y.astype(x.dtype, copy=False)


def write_activation(writer, x, name, parameters):
    """Write the activation of a name as nodes of ai.onnx and return the name of their result."""
    p = {**parameters_of(name), **parameters}
    if name == "HardSwish" and writer.opset < 14:
        return writer.add("Mul", x, writer.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    if name == "Clip" and writer.opset >= 11:
        return writer.add("Clip", x, *(writer.constant(p[k], np.float32) for k in ("min", "max")))
    return writer.add(name, x, **p)


def parameters_of(name):
    """Return the parameters of an activation with their defaults; refuse a name that is unknown."""
    if name not in PARAMETERS:
        raise AttributeValueError("activation", name, f"one of {', '.join(PARAMETERS)}")
    return {k: v for k, v in PARAMETERS[name].items() if v is not None}
