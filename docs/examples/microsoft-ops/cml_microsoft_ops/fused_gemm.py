"""FusedGemm: alpha * A @ B + beta * C, and an activation."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import OpExample, OpPlugin, OpSchema, hookimpl

from ._activations import activate, parameters_of, write_activation


def fused_gemm(a, b, c=None, *, activation, alpha, beta, transA, transB, **parameters):
    """Multiply, add and apply the activation."""
    y = np.float32(alpha) * ((a.T if transA else a) @ (b.T if transB else b))
    if c is not None:
        y = y + np.float32(beta) * c
    return (activate(y.astype(a.dtype, copy=False), activation, named(activation, parameters)),)


def body(writer, *inputs, activation, alpha, beta, transA, transB, **parameters):
    """Write it as Gemm and the activation."""
    inputs = [tensor for tensor in inputs if tensor is not None]
    y = writer.add("Gemm", *inputs, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return (write_activation(writer, y, activation, named(activation, parameters)),)


def named(activation, parameters):
    """Return the parameters of the activation out of attributes `activation_alpha` and so on."""
    given = {name.removeprefix("activation_"): value for name, value in parameters.items()}
    return {name: given[name] for name in parameters_of(activation) if name in given}


@hookimpl
def cml_op():
    """FusedGemm of com.microsoft, as onnxruntime's GemmActivationFusion makes it."""
    a = np.float32([[1, -0.5, 2], [0.5, 1, 0]])
    b = np.float32([[1, 0], [-1, 2], [0.5, -1]])
    c = np.float32([-3, 1])
    return OpPlugin(
        schema=OpSchema(
            "FusedGemm",
            (1,),
            domain="com.microsoft",
            attribute_defaults={
                "activation": "",
                "alpha": 1.0,
                "beta": 1.0,
                "transA": 0,
                "transB": 0,
            },
        ),
        numpy_op=fused_gemm,
        body=body,
        examples=(
            OpExample(
                (a, b, c),
                {"activation": "Relu"},
                (np.float32([[0, 0], [0, 3]]),),
                lookups=4,
                max_bits=5,
            ),
            OpExample(
                (a, b.T.copy(), c),
                {"activation": "LeakyRelu", "activation_alpha": 0.5, "transB": 1, "alpha": 2.0},
                (np.float32([[2, -2.5], [-2, 5]]),),
                lookups=4,
                max_bits=5,
                name="with a parameter",
            ),
            OpExample(
                (a.T.copy(), b),
                {"activation": "Tanh", "transA": 1},
                (np.tanh(np.float32([[2.5, -3], [-0.5, 2]])),),
                lookups=4,
                max_bits=5,
                name="transposed",
            ),
        ),
    )
