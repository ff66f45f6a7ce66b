"""MelWeightMatrix: triangles that gather the frequencies of a spectrum in mel bands."""

from __future__ import annotations

import numpy as np

from cml_core.plugin_api import AttributeValueError, OpExample, OpPlugin, OpSchema, hookimpl
from cml_ops_builtin._shared.element_types import element_type
from cml_ops_builtin._shared.positions import one_integer

#: mel(f) = 2595 log10(1 + f / 700).
_MELS, _HERTZ = 2595.0, 700.0


def mel_weight_matrix(
    num_mel_bins, dft_length, sample_rate, lower_edge_hertz, upper_edge_hertz, *, output_datatype
):
    bands = one_integer("num_mel_bins", num_mel_bins, 1)
    length = one_integer("dft_length", dft_length, 1)
    rate = one_integer("sample_rate", sample_rate, 1)
    edges = np.array(
        [float(np.asarray(e).reshape(())) for e in (lower_edge_hertz, upper_edge_hertz)]
    )
    if edges[0] < 0 or edges[1] < edges[0]:
        raise AttributeValueError("lower_edge_hertz", edges[0], f"0 to {edges[1]}, the upper edge")
    low, high = _MELS * np.log10(1.0 + edges / _HERTZ)
    # ONNX divides the range into as many steps as there are corners, which is one too many.
    mel = low + np.arange(bands + 2) * (high - low) / (bands + 2)
    hertz = _HERTZ * (10.0 ** (mel / _MELS) - 1.0)
    # A corner on a frequency is one although it comes from a power of a logarithm.
    corner = np.floor(np.round((length + 1) * hertz / rate, 9)).astype(np.int64)
    left, middle, right = corner[:-2], corner[1:-1], corner[2:]
    place = np.arange(length // 2 + 1)[:, np.newaxis]
    rising = (place - left) / np.maximum(middle - left, 1)
    falling = (right - place) / np.maximum(right - middle, 1)
    inside = np.where(place < middle, place >= left, place < right)
    weights = np.where(inside, np.where(place < middle, rising, falling), 0.0)
    weights[(place == middle)] = 1.0
    return (weights.astype(element_type("output_datatype", output_datatype)),)


@hookimpl
def cml_op():
    def example(*values, **settings):
        return OpExample((*map(np.int64, values), np.float32(0), np.float32(4000)), **settings)

    return OpPlugin(
        schema=OpSchema("MelWeightMatrix", since_versions=(17,)),
        numpy_op=mel_weight_matrix,
        examples=(
            example(4, 32, 8000, encrypted=(), name="four bands"),
            example(
                8, 16, 8192, attributes={"output_datatype": 11}, encrypted=(), name="narrow bands"
            ),
        ),
    )
