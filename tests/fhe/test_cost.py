"""The predicted cost against the compiler's own figure, over programs of many kinds."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest

import cml_core as cml
from cml_core.fhe.backend import installed_backends
from tests.networks import mlp, residual_cnn, samples

pytestmark = [
    pytest.mark.fhe,
    pytest.mark.skipif(
        "concrete-python" not in [backend.name for backend in installed_backends()],
        reason="costs are those of concrete-python's optimizer",
    ),
]

#: Input, weight and activation bits; rounding bits; how to round.
SETTINGS = [
    (3, None, "exact"),
    (3, 4, "exact"),
    (4, 6, "exact"),
    (4, 4, "approximate"),
    (6, 3, "approximate"),
    (6, 5, "approximate"),
]
MODELS = {
    "tiny": (mlp([4, 3, 2]), samples([4])),
    "wide": (mlp([32, 64, 5]), samples([32])),
    "deep": (mlp([10, 7, 5, 3]), samples([10])),
    "flat": (mlp([128, 10, 2]), samples([128])),
}


def both(model, data, bits, rounding_bits, rounding):
    """Predicted complexity, and the compiler's."""
    config = cml.QuantConfig.with_bits(bits, rounding_bits=rounding_bits, rounding=rounding)
    quantized = cml.quantize(cml.NumpyModule.from_onnx(model), data, config)
    return quantized.report().complexity, quantized.compile().report.complexity


def ranks(values):
    return np.argsort(np.argsort(values))


def test_the_prediction_ranks_programs_as_the_compiler_does(digits):
    pairs = [both(*MODELS[name], *setting) for name, setting in product(sorted(MODELS), SETTINGS)]
    pairs += [both(residual_cnn(), samples([1, 6, 6], 60), *s) for s in SETTINGS[1:5]]
    pairs += [both(digits.module.onnx_model, digits.calibration, *s) for s in SETTINGS[1:5]]
    predicted, measured = np.array(pairs).T
    assert len(pairs) >= 30
    correlation = np.corrcoef(ranks(predicted), ranks(measured))[0, 1]
    ratio = predicted / measured
    print(f"\n{len(pairs)} programs, rank correlation {correlation:.4f}, ratio of prediction to")
    print(f"measurement {ratio.min():.2f} to {ratio.max():.2f}, median {np.median(ratio):.3f}")
    assert correlation >= 0.95
    assert ratio.min() > 0.5
    assert ratio.max() < 2.0


def test_wide_results_make_the_lookups_before_them_dearer():
    """Decrypting a result at many bits leaves less room for noise."""
    model, data = mlp([32, 64, 5]), samples([32])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        narrow = both(model, data, 3, 4, "approximate")
        wide = both(model, data, 8, 4, "approximate")
    assert wide[0] > 1.2 * narrow[0]
    assert wide[1] > 1.2 * narrow[1]
