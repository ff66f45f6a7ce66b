"""Libraries that a front end needs and that may not be installed."""

from __future__ import annotations

import importlib
from types import ModuleType

from cml_core.errors import MissingLibraryError

__all__ = ["require"]


def require(module_name: str, extra: str) -> ModuleType:
    """Import an optional library.

    Parameters
    ----------
    module_name : str
        What to import.
    extra : str
        The extra of cml that installs it.

    Raises
    ------
    MissingLibraryError
        It, or something that it needs, is not installed.
    """
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(module_name, extra) from error
