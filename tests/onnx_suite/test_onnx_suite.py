"""The backend test suite of the `onnx` package, all of it, against `NumpyModule`.

Results are compared as the suite compares them. Its real networks are made of constant weights, and
run once on 224 x 224 pixels. What cannot be compared so, and why, is in
`exceptions.toml`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

if sys.version_info < (3, 11):
    pytest.skip("the suite is run once, where Python is newest", allow_module_level=True)
# The suite copies its real networks to where this says.
os.environ.setdefault("ONNX_MODELS", tempfile.mkdtemp(prefix="onnx-models-"))

import tomllib
from onnx.backend.test import BackendTest

from cml_core.onnx_backend import NumpyBackend

EXCEPTIONS = tomllib.loads((Path(__file__).parent / "exceptions.toml").read_text("utf-8"))
#: How many cases each kind has at least, so that none goes missing.
LEAST = {"Node": 1884, "Real": 9, "Simple": 23, "PyTorchConverted": 82, "PyTorchOperator": 35}


class Suite(BackendTest):
    """The suite, and what its comparison stumbles over.

    Float8 and float4 are compared as it compares bfloat16, as float32, which holds their values:
    NumPy before 2.0 cannot compare them with a tolerance. It takes a tensor in a sequence for a
    list of results, which fails for a single number, so that is made a list.
    """

    @classmethod
    def assert_similar_outputs(cls, ref_outputs, outputs, *args, **kwargs):
        if isinstance(outputs, np.ndarray) and outputs.ndim == 0:
            ref_outputs, outputs = [ref_outputs], [outputs]
        pairs = [widened(*pair) for pair in zip(ref_outputs, outputs, strict=True)]
        wanted, got = zip(*pairs, strict=True) if pairs else ((), ())
        super().assert_similar_outputs(wanted, got, *args, **kwargs)


def widened(want, got):
    if not isinstance(got, np.ndarray) or got.dtype.kind != "V" or got.dtype.name == "bfloat16":
        return want, got
    assert got.dtype == want.dtype
    return want.astype(np.float32), got.astype(np.float32)


with warnings.catch_warnings():
    # Some cases make their expected values with overflows.
    warnings.simplefilter("ignore")
    SUITE = Suite(NumpyBackend, __name__)
CASES = SUITE.test_cases


def but_for_the_numbers(test):
    """A case whose numbers are drawn at random: types and shapes, and only zeros and ones."""

    def run(self):
        compared = []

        def same_kind(cls, ref_outputs, outputs, **kwargs):
            compared.append(len(outputs))
            for want, array in zip(ref_outputs, outputs, strict=True):
                assert array.dtype == want.dtype
                assert array.shape == want.shape
                assert set(np.unique(array).tolist()) <= {0, 1}

        with mock.patch.object(Suite, "assert_similar_outputs", classmethod(same_kind)):
            test(self)
        assert compared

    return run


for _kind, _names in EXCEPTIONS.items():
    _case = CASES[f"OnnxBackend{_kind}ModelTest"]
    for _name in _names:
        setattr(_case, f"{_name}_cpu", but_for_the_numbers(getattr(_case, f"{_name}_cpu")))
for _case in CASES.values():
    for _name in [name for name in vars(_case) if name.endswith("_cuda")]:
        delattr(_case, _name)
globals().update(CASES)


@pytest.mark.parametrize("kind", LEAST)
def test_no_case_is_missing_and_few_are_excepted(kind):
    cases = [name for name in dir(CASES[f"OnnxBackend{kind}ModelTest"]) if name.endswith("_cpu")]
    assert len(cases) >= LEAST[kind]
    excepted = EXCEPTIONS.get(kind, {})
    assert {f"{name}_cpu" for name in excepted} <= set(cases)
    assert all(reason for reason in excepted.values())


def test_at_most_six_are_excepted():
    assert sum(map(len, EXCEPTIONS.values())) <= 6
