"""What the tests share."""

from __future__ import annotations

import numpy as np
import pytest

import cml_core as cml


@pytest.fixture
def agree():
    """A check that cml and onnxruntime agree on one node; it returns the results."""
    pytest.importorskip("onnxruntime", reason="there is nothing to compare with")
    from sessions import one_node, session

    def check(op_type, *inputs, outputs=("y",), opset=17, atol=2e-6, **attributes):
        model = one_node(op_type, inputs, attributes, outputs, opset)
        feeds = {f"x{i}": array for i, array in enumerate(inputs) if array is not None}
        expected = session(model).run(None, feeds)
        got = cml.NumpyModule.from_onnx(model).run(feeds)
        for name, y in zip(filter(None, outputs), expected, strict=True):
            assert got[name].dtype == y.dtype
            assert got[name].shape == y.shape
            np.testing.assert_allclose(got[name], y, rtol=1e-5, atol=atol)
        return expected

    return check
