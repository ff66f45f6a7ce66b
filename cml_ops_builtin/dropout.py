"""Dropout of a trained model: the data as they are, and a mask that keeps all of them."""

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

#: The ratio in force where none is given.
_RATIO = 0.5


def dropout(data, ratio=None, training_mode=None, *, seed=None):
    _refuse_training(ratio, training_mode)
    return data, np.ones(data.shape, dtype=np.bool_)


def quantized_dropout(ctx: LoweringContext, data, ratio=None, training_mode=None, *, seed=None):
    if isinstance(training_mode, EncryptedTensor):
        ctx.refuse("its training mode is encrypted", "Leave it out: dropout is for training.")
    return dropout(data, ratio, training_mode)


def _refuse_training(ratio, training_mode):
    if training_mode is None or not np.any(training_mode):
        return
    if isinstance(ratio, EncryptedTensor) or np.any(_RATIO if ratio is None else ratio):
        raise AttributeValueError(
            "training_mode", True, "false, as a model in training drops elements at random"
        )


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
        ),
        restrictions="not in training mode, unless the ratio is 0",
    )
