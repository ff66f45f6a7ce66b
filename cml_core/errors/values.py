"""What is wrong with the arrays given to a model."""

from __future__ import annotations

import attrs

from cml_core.errors.base import CmlError, sentence

__all__ = [
    "CalibrationError",
    "InputDtypeError",
    "InputError",
    "InputNameError",
    "InputShapeError",
]


@attrs.define(eq=False, slots=False)
class InputError(CmlError):
    """Base of what can be wrong with the arrays given to a model."""


@attrs.define(eq=False, slots=False)
class InputNameError(InputError):
    """Inputs are missing or have names that the model does not know.

    Parameters
    ----------
    missing : tuple of str
        Inputs that were not given.
    unknown : tuple of str
        Names that the model does not know.
    expected : tuple of str
        The model's inputs.
    """

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    expected: tuple[str, ...]

    def message(self) -> str:
        return sentence(
            f"missing input{'s' if len(self.missing) > 1 else ''}: {', '.join(self.missing)}."
            if self.missing
            else "",
            f"no such input: {', '.join(self.unknown)}." if self.unknown else "",
            f"The model's inputs are: {', '.join(self.expected)}.",
        )


@attrs.define(eq=False, slots=False)
class InputShapeError(InputError):
    """An input has the wrong rank or shape.

    Parameters
    ----------
    name : str
        The input.
    shape : tuple of int
        The shape that it has.
    expected : str
        What shape it should have.
    """

    name: str
    shape: tuple[int, ...]
    expected: str

    def message(self) -> str:
        return f"input {self.name!r} has shape {self.shape}, expected {self.expected}."


@attrs.define(eq=False, slots=False)
class InputDtypeError(InputError):
    """An input has a dtype that does not convert to the model's without loss of meaning.

    Parameters
    ----------
    name : str
        The input.
    dtype : str
        The dtype that it has.
    expected : str
        Which dtype it should have.
    """

    name: str
    dtype: str
    expected: str

    def message(self) -> str:
        return f"input {self.name!r} is of dtype {self.dtype}, expected {self.expected}."


@attrs.define(eq=False, slots=False)
class CalibrationError(CmlError):
    """Calibration data is empty or holds NaN or infinite values.

    Parameters
    ----------
    name : str
        The input or tensor.
    reason : str
        What is wrong with its data.
    hint : str
        What would help; may be empty.
    """

    name: str
    reason: str
    hint: str = ""

    def message(self) -> str:
        return sentence(f"calibration data for {self.name!r} {self.reason}.", self.hint)
