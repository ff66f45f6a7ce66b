"""LinearRegressor: a weighted sum of the features for each target.

Quantized as a MatMul and an Add: no lookup. What `post_transform` asks for is the client's.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    GraphWriter,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_contrib._shared.post_transforms import transformed, write_transformed
from cml_ops_contrib._shared.rows import as_rows, matrix_of, write_rows


def _parameters(coefficients, intercepts, targets):
    weights = matrix_of("coefficients", coefficients, targets)
    bias = intercepts or np.zeros(targets)
    if len(bias) != targets:
        raise AttributeValueError("number of intercepts", len(bias), f"{targets}, as targets says")
    return weights.T, np.asarray(bias, dtype=np.float32)


def linear_regressor(x, *, coefficients, intercepts, post_transform, targets):
    weights, bias = _parameters(coefficients, intercepts, targets)
    scores = as_rows(x, len(weights)) @ weights + bias
    return (transformed(scores, post_transform),)


def written(writer: GraphWriter, x, *, coefficients, intercepts, post_transform, targets):
    weights, bias = _parameters(coefficients, intercepts, targets)
    rows = write_rows(writer, x, len(weights))
    product = writer.add("MatMul", rows, writer.constant(weights, np.float32))
    scores = writer.add("Add", product, writer.constant(bias, np.float32))
    return (write_transformed(writer, scores, post_transform, targets),)


@hookimpl
def cml_op():
    x = np.array([[1.0, -0.5, 2.0], [0.25, 1.5, -1.0]], dtype=np.float32)
    one = {"coefficients": [0.5, -1.0, 2.0], "intercepts": [0.25]}
    two = {"coefficients": [0.5, -1.0, 2.0, 1.0, 1.0, -0.5], "targets": 2}
    return OpPlugin(
        schema=OpSchema(
            "LinearRegressor", since_versions=(1,), kind=OpKind.LINEAR, domain="ai.onnx.ml"
        ),
        numpy_op=linear_regressor,
        body=written,
        examples=(
            OpExample(
                (x,), one, (np.float32([[5.25], [-3.125]]),), tolerance=0.06, name="one target"
            ),
            OpExample(
                (x,),
                two,
                (np.float32([[5.0, -0.5], [-3.375, 2.25]]),),
                tolerance=0.06,
                lookups=0,
                name="two targets without intercepts",
            ),
            OpExample(
                (np.array([1, -2, 3]),),
                {**two, "post_transform": "LOGISTIC"},
                (np.float32([[0.9997965, 0.07585818]]),),
                n_bits=3,
                tolerance=0.1,
                name="a vector of integers, logistic",
            ),
        ),
    )
