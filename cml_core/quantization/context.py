"""LoweringContext: what a quantized implementation sees of the lowering of its node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import attrs
import numpy as np

from cml_core.calibration.stats import CalibrationStats
from cml_core.errors import QuantizationError
from cml_core.graph.bind import BoundNode
from cml_core.quantization.builder import ProgramBuilder
from cml_core.quantization.config import NodeConfig, QuantConfig
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.reference import FloatReference

__all__ = ["LoweringContext"]


@attrs.frozen(slots=True, eq=False)
class LoweringContext:
    """One node on its way to integer instructions.

    The functions that emit instructions (`matmul`, `conv`, `add`, `elementwise`, `move` …) take
    it as their first argument.

    Parameters
    ----------
    builder : ProgramBuilder
        Where instructions go.
    stats : CalibrationStats
        What calibration learned.
    config : QuantConfig
        The user's choices.
    bound : BoundNode
        The node.
    feeds_lookup : bool
        Whether something nonlinear follows on the server, so that the width of what this node
        gives will have to be paid for.
    lookup_bits : NodeConfig, optional
        The bits in force where the node's result will be looked up; by default the node's own.
    reference : FloatReference, optional
        What the float model computes on the calibration samples.
    readers : mapping of str to int
        How many nodes of the server's part take a tensor of the graph.
    finer : int
        By how many bits more than the user chose accumulators are rounded to.
    """

    builder: ProgramBuilder
    stats: CalibrationStats
    config: QuantConfig
    bound: BoundNode
    feeds_lookup: bool = False
    lookup_bits: NodeConfig | None = None
    reference: FloatReference | None = None
    readers: Mapping[str, int] = MappingProxyType({})
    finer: int = 0

    @property
    def bits(self) -> NodeConfig:
        """Bit widths in force at this node."""
        bits = self.config.of_node(self.bound.name)
        if self.finer and bits.rounding_bits is not None:
            bits = attrs.evolve(bits, rounding_bits=bits.rounding_bits + self.finer)
        return bits

    @property
    def rounds_to(self) -> tuple[int, bool] | None:
        """Bits that the node's result will be rounded to and whether exactly, if it will be."""
        if self.feeds_lookup:
            bits = self.lookup_bits or self.bits
            kept, exact = bits.rounding_bits, bits.rounding != "approximate"
        else:
            kept, exact = self.config.reads, False
        return None if kept is None else (kept, exact)

    @property
    def n_outputs(self) -> int:
        """How many outputs the node has in its graph."""
        return len(self.bound.node.outputs)

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the operator's calibration hook left for this node."""
        return self.stats.notes.get(self.bound.name, MappingProxyType({}))

    def float_values(self, tensor: EncryptedTensor) -> np.ndarray | None:
        """What the float model has for a tensor of the graph on the first calibration samples.

        Returns
        -------
        array of shape (n, *S) or None
            None inside operators, and where the model has no floats.
        """
        if self.reference is None or not tensor.name:
            return None
        return self.reference.of_tensor(tensor.name, tensor.shape)

    def value_range(self, tensor: EncryptedTensor) -> tuple[float, float]:
        """Lowest and highest real value of a tensor: calibrated, or decoded inside an operator."""
        known = self.stats.ranges.get(tensor.name)
        if known is not None:
            return known.low, known.high
        values = tensor.values().astype(np.float64)
        finite = values[np.isfinite(values)]
        if finite.size == 0:
            return 0.0, 0.0
        return float(finite.min()), float(finite.max())

    def refuse(self, reason: str, hint: str = "") -> NoReturn:
        """Give up on this node with a reason.

        Raises
        ------
        QuantizationError
            Always.
        """
        raise QuantizationError(self.bound.name, self.bound.key.op_type, reason, hint)

    def result_dtype(self, function: Callable[..., Any], *tensors: Any) -> np.dtype[Any]:
        """Dtype that an elementwise function gives in the float model."""
        ones = [
            np.ones(1, dtype=t.dtype) if isinstance(t, EncryptedTensor) else _first(t)
            for t in tensors
        ]
        with np.errstate(all="ignore"):
            return np.asarray(function(*ones)).dtype


def _first(value: Any) -> Any:
    return value.reshape(-1)[:1] if isinstance(value, np.ndarray) and value.size else value
