"""The errors of cml.

Everything that a user can cause is a `CmlError`. An error carries fields (which file, node,
argument, what was wrong, what would work), so that a program can act on it; its text is one
clear paragraph made from those fields.
"""

from __future__ import annotations

from cml_core.errors.base import (
    CmlError,
)
from cml_core.errors.circuits import (
    BackendUnavailableError,
    BitWidthError,
    CircuitError,
    CircuitMismatchError,
    ConfigError,
    ExportError,
    KeysMissingError,
    QuantizationError,
    WideLookup,
)
from cml_core.errors.files import (
    DamagedFileError,
    NewerFileError,
    OutputFileError,
    StoredFileError,
)
from cml_core.errors.models import (
    AttributeValueError,
    ExporterError,
    InvalidModelError,
    ModelFileError,
    NodeError,
    TensorSizeError,
    UnsupportedNode,
    UnsupportedNodesError,
)
from cml_core.errors.plugins import (
    DuplicateOperatorError,
    MissingLibraryError,
    PluginError,
)
from cml_core.errors.values import (
    CalibrationError,
    InputDtypeError,
    InputError,
    InputNameError,
    InputShapeError,
)

__all__ = [
    "AttributeValueError",
    "BackendUnavailableError",
    "BitWidthError",
    "CalibrationError",
    "CircuitError",
    "CircuitMismatchError",
    "CmlError",
    "ConfigError",
    "DamagedFileError",
    "DuplicateOperatorError",
    "ExportError",
    "ExporterError",
    "InputDtypeError",
    "InputError",
    "InputNameError",
    "InputShapeError",
    "InvalidModelError",
    "KeysMissingError",
    "MissingLibraryError",
    "ModelFileError",
    "NewerFileError",
    "NodeError",
    "OutputFileError",
    "PluginError",
    "QuantizationError",
    "StoredFileError",
    "TensorSizeError",
    "UnsupportedNode",
    "UnsupportedNodesError",
    "WideLookup",
]

for _name in __all__:
    # They are named, and shown in tracebacks, as they are imported.
    globals()[_name].__module__ = __name__
