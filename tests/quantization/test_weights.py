import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cml_core.quantization.weights import quantize_weights

WEIGHTS = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-5, 5)
)


@given(WEIGHTS, st.integers(2, 8))
def test_integers_fit_their_width_and_searched_scales_never_lose_to_the_largest_weight(
    weight, bits
):
    integers, scale = quantize_weights(weight, bits, axes=(0,))
    top = 2 ** (bits - 1) - 1
    exact = np.abs(integers * scale - weight).max() <= 1e-5 * np.abs(weight).max()
    assert np.abs(integers).max() <= (255 if exact else max(top, 1))
    plain = np.abs(weight).max(axis=0, keepdims=True) / max(top, 1)
    plain = np.where(plain > 0, plain, 1.0)
    rounded = np.clip(np.rint(weight / plain), -top, top) * plain
    error = np.square(integers * scale - weight).sum(axis=0)
    assert (error <= np.square(rounded - weight).sum(axis=0) * (1 + 1e-6) + 1e-9).all()


def test_weights_on_a_grid_are_exact_and_ones_stay_ones():
    ones, scale = quantize_weights(np.full((4, 2), 0.25), 8, axes=(0,))
    np.testing.assert_array_equal(ones, 1)
    np.testing.assert_allclose(scale, 0.25)
    ternary = np.array([[-0.5, 0.0], [0.5, 2.0]])
    integers, scale = quantize_weights(ternary, 4, axes=(0,))
    np.testing.assert_array_equal(integers, [[-1, 0], [1, 1]])
    np.testing.assert_allclose(integers * scale, ternary)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_channel_of_zeros_stays_zero(bits):
    integers, scale = quantize_weights(np.zeros((3, 2)), bits, axes=(0,))
    assert not integers.any()
    assert np.isfinite(scale).all()


@pytest.mark.parametrize("inputs", [2, 3, 5, 40])
def test_integers_of_eight_bits_are_found_again_from_few_weights(inputs):
    rng = np.random.default_rng(inputs)
    stored = rng.integers(-127, 128, (inputs, 200))
    scale = rng.uniform(1e-3, 1e-1, 200).astype(np.float32)
    # As a DequantizeLinear gives them, and a batch norm after it.
    weight = stored.astype(np.float32) * scale * np.float32(1.7)
    integers, step = quantize_weights(weight, 2, axes=(0,))
    common = np.maximum(np.gcd.reduce(np.abs(stored), axis=0), 1)
    np.testing.assert_array_equal(integers * common, stored)
    np.testing.assert_allclose(integers * step, weight, rtol=1e-6)


def test_weights_that_are_no_integers_get_the_width_that_was_asked_for():
    weight = np.random.default_rng(0).normal(size=(6, 30))
    integers, _ = quantize_weights(weight, 4, axes=(0,))
    assert np.abs(integers).max() == 7
