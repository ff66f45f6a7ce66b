"""Kernels of support vector machines, in NumPy and as nodes.

What a node computes is `kernel(x, s) @ weights + bias` over the support vectors s. Under encryption

- a linear kernel makes that one product of x with weights, without lookups;
- RBF takes |x - s|^2 = |x|^2 - 2 x s + |s|^2 as one product of x beside its squares, so a lookup
  for each feature and each support vector; from the mean of these, squares are small;
- POLY of degree 2 is a quadratic form: where that takes fewer lookups, one square for each of its
  axes replaces one for each support vector;
- other polynomials are written around the mean of the support vectors where kernels are so large
  that rounding them would blur their sum: what is constant, linear and, if need be, quadratic in x
  is summed over all vectors in the clear, for a lookup more for each feature and each axis;
- the others take a lookup for each support vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cml_core.plugin_api import AttributeValueError, GraphWriter
from cml_ops_contrib._shared.polynomials import HIGHEST, Powers, affine, blur, squares
from cml_ops_contrib._shared.rows import matrix_of

__all__ = ["Kernel"]

#: How much rounding may blur results, as a share of their spread, before more lookups are taken;
#: and on how many support vectors that is estimated.
_BLUR, _PROBES = 0.05, 256
_KINDS = ("LINEAR", "POLY", "RBF", "SIGMOID")


class Kernel:
    """A kernel and its support vectors.

    Parameters
    ----------
    kind : str
        The attribute `kernel_type`.
    parameters : sequence of float
        The attribute `kernel_params`: gamma, coef0, degree.
    vectors : sequence of float
        The attribute `support_vectors`.
    count : int
        How many support vectors there are.

    Raises
    ------
    AttributeValueError
        The kernel is unknown or lacks its parameters, or there are no support vectors.
    """

    def __init__(
        self,
        kind: str,
        parameters: Sequence[float] | None,
        vectors: Sequence[float] | None,
        count: int,
    ) -> None:
        if kind not in _KINDS:
            raise AttributeValueError("kernel_type", kind, f"one of {', '.join(_KINDS)}")
        if len(parameters or ()) != 3 and (parameters or kind != "LINEAR"):
            expected = "gamma, coef0 and degree"
            raise AttributeValueError("kernel_params", tuple(parameters or ()), expected)
        self.kind = kind
        self.gamma, self.coef0, self.degree = map(float, parameters or (0.0, 0.0, 0.0))
        self.vectors = matrix_of("support_vectors", vectors, count).astype(np.float64)

    @property
    def features(self) -> int:
        """Length of a support vector."""
        return self.vectors.shape[1]

    def weighed(self, x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """`kernel(x, s) @ weights + bias` in float32, for samples `(N, F)`."""
        x = x.astype(np.float64)
        return (self._of(x) @ weights + bias).astype(np.float32)

    def _of(self, x: np.ndarray) -> np.ndarray:
        if self.kind == "RBF":
            centre = self.vectors.mean(axis=0)
            rest, vectors = x - centre, self.vectors - centre
            square = np.square(rest).sum(axis=1, keepdims=True) + np.square(vectors).sum(axis=1)
            return np.exp(-self.gamma * np.maximum(square - 2 * rest @ vectors.T, 0))
        product = x @ self.vectors.T
        if self.kind == "LINEAR":
            return product
        product = self.gamma * product + self.coef0
        return np.tanh(product) if self.kind == "SIGMOID" else product**self.degree

    def write_weighed(
        self, writer: GraphWriter, rows: str, weights: np.ndarray, bias: np.ndarray
    ) -> str:
        """The same as nodes."""
        if self.kind == "LINEAR":
            return affine(writer, rows, self.vectors.T @ weights, bias)
        if self.kind == "RBF":
            kernel = self._write_rbf(writer, rows)
        elif self._has_short_form(weights.shape[1]):
            return self._write_quadratic(writer, rows, weights, bias)
        elif self.kind == "POLY" and (powers := self._powers(weights)) is not None:
            return powers.write(writer, rows, bias)
        else:
            start = np.full(len(self.vectors), self.coef0)
            product = affine(writer, rows, self.gamma * self.vectors.T, start)
            if self.kind == "SIGMOID":
                kernel = writer.add("Tanh", product)
            else:
                degree = writer.constant(self.degree, np.float32)
                kernel = writer.add("Pow", product, degree)
        return affine(writer, kernel, weights, bias)

    def _has_short_form(self, results: int) -> bool:
        fewer = results * (self.features + 1) < len(self.vectors)
        return self.kind == "POLY" and self.degree == 2 and fewer

    def _write_quadratic(
        self, writer: GraphWriter, rows: str, weights: np.ndarray, bias: np.ndarray
    ) -> str:
        probes = self._probes
        spread = (self._of(probes) @ weights).std(axis=0)
        best = np.inf
        for centre in (np.zeros(self.features), self.vectors.mean(axis=0)):
            axes, signs = self._axes(centre, weights)
            lost = blur(np.square((probes - centre) @ axes[:-1] + axes[-1]), signs, spread)
            if lost <= best:
                best, chosen = lost, (axes[:-1], axes[-1] - centre @ axes[:-1], signs)
        slopes, start, signs = chosen
        product = affine(writer, rows, slopes, start)
        return affine(writer, writer.add("Mul", product, product), signs, bias)

    def _axes(self, centre: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Axes of the quadratic forms in (x - centre, 1), and whether a result adds their squares.

        A result is z A z for A = sum(w v v^T), so sum(a (u z)^2) for the axes u of A.
        """
        slopes = self.gamma * self.vectors
        lifted = np.column_stack([slopes, slopes @ centre + self.coef0])
        return squares(np.einsum("va,vb,vr->rab", lifted, lifted, weights))

    @property
    def _probes(self) -> np.ndarray:
        """Some of the support vectors."""
        return self.vectors[:: math.ceil(len(self.vectors) / _PROBES)]

    def _powers(self, weights: np.ndarray) -> Powers | None:
        """A polynomial around the mean, if rounding the kernels themselves would blur results."""
        if self.degree not in range(2, HIGHEST + 1) or not self.vectors.size:
            return None
        # A quadratic form has a lookup for each axis: at most as many as there are vectors.
        few = weights.shape[1] * self.features <= len(self.vectors)
        most = min(int(self.degree), 3 if few else 2)
        probes = self._probes
        kernels = self._of(probes)
        spread = (kernels @ weights).std(axis=0)
        least = blur(kernels, weights, spread)
        best: Powers | None = None
        for first in range(2, most + 1):
            if least <= _BLUR:
                break
            powers = Powers.around_mean(self, weights, first)
            lost = blur(powers.columns(probes), powers.weights, spread)
            if lost < least:
                best, least = powers, lost
        return best

    def _write_rbf(self, writer: GraphWriter, rows: str) -> str:
        centre = self.vectors.mean(axis=0).astype(np.float32)
        vectors = self.vectors - centre
        rest = writer.add("Sub", rows, writer.constant(centre, np.float32))
        both = writer.add("Concat", rest, writer.add("Mul", rest, rest), axis=1)
        of_square = np.full_like(vectors.T, -self.gamma)
        weights = np.concatenate([2 * self.gamma * vectors.T, of_square])
        start = -self.gamma * np.square(vectors).sum(axis=1)
        return writer.add("Exp", affine(writer, both, weights, start))
