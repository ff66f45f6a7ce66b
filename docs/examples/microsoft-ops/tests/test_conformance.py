"""Every operator passes cml's conformance kit; `pytest --cml-ops cml_microsoft_ops` runs all of it.

What encrypts is left to that command, since it takes minutes.
"""

# ruff: noqa: D103

from __future__ import annotations

import importlib
import pkgutil

import cml_microsoft_ops
import numpy as np
import pytest

from cml_core.plugin_api import AttributeValueError
from cml_core.testing import check_op

MODULES = [m.name for m in pkgutil.iter_modules(cml_microsoft_ops.__path__) if m.name[0] != "_"]
CLEAR = ["float", "calibration", "integers", "widths", "saving"]


def operator(name):
    """Return the plugin of a module."""
    return importlib.import_module(f"cml_microsoft_ops.{name}").cml_op()


@pytest.mark.parametrize("name", MODULES)
def test_in_the_clear(name):
    check_op(operator(name), legs=CLEAR)


@pytest.mark.parametrize(
    ("name", "inputs", "attributes"),
    [
        ("fused_conv", 2, {"activation": "Softmax"}),
        ("fused_conv", 2, {"activation": "LeakyRelu"}),
        ("fused_gemm", 2, {"activation": "Softmax"}),
        ("cdist", 2, {"metric": "cityblock"}),
        ("attention", 5, {"num_heads": 1}),
        ("matmul_n_bits", 5, {"K": 1, "N": 1, "block_size": 16}),
    ],
)
def test_what_it_cannot_do_is_refused(name, inputs, attributes):
    plugin = operator(name)
    ones = [np.ones((1, 1, 1), np.float32)] * inputs
    with pytest.raises(AttributeValueError):
        plugin.numpy_op(*ones, **{**plugin.schema.attribute_defaults, **attributes})


def test_compiled():
    check_op(operator("fused_gemm"), legs=["simulation"])
