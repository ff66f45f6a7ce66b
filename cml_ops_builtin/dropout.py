"""Dropout: in a trained model the data as they are; in training, some of them at random zero.

In training, those that are kept grow by 1 / (1 - ratio), so that sums stay about the same. The
mask of what is kept is reproducible with a seed.
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
    hookimpl,
)
from cml_ops_builtin._shared.random_numbers import generator

#: The ratio in force where none is given.
_RATIO = 0.5


def dropout(data, ratio=None, training_mode=None, *, seed=None):
    dropped = _number("ratio", ratio, _RATIO) if _in_training(training_mode) else 0.0
    if dropped == 0:
        return data, np.ones(data.shape, dtype=np.bool_)
    if not 0 < dropped < 1:
        raise AttributeValueError("ratio", float(dropped), "at least 0 and below 1")
    kept = generator(seed).random_sample(data.shape) >= dropped
    wide = data if data.dtype.itemsize >= 4 else data.astype(np.float32)
    return (kept * wide * (1 / (1 - dropped))).astype(data.dtype, copy=False), kept


def _in_training(training_mode):
    return bool(_number("training_mode", training_mode, False))


def _number(name, tensor, default):
    if tensor is None:
        return default
    if tensor.size != 1:
        raise AttributeValueError(f"shape of {name}", tensor.shape, "one value")
    return float(tensor.reshape(()))


def quantized_dropout(ctx: LoweringContext, data, ratio=None, training_mode=None, *, seed=None):
    if isinstance(training_mode, EncryptedTensor):
        ctx.refuse("its training mode is encrypted", "Leave it out: dropout is for training.")
    if _in_training(training_mode) and (
        isinstance(ratio, EncryptedTensor) or _number("ratio", ratio, _RATIO)
    ):
        raise AttributeValueError(
            "training_mode", True, "false, as a model in training drops elements at random"
        )
    return data, np.ones(data.shape, dtype=np.bool_)


@hookimpl
def cml_op():
    x = np.array([[-1.0, 0.5, 2.0]], dtype=np.float32)
    mask = np.ones(x.shape, dtype=np.bool_)
    return OpPlugin(
        schema=OpSchema("Dropout", since_versions=(12, 13, 22), kind=OpKind.ELEMENTWISE),
        numpy_op=dropout,
        quantized_op=quantized_dropout,
        examples=(
            OpExample((x,), outputs=(x,), tolerance=0.05, name="data alone"),
            OpExample(
                (x, np.array(0.25, dtype=np.float32), np.array(False)),
                outputs=(x, mask),
                n_outputs=2,
                tolerance=0.05,
                name="data and mask",
            ),
            OpExample(
                (x, np.array(0.0, dtype=np.float32), np.array(True)),
                outputs=(x, mask),
                n_outputs=2,
                tolerance=0.05,
                name="nothing to drop",
            ),
            OpExample(
                (x, np.array(0.25, dtype=np.float32), np.array(True)),
                {"seed": 3},
                encrypted=(),
                n_outputs=2,
                name="in training",
            ),
        ),
        restrictions="not in training mode, unless the ratio is 0",
    )
