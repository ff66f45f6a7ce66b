"""What quantization has cost in accuracy, and how safe its ranges are, both measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import attrs
import numpy as np

from cml_core.program.execute import Overflow, execute
from cml_core.program.instructions import Program
from cml_core.quantization.client import ClientSide
from cml_core.quantization.encrypted import EncryptedTensor
from cml_core.quantization.reference import FloatReference
from cml_core.samples import count_samples

__all__ = ["Diagnosis", "count_overflows", "diagnosis_from_parts", "noise_of"]

_FILE = "diagnosis.json"
#: Calibration samples that integers are compared with floats on.
_COMPARED = 128
#: Samples that are drawn beyond the calibration data, and how much wider than it.
_DRAWN, _AT_ONCE = 512, 64
_WIDER = 0.5


@attrs.frozen(slots=True)
class Diagnosis:
    """What was measured when a model was quantized.

    Parameters
    ----------
    signal_to_noise : mapping of str to float
        By node name: power of the float model's values about their mean, over that of the error
        of the integers that go on from the node, in dB, on calibration data.
    drawn : int
        Samples that were drawn beyond the calibration data, up to half as wide again.
    overflowing : int
        Those of them with which some integer left its range. Encrypted, they would have given a
        wrong result without notice.
    """

    signal_to_noise: Mapping[str, float] = MappingProxyType({})
    drawn: int = 0
    overflowing: int = 0

    def to_parts(self) -> dict[str, bytes]:
        """The diagnosis as named parts of a `.cml` file."""
        document = {
            "signal_to_noise": dict(self.signal_to_noise),
            "drawn": self.drawn,
            "overflowing": self.overflowing,
        }
        return {_FILE: json.dumps(document, indent=1).encode()}


def diagnosis_from_parts(parts: Mapping[str, bytes]) -> Diagnosis:
    """Read a diagnosis back; an empty one from a file that holds none."""
    if _FILE not in parts:
        return Diagnosis()
    row = json.loads(parts[_FILE])
    noise = {str(name): float(value) for name, value in row["signal_to_noise"].items()}
    return Diagnosis(MappingProxyType(noise), int(row["drawn"]), int(row["overflowing"]))


def noise_of(reference: FloatReference, tensors: Iterable[EncryptedTensor]) -> Mapping[str, float]:
    """Signal to noise of each node in dB, the worst of its tensors.

    Parameters
    ----------
    reference : FloatReference
        The float model's values.
    tensors : iterable of EncryptedTensor
        Results of nodes, and what lookups made of them, all under their names in the graph.
    """
    found: dict[str, float] = {}
    for tensor in tensors:
        wanted = reference.of_tensor(tensor.name, tensor.shape)
        if wanted is None or wanted.size == 0 or not tensor.node:
            continue
        wanted = wanted[:_COMPARED].astype(np.float64)
        got = tensor.decode(tensor.register.samples[: len(wanted)], tensor.channel)
        ratio = _decibels(wanted, got.astype(np.float64))
        if ratio is not None:
            found[tensor.node] = min(found.get(tensor.node, np.inf), ratio)
    return MappingProxyType(found)


def _decibels(wanted: np.ndarray, got: np.ndarray) -> float | None:
    known = np.isfinite(wanted) & np.isfinite(got)
    if not known.any():
        return None
    wanted, got = wanted[known], got[known]
    signal = float(np.square(wanted - wanted.mean()).mean())
    noise = float(np.square(got - wanted).mean())
    if signal <= 0.0 or noise <= signal * 1e-12:
        return None
    return float(10 * np.log10(signal / noise))


def count_overflows(
    program: Program, client: ClientSide, samples: Mapping[str, np.ndarray]
) -> tuple[int, int]:
    """Draw samples somewhat wider than the calibration data; count those that overflow.

    The deviations of two calibration samples from the mean of all are turned into one another,
    which keeps their variance and gives something new, and stretched by up to `_WIDER`. Inputs
    outside their range saturate first, as they do on a client.

    Returns
    -------
    drawn, overflowing : int
    """
    count = count_samples(samples)
    if count == 0 or not program.outputs:
        return 0, 0
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, count, (2, _DRAWN))
    angle = rng.uniform(0.0, np.pi / 4, _DRAWN)
    stretch = rng.uniform(1.0, 1.0 + _WIDER, _DRAWN)
    left = np.zeros(_DRAWN, dtype=bool)
    inputs = []
    for code in client.inputs:
        real = samples[code.name].astype(np.float64)
        each = (slice(None), *(np.newaxis,) * (real.ndim - 1))
        mean = real.mean(axis=0)
        turned = np.cos(angle)[each] * (real[first] - mean)
        turned += np.sin(angle)[each] * (real[second] - mean)
        inputs.append(code.encode(mean + stretch[each] * turned)[0].astype(np.int64))
    for start in range(0, _DRAWN, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        overflows: list[Overflow] = []
        execute(program, [array[part] for array in inputs], overflows)
        for overflow in overflows:
            left[np.add(start, overflow.places)] = True
    return _DRAWN, int(left.sum())
