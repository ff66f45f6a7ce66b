"""Regions of interest: which elements of an image they cover, and with which weights."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np

from cml_core.plugin_api import AttributeValueError

__all__ = ["Corners", "corners", "image_numbers", "roi_bins"]


def image_numbers(
    rois: np.ndarray, columns: int, shape: tuple[int, ...], numbers: np.ndarray | None = None
) -> np.ndarray:
    """Check regions of interest, and return which image of a batch each of them lies in.

    Parameters
    ----------
    rois : array of shape (R, columns)
        The regions; their first column says which image, if `numbers` does not.
    columns : int
        How many columns there must be.
    shape : tuple of int
        Shape (N, C, H, W) of the images.
    numbers : int array of shape (R,), optional
        Which image.

    Raises
    ------
    AttributeValueError
        The shapes do not fit, or there is no such image.
    """
    if len(shape) != 4:
        raise AttributeValueError("shape of X", tuple(shape), "(N, C, H, W)")
    if rois.ndim != 2 or rois.shape[1] != columns:
        raise AttributeValueError("shape of rois", rois.shape, f"(number of regions, {columns})")
    if numbers is None:
        numbers = rois[:, 0].astype(np.int64)
    elif numbers.shape != (len(rois),):
        raise AttributeValueError("shape of batch_indices", numbers.shape, f"({len(rois)},)")
    outside = (numbers < 0) | (numbers >= shape[0])
    if outside.any():
        expected = f"from 0 to {shape[0] - 1}"
        raise AttributeValueError("number of an image", int(numbers[outside][0]), expected)
    return numbers


def roi_bins(
    roi: np.ndarray, size: tuple[int, ...], pooled_shape: Sequence[int], spatial_scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the bins that MaxRoiPool divides a region [x1, y1, x2, y2] into.

    Returns
    -------
    tuple of int array of shape (bins, most elements of a bin)
        -1 where a bin has fewer; a bin outside of the image has none.
    """
    if len(pooled_shape) != 2 or min(pooled_shape) < 1:
        raise AttributeValueError("pooled_shape", tuple(pooled_shape), "two sizes of at least 1")
    ends = roi.astype(np.float32) * np.float32(spatial_scale)
    # Halves are rounded away from zero.
    ends = (np.sign(ends) * np.floor(np.abs(ends) + np.float32(0.5))).astype(np.int64)
    (left, top, right, bottom), (rows, columns) = ends.tolist(), pooled_shape
    return _bins(top, bottom, rows, size[0]), _bins(left, right, columns, size[1])


def _bins(start: int, end: int, count: int, size: int) -> np.ndarray:
    """Bins of equal length, of which each takes in the elements at both of its borders."""
    length = max(end - start + 1, 1)
    number = np.arange(count)
    first = np.clip(start + number * length // count, 0, size)
    stop = np.clip(start - (-(number + 1) * length // count), 0, size)
    within = np.arange(max(0, int((stop - first).max())))
    places = first[:, np.newaxis] + within
    return np.where(places < stop[:, np.newaxis], places, -1)


@attrs.frozen(slots=True, eq=False)
class Corners:
    """Elements that RoiAlign interpolates between along one axis.

    Parameters
    ----------
    taps : int array of shape (bins, samples, 2)
        The elements below and above each sample.
    weights : float array of that shape
        Their weights; zero for samples that lie more than one element outside.
    size : int
        Length of the axis.
    """

    taps: np.ndarray
    weights: np.ndarray
    size: int

    def mean(self) -> np.ndarray:
        """Return the weights of each bin's mean, of shape (bins, size)."""
        bins, samples = self.taps.shape[:2]
        matrix = np.zeros((bins, self.size))
        np.add.at(matrix, (np.arange(bins)[:, np.newaxis, np.newaxis], self.taps), self.weights)
        return matrix / max(samples, 1)


def corners(
    start: np.floating,
    end: np.floating,
    count: int,
    size: int,
    sampling_ratio: int,
    *,
    half_pixel: bool,
) -> Corners:
    """Place RoiAlign's samples along one axis.

    Parameters
    ----------
    start, end : NumPy float
        The region's ends in the coordinates of the image.
    count : int
        Number of bins.
    size : int
        Length of the axis.
    sampling_ratio : int
        Samples in each bin; 0 for one per element.
    half_pixel : bool
        Whether elements lie at the middle of their unit, and regions may be smaller than one.
    """
    kind = np.result_type(start)
    if half_pixel:
        start, end = start - kind.type(0.5), end - kind.type(0.5)
    length = end - start if half_pixel else max(end - start, kind.type(1))
    step = length / kind.type(count)
    samples = sampling_ratio if sampling_ratio > 0 else max(0, int(np.ceil(step)))
    # In this order and precision, as others compute it: a sample may lie on an image's border.
    within = (np.arange(samples, dtype=kind) + kind.type(0.5)) * step / kind.type(max(samples, 1))
    place = start + np.arange(count, dtype=kind)[:, np.newaxis] * step + within
    inside = (place >= -1.0) & (place <= size)
    place = np.clip(place, 0.0, max(size - 1, 0))
    low = np.floor(place).astype(np.int64)
    taps = np.stack([low, np.minimum(low + 1, max(size - 1, 0))], axis=-1)
    weights = np.stack([low + 1 - place, place - low], axis=-1) * inside[..., np.newaxis]
    return Corners(taps, weights, size)
