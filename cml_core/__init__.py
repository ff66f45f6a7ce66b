"""cml: machine-learning models on encrypted data, operator by operator.

The public API of a user:

    import cml_core as cml

    module = cml.NumpyModule.from_onnx("model.onnx")
    quantized = cml.quantize(module, calibration_data, n_bits=4)
    circuit = quantized.compile()
    circuit.keygen()
    y = circuit.predict(x)

These names live in `cml_core.api`, which is imported when one of them is first used: `pytest`
imports this package in every run of an environment that has it, for `cml_core.testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_core.lazy import names_of

if TYPE_CHECKING:
    from cml_core.api import *  # noqa: F403

    __version__: str
else:
    _get, __dir__ = names_of(__name__, "cml_core.api")

    def __getattr__(name):
        if name == "__version__":
            from importlib import metadata

            return metadata.version("cml")
        return _get(name)
