"""What `run.py` measures: models, and the settings of each system."""

from __future__ import annotations

from itertools import product

MODELS = ("digits_mlp", "digits_cnn", "cancer_logistic", "cancer_mlp")
METHODS = ("exact", "approximate")


# Bits of inputs, activations and weights, and those rounded to, on fronts of the full list.
FOUND = ((3, 5, 3, 3), (4, 4, 5, 4), (3, 6, 4, 4), (3, 4, 5, 5), (3, 8, 6, 5), (6, 8, 6, 6))


def _apart(inputs: int, activations: int, weights: int, rounding, method) -> dict:
    # `model_outputs` may not be below `op_inputs`; what networks end in is not quantized again.
    widths = {"model_inputs": inputs, "op_inputs": activations, "op_weights": weights}
    setting = {"n_bits": {**widths, "model_outputs": 8}, "rounding": rounding}
    return setting if rounding is None else {**setting, "method": method}


def concrete_ml(model: str, full: bool) -> list[dict]:
    """Concrete-ML's: bits, rounding and its method; a reduced list holds what did best."""
    if model == "cancer_logistic":
        bits = (2, 3, 4, 5, 6, 8) if full else (3, 4, 6)
        plain = [{"n_bits": n, "rounding": None} for n in bits]
        return plain + [{"n_bits": n, "estimator": "LogisticRegression"} for n in bits]
    if not full:
        one = [
            {"n_bits": n, "rounding": r, "method": "approximate"}
            for n, r in product((4, 5, 6), (3, 4, 5, 6))
        ]
        exact = [
            {"n_bits": n, "rounding": r, "method": "exact"} for n, r in ((4, 4), (4, 5), (5, 6))
        ]
        return one + exact + [_apart(*widths, "approximate") for widths in FOUND]
    one = [
        {"n_bits": n, "rounding": r, "method": m}
        for n, r, m in product((2, 3, 4, 5, 6, 7, 8), (2, 3, 4, 5, 6, 7, 8), METHODS)
        if m == "approximate" or n <= 6
    ]
    one += [{"n_bits": n, "rounding": None} for n in (2, 3, 4, 5, 6)]
    # Widths apart: `model_inputs` is 5 unless given, which widens the first accumulator.
    apart = [
        _apart(i, a, w, r, m)
        for i, (a, w), r, m in product(
            (3, 4, 6),
            ((2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3), (4, 5), (5, 3), (6, 4), (8, 6)),
            (3, 4, 5, 6),
            METHODS,
        )
    ]
    bare = [_apart(i, a, w, None, None) for i, a, w in product((2, 3, 4), (2, 3), (2, 3))]
    return one + apart + bare


def cml(model: str, full: bool) -> list[dict]:
    """cml's: fields of `QuantConfig` and `FheOptions`; see `cml_worker.py`."""
    if model == "cancer_logistic":
        return [{}] + [{"n_bits": n} for n in ((2, 3, 4, 5, 6, 8) if full else (3, 4, 6))]
    named = [{}, {"preset": "fast"}, {"preset": "best"}]
    bits, rounding = ((3, 4, 5), (3, 4, 5, 6)) if full else ((4,), (4, 5))
    exact = [{"n_bits": n, "rounding_bits": r} for n, r in product(bits, rounding)]
    # Bits rounded to, of inputs and weights, and read of results; and what pruning may cost.
    kept, widths, shares = (
        ((3, 4, 5, 6), ((6, 4, 5), (6, 6, 5), (6, 6, 6), (8, 6, 8)), (0, 0.003, 0.01, 0.02, 0.04))
        if full
        else ((3, 4, 5), ((6, 4, 5), (6, 6, 6)), (0, 0.003, 0.02))
    )
    free = [
        {"preset": "fast", "rounding_bits": k, "input_bits": i, "weight_bits": w, "read_bits": r,
         "prune": share, "rounding": "approximate"}
        for k, (i, w, r), share in product(kept, widths, shares)
    ]  # fmt: skip
    return named + exact + free


SETTINGS = {"cml": cml, "concrete_ml": concrete_ml}
