"""SVMRegressor: a weighted sum of kernels with support vectors, or its sign for one class.

Quantized as MatMuls and the kernel between them, a lookup for each support vector; with a linear
kernel there is none. As in onnxruntime, `post_transform` plays no role.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    GraphWriter,
    OpExample,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_contrib._shared.rows import as_rows, matrix_of, write_rows
from cml_ops_contrib._shared.support_vectors import Kernel


def _parameters(coefficients, kernel_params, kernel_type, n_supports, rho, support_vectors):
    """The kernel, the weights `(V, 1)` of its support vectors and the bias."""
    if len(rho or ()) < 1:
        raise AttributeValueError("rho", tuple(rho or ()), "one number")
    weights = matrix_of("coefficients", coefficients, n_supports or 1)
    if not n_supports:
        # One support vector, the coefficients themselves.
        return Kernel("LINEAR", None, coefficients, 1), np.ones((1, 1)), rho[:1]
    if weights.shape[1] != 1:
        raise AttributeValueError("number of coefficients", weights.size, f"{n_supports}")
    return Kernel(kernel_type, kernel_params, support_vectors, n_supports), weights, rho[:1]


def svm_regressor(x, *, one_class, post_transform, **attributes):
    kernel, weights, bias = _parameters(**attributes)
    y = kernel.weighed(as_rows(x, kernel.features), weights, bias)
    return (np.where(y > 0, np.float32(1), np.float32(-1)) if one_class else y,)


def written(writer: GraphWriter, x, *, one_class, post_transform, **attributes):
    kernel, weights, bias = _parameters(**attributes)
    y = kernel.write_weighed(writer, write_rows(writer, x, kernel.features), weights, bias)
    if one_class:
        zero, inside, outside = (writer.constant(v, np.float32) for v in (0.0, 1.0, -1.0))
        y = writer.add("Where", writer.add("Greater", y, zero), inside, outside)
    return (y,)


@hookimpl
def cml_op():
    x = np.array([[1.0, -0.5], [0.25, 1.5]], dtype=np.float32)
    machine = {
        "support_vectors": [0.5, -1.0, 0.0, 1.0],
        "coefficients": [1.0, -0.5],
        "n_supports": 2,
        "rho": [0.25],
    }
    return OpPlugin(
        schema=OpSchema("SVMRegressor", since_versions=(1,), domain="ai.onnx.ml"),
        numpy_op=svm_regressor,
        body=written,
        examples=(
            OpExample(
                (x[:1],),
                {**machine, "kernel_type": "RBF", "kernel_params": [0.5, 0.0, 3.0]},
                tolerance=0.2,
                n_bits=2,
                name="radial basis functions",
            ),
            OpExample(
                (np.array([2, -1]),),
                {**machine, "kernel_type": "SIGMOID", "kernel_params": [0.25, -0.5, 0.0]},
                (np.float32([[0.5675745]]),),
                n_bits=3,
                tolerance=0.1,
                name="sigmoid of a vector of integers",
            ),
            OpExample(
                (x,),
                {**machine, "kernel_type": "LINEAR", "one_class": 1},
                (np.float32([[1.0], [-1.0]]),),
                tolerance=0.0,
                n_bits=3,
                max_bits=4,
                name="one class",
            ),
            OpExample(
                (x,),
                {"coefficients": [0.5, -1.0], "rho": [0.25]},
                (np.float32([[1.25], [-1.125]]),),
                tolerance=0.06,
                lookups=0,
                name="without support vectors",
            ),
        ),
    )
