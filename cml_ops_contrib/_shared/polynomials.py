"""Polynomials of encrypted rows as products and single lookups of sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs
import numpy as np

from cml_core.plugin_api import GraphWriter

if TYPE_CHECKING:
    from cml_ops_contrib._shared.support_vectors import Kernel

__all__ = ["HIGHEST", "Powers", "affine", "blur", "squares"]

#: Highest degree of a polynomial that is written around the mean.
HIGHEST = 16
#: Axes of a quadratic form that are shorter, beside the longest, play no role.
_NOTHING = 1e-9
#: Of how many levels `blur` takes lookups to be.
_LEVELS = 64


@attrs.frozen(eq=False)
class Powers:
    """A polynomial of a whole degree in `z = x - centre`.

    With u = gamma z s and t, what the kernel's base is at the centre, a kernel is
    `(t + u)^d = t^d + d t^(d-1) u + ...`. The sum over all support vectors of the first terms is a
    constant, a linear and a quadratic form in z, of which nothing is large that cancels out.

    Parameters
    ----------
    centre : float32 array of shape (F,)
        The mean of the support vectors.
    size : array of shape (F,)
        What each feature counts in the linear form.
    axes : array of shape (F, A)
        Axes of the quadratic form.
    slopes : array of shape (F, V)
        What u is of z for each support vector.
    terms : array of shape (K, V)
        Factors of u^first, u^(first + 1) ... for each support vector.
    first : int
        The power that the kernels that are left begin with.
    weights : array of shape (F + A + V, R)
        What each column counts in each result.
    start : array of shape (R,)
        The constant.
    """

    centre: np.ndarray
    size: np.ndarray
    axes: np.ndarray
    slopes: np.ndarray
    terms: np.ndarray
    first: int
    weights: np.ndarray
    start: np.ndarray

    @classmethod
    def around_mean(cls, kernel: Kernel, weights: np.ndarray, first: int) -> Powers:
        """The polynomial, with all powers below `first` summed over the support vectors."""
        degree = int(kernel.degree)
        centre = kernel.vectors.mean(axis=0).astype(np.float32)
        slopes = kernel.gamma * kernel.vectors.T
        base = centre @ slopes + kernel.coef0
        terms = np.stack([math.comb(degree, k) * base ** (degree - k) for k in range(degree + 1)])
        linear = slopes @ (terms[1][:, np.newaxis] * weights)
        size = _norm(linear)
        axes, signs = np.zeros((len(centre), 0)), np.zeros((0, weights.shape[1]))
        if first > 2:
            forms = np.einsum(
                "av,bv,vr->rab", slopes, slopes, terms[2][:, np.newaxis] * weights, optimize=True
            )
            axes, signs = squares(forms)
        # Lookups of a column keep its scale: each is as large as what it contributes.
        share = _norm(weights)
        columns = [linear / size[:, np.newaxis], signs, weights / share[:, np.newaxis]]
        return cls(
            centre,
            size,
            axes,
            slopes,
            terms[first:] * share,
            first,
            np.concatenate(columns),
            terms[0] @ weights,
        )

    def columns(self, x: np.ndarray) -> np.ndarray:
        """All that is weighed and summed, for samples `(N, F)`."""
        z = x - self.centre
        u = z @ self.slopes
        rest = sum(term * u**k for k, term in enumerate(self.terms, self.first))
        return np.concatenate([z * self.size, np.square(z @ self.axes), rest], axis=1)

    def write(self, writer: GraphWriter, rows: str, bias: np.ndarray) -> str:
        """Nodes of the results."""
        z = writer.add("Sub", rows, writer.constant(self.centre, np.float32))
        parts = [writer.add("Mul", z, writer.constant(self.size, np.float32))]
        if self.axes.size:
            along = writer.add("MatMul", z, writer.constant(self.axes, np.float32))
            parts.append(writer.add("Mul", along, along))
        u = writer.add("MatMul", z, writer.constant(self.slopes, np.float32))
        rest = writer.constant(self.terms[-1], np.float32)
        for term in self.terms[-2::-1]:
            rest = writer.add("Mul", rest, u)
            rest = writer.add("Add", rest, writer.constant(term, np.float32))
        for _ in range(self.first):
            rest = writer.add("Mul", rest, u)
        both = writer.add("Concat", *parts, rest, axis=1)
        return affine(writer, both, self.weights, self.start + bias)


def squares(forms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes `(F, A)` of quadratic forms `(R, F, F)`, and their signs in each form `(A, R)`."""
    lengths, directions = np.linalg.eigh(forms)
    form, place = np.nonzero(np.abs(lengths) > _NOTHING * np.abs(lengths).max(initial=0))
    long = lengths[form, place]
    signs = np.zeros((len(form), len(forms)))
    signs[np.arange(len(form)), form] = np.sign(long)
    return directions[form, :, place].T * np.sqrt(np.abs(long)), signs


def _norm(weights: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.square(weights).sum(axis=1))
    return np.where(norm > 0, norm, 1.0)


def blur(columns: np.ndarray, weights: np.ndarray, spread: np.ndarray) -> float:
    """What rounding columns to levels does to the results, as a share of their spread."""
    step = np.ptp(columns, axis=0) / _LEVELS
    error = np.sqrt(np.square(step[:, np.newaxis] * weights).sum(axis=0) / 12)
    share = np.divide(error, spread, out=np.full_like(error, np.inf), where=spread > 0)
    return float(share.max(initial=0.0))


def affine(writer: GraphWriter, x: str, weights: np.ndarray, bias: np.ndarray) -> str:
    """`x @ weights + bias` as nodes."""
    product = writer.add("MatMul", x, writer.constant(weights, np.float32))
    return writer.add("Add", product, writer.constant(bias, np.float32))
