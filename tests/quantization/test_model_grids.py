"""Grids that a model brings are carried through functions and movements, and kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_core.quantization.encrypted import Decode, ModelGrid


def around(*rows, most=8):
    """The grid around rows of numbers."""
    return ModelGrid.around(np.array(rows, dtype=np.float64), most)


def test_the_coarsest_grid_that_holds_the_values():
    grid = around([0.0, 0.5, 2.0, 0.5], [-3.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(grid.scale, [0.5, 2.0])
    np.testing.assert_allclose(grid.offset, [0.0, -3.0])
    assert grid.levels == 5


def test_one_value_is_a_grid():
    grid = around([7.0, 7.0], [1.0, 2.0])
    np.testing.assert_allclose(grid.values(np.array([0]))[:, 0], [7.0])
    assert grid.levels == 2


@pytest.mark.parametrize(
    "values",
    [[0.0, 1.0, 9.0], [0.0, 2.0, 5.0], [0.0, 1.0, 2.7], [0.0, 1.0, np.nan], [0.0, np.inf, 1.0]],
)
def test_what_is_on_none_of_so_many_values(values):
    assert around(values) is None


@given(st.floats(1e-6, 1e6), st.integers(-255, 255), st.integers(2, 256), st.integers(0, 300))
def test_what_a_function_clips_and_float32_leaves_of_a_grid(scale, first, levels, top):
    places = np.minimum(np.arange(levels), top)
    exact = scale * (first + places).astype(np.float32)
    grid = ModelGrid.around(exact[np.newaxis], levels)
    assert grid.levels == places.max() + 1
    values = grid.values(np.array([0]))[0]
    np.testing.assert_allclose(values[places], exact, rtol=0, atol=1e-4 * scale)


def test_grids_of_parts_are_one_if_each_has_one():
    def part(scale):
        grid = ModelGrid(np.full(2, scale), np.zeros(2), 4)
        return Decode(2, lambda q, c: scale * q + 0 * c, grid)

    both = Decode.union([part(0.5), part(2.0)])
    np.testing.assert_allclose(both.grid.scale, [0.5, 0.5, 2.0, 2.0])
    np.testing.assert_allclose(both.pick(np.array([3, 0])).grid.scale, [2.0, 0.5])
    bare = Decode(1, lambda q, c: q + 0 * c)
    assert Decode.union([part(0.5), bare]).grid is None
    assert bare.pick(np.array([0, 0])).grid is None
