"""What is wrong with plugins and libraries."""

from __future__ import annotations

import attrs

from cml_core.errors.base import CmlError, sentence

__all__ = [
    "DuplicateOperatorError",
    "MissingLibraryError",
    "PluginError",
]


@attrs.define(eq=False, slots=False)
class PluginError(CmlError):
    """A plugin failed to load, to register or to answer its hook.

    Parameters
    ----------
    plugin : str
        The plugin's name.
    reason : str
        What went wrong.
    hint : str
        What would help; may be empty.
    """

    plugin: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"plugin {self.plugin!r} failed: {self.reason}.", self.hint)


@attrs.define(eq=False, slots=False)
class MissingLibraryError(CmlError):
    """A front end needs a library that is not installed.

    Parameters
    ----------
    library : str
        The module that is not installed.
    extra : str
        The extra of cml that installs it.
    """

    library: str
    extra: str

    def message(self) -> str:
        return f"{self.library} is not installed. Install it with: pip install 'cml[{self.extra}]'."


@attrs.define(eq=False, slots=False)
class DuplicateOperatorError(CmlError):
    """Two plugins claim one operator revision, and neither says that it overrides the other.

    Parameters
    ----------
    key : str
        The operator's revision.
    plugins : pair of str
        The names of both.
    """

    key: str
    plugins: tuple[str, str]

    def message(self) -> str:
        first, second = self.plugins
        return (
            f"plugins {first!r} and {second!r} both provide {self.key}. Block one of them with "
            f"CML_DISABLE_PLUGINS, or let one declare overrides={first!r}."
        )
