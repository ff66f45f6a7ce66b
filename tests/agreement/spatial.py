"""Random images, and windows that fit into them, for convolutions, pools and resampling."""

from __future__ import annotations

import attrs
import numpy as np
from hypothesis import strategies as st

from tests.agreement.values import array, optional

__all__ = ["Windows", "batch", "finite", "group_of", "images", "placed", "sized", "windows"]

#: Kinds of values whose sums do not depend on the order in which they are added.
FINITE = ("plain", "ties")


def finite(draw, dtype, shape, **bounds):
    """Draw an array of finite values of ordinary size."""
    return array(draw, dtype, shape, kinds=FINITE, **bounds)


def images(draw, dtype, shape, *, broken=(np.nan, np.inf, -np.inf), **bounds):
    """Draw such an array; in one of four cases some elements of float32 are infinite or NaN.

    Where onnxruntime has no kernel, onnx.reference stands in: it multiplies zeros of its own by
    infinities, and leaves NaN out of means.
    """
    x = finite(draw, dtype, shape, **bounds)
    if dtype == np.float32 and draw(st.integers(0, 3)) == 3:
        rng = np.random.default_rng(draw(st.integers(0, 255)))
        values = rng.choice(np.array(broken, dtype=dtype), shape)
        x = np.where(rng.random(shape) < 0.1, values, x)
    return np.asarray(x, dtype=dtype)


@attrs.frozen
class Windows:
    """Windows and the size of an image that at least one of them fits into."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...] | None
    auto_pad: str = ""

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def extents(self) -> tuple[int, ...]:
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def placing(self):
        """What of the attributes is not the default."""
        stated = {}
        if any(s != 1 for s in self.strides):
            stated["strides"] = list(self.strides)
        if any(d != 1 for d in self.dilations):
            stated["dilations"] = list(self.dilations)
        if self.pads is not None:
            stated["pads"] = list(self.pads)
        if self.auto_pad:
            stated["auto_pad"] = self.auto_pad
        return stated

    @property
    def output(self) -> tuple[int, ...]:
        """How many windows there are without `ceil_mode`."""
        if self.auto_pad.startswith("SAME"):
            return tuple(-(-n // s) for n, s in zip(self.size, self.strides, strict=True))
        pads = self.pads or (0,) * (2 * self.rank)
        rows = zip(
            self.size,
            pads[: self.rank],
            pads[self.rank :],
            self.extents,
            self.strides,
            strict=True,
        )
        return tuple((n + b + a - e) // s + 1 for n, b, a, e, s in rows)


def _tuple(draw, rank, low, high):
    return tuple(draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank)))


def windows(draw, *, ranks=(1, 2, 3), dilated=True, narrow_pads=False, auto_pad=True):
    """Draw windows; `narrow_pads` keeps padding smaller than the kernel, as pools must."""
    rank = draw(st.sampled_from(ranks))
    kernel = _tuple(draw, rank, 1, 3)
    strides = _tuple(draw, rank, 1, 3) if draw(st.booleans()) else (1,) * rank
    dilations = _tuple(draw, rank, 1, 2) if dilated and draw(st.booleans()) else (1,) * rank
    pads, auto = None, ""
    style = draw(st.sampled_from(["none", "pads", "auto"] if auto_pad else ["none", "pads"]))
    if style == "pads":
        pads = _tuple(draw, 2 * rank, 0, 2)
        if narrow_pads:
            pads = tuple(min(p, k - 1) for p, k in zip(pads, kernel * 2, strict=True))
    elif style == "auto":
        auto = draw(st.sampled_from(["VALID", "SAME_UPPER", "SAME_LOWER", "NOTSET"]))
    found = Windows((1,) * rank, kernel, strides, dilations, pads, auto)
    ends = pads or (0,) * (2 * rank)
    if auto.startswith("SAME"):
        least = (1,) * rank
    else:
        rows = zip(found.extents, ends[:rank], ends[rank:], strict=True)
        least = tuple(max(1, e - b - a) for e, b, a in rows)
    size = tuple(n + draw(st.integers(0, 4)) for n in least)
    return attrs.evolve(found, size=size)


def group_of(draw):
    """Draw the number of groups, and the channels and maps of each."""
    return draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 3))


def batch(draw, most=2):
    """Draw the number of images; 0 is rare."""
    return draw(st.sampled_from([*range(1, most + 1)] * 4 + [0]))


def sized(draw, kernel):
    """State `kernel_shape`, or leave it out."""
    return optional(draw, kernel_shape=list(kernel))


def placed(node):
    """Where the windows of a pool lie, by its attributes, one axis after the other.

    Returns
    -------
    list of list of range
        Coordinates in the image of each window along each axis, some of them beyond it.
    list of tuple
        First and last coordinate of the padded image along each axis, the latter exclusive.
    """
    stated, size = node.attributes, node.inputs[0].shape[2:]
    rank = len(size)
    kernel, ones = stated["kernel_shape"], [1] * rank
    strides, dilations = stated.get("strides", ones), stated.get("dilations", ones)
    pads, auto_pad = stated.get("pads", [0] * (2 * rank)), stated.get("auto_pad", "NOTSET")
    axes, whole = [], []
    for axis, (n, k, s, d) in enumerate(zip(size, kernel, strides, dilations, strict=True)):
        extent = (k - 1) * d + 1
        before, after = pads[axis], pads[axis + rank]
        if auto_pad.startswith("SAME"):
            windows = -(-n // s)
            total = max(0, (windows - 1) * s + extent - n)
            before = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            after = total - before
        elif stated.get("ceil_mode") and auto_pad != "VALID":
            # Windows that would start in the padding at the end are ignored.
            starts = range(0, n + before, s)
            windows = min(len(starts), -(-(n + before + after - extent) // s) + 1)
        else:
            windows = (n + before + after - extent) // s + 1
        firsts = [i * s - before for i in range(windows)]
        axes.append([range(first, first + extent, d) for first in firsts])
        whole.append((-before, n + after))
    return axes, whole
