"""BatchNormalization as of opset 6: in a model that says it is used for testing.

Under encryption it costs what the newer revision costs.
"""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import (
    AttributeValueError,
    LoweringContext,
    OpExample,
    OpKind,
    OpPlugin,
    OpSchema,
    hookimpl,
)
from cml_ops_builtin._shared.batch_normalizing import batch_normalized, batch_normalized_encrypted


def batch_normalization_6(x, scale, bias, mean, var, *, epsilon, momentum, spatial, is_test):
    _refuse_training(is_test)
    return (batch_normalized(x, scale, bias, mean, var, epsilon=epsilon, spatial=spatial),)


def quantized_batch_normalization_6(
    ctx: LoweringContext, *tensors, epsilon, momentum, spatial, is_test
):
    _refuse_training(is_test)
    return (batch_normalized_encrypted(ctx, *tensors, epsilon=epsilon, spatial=spatial),)


def _refuse_training(is_test):
    if not is_test:
        raise AttributeValueError("is_test", is_test, "1, as models are only run here")


@hookimpl
def cml_op():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 3, 2)).astype(np.float32)

    def parameters(*shape):
        scale, bias, mean = rng.normal(size=(3, *shape)).astype(np.float32)
        return scale, bias, mean, rng.uniform(0.5, 2.0, shape).astype(np.float32)

    def normalized(scale, bias, mean, var):
        return scale * (x - mean) / np.sqrt(var + np.float32(1e-5)) + bias

    by_channel, by_element = parameters(3), parameters(3, 2)
    columns = normalized(*(p[:, np.newaxis] for p in by_channel))
    return OpPlugin(
        schema=OpSchema("BatchNormalization", since_versions=(6,), kind=OpKind.ELEMENTWISE),
        numpy_op=batch_normalization_6,
        quantized_op=quantized_batch_normalization_6,
        examples=(
            OpExample(
                (x, *by_channel), {"is_test": 1}, (columns,), tolerance=0.03, name="channels"
            ),
            OpExample(
                (x, *by_element),
                {"is_test": 1, "spatial": 0},
                (normalized(*by_element),),
                tolerance=0.03,
                name="one parameter for each element",
            ),
            OpExample(
                (x, *by_channel),
                {"is_test": 1},
                (columns,),
                encrypted=(0, 2, 3, 4),
                tolerance=0.06,
                name="encrypted",
            ),
        ),
        restrictions="inference only",
    )
