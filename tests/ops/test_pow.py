"""Powers with a constant exponent, which have ways of their own."""

import numpy as np
import pytest

from tests.one_node import of_onnxruntime, results

BASES = [-np.inf, -3.5, -2, -1, -0.5, -0.0, 0.0, 0.5, 1, 2, 3.5, np.inf, np.nan]


@pytest.mark.parametrize("exponent", [-3, -2, -1, 0, 1, 2, 3, 4, 5, 0.5, -1.5, np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_powers_are_those_of_numpy(exponent, dtype):
    x = np.array(BASES, dtype=dtype)
    with np.errstate(all="ignore"):
        wanted = np.power(x.astype(np.float64), exponent).astype(dtype)
    for shape in ((), (1,)):
        (y,) = results("Pow", (x, np.full(shape, exponent, np.float32)), opset=15)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, wanted, rtol=4 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(np.signbit(y), np.signbit(wanted), err_msg=f"{y} {wanted}")


@pytest.mark.parametrize(("x", "y"), [((3,), (1, 1)), ((), (1,)), ((2, 1), (3,)), ((0,), ())])
def test_shapes_are_those_of_both(x, y):
    inputs = (np.full(x, 1.5, np.float32), np.full(y, 2, np.float32))
    (got,) = results("Pow", inputs, opset=15)
    (wanted,) = of_onnxruntime("Pow", inputs, opset=15)
    np.testing.assert_array_equal(got, wanted, strict=True)
