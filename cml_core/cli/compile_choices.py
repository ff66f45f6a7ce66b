"""What `cml compile` is asked for: a configuration, compiler options and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cml_core.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    from cml_core.fhe.backend import FheOptions
    from cml_core.quantization.config import QuantConfig

__all__ = ["check_files", "compiler_options", "config_of", "need_compiler"]


def config_of(preset: str | None, n_bits: int | None, stated: dict[str, Any]) -> QuantConfig:
    """The configuration that a preset or a bit width begins with, and what was stated."""
    from cml_core.quantization.config import QuantConfig

    presets = {"fast": QuantConfig.fast, "best": QuantConfig.best}
    if preset is None:
        return QuantConfig(**stated) if n_bits is None else QuantConfig.with_bits(n_bits, **stated)
    if preset not in presets:
        raise ConfigError("preset", preset, f"one of {', '.join(presets)}")
    if n_bits is not None:
        raise ConfigError("n_bits", n_bits, "either --n-bits or --preset, not both")
    return presets[preset](**stated)


def compiler_options(backend: str | None, p_error: str, global_p_error: str | None) -> FheOptions:
    """How the circuit is compiled."""
    from cml_core.fhe.backend import FheOptions

    whole = None if global_p_error is None else _probability("global_p_error", global_p_error)
    return FheOptions(
        backend=backend, p_error=_probability("p_error", p_error), global_p_error=whole
    )


def _probability(name: str, text: str) -> float:
    """A number such as `1e-12`, or a power such as `2**-40`."""
    base, power, exponent = text.partition("**")
    try:
        return float(base) ** int(exponent) if power else float(text)
    except (ValueError, ArithmeticError):
        raise ConfigError(
            name, text, "a probability between 0 and 1, such as 1e-12 or 2**-40"
        ) from None


def check_files(
    model: Path, calibration: Path, output: Path, client: Path | None, *, no_circuit: bool
) -> None:
    """Refuse outputs that cannot be written, before any work is done for them."""
    from cml_core.cli.arrays import check_output

    check_output(output, model, calibration)
    if client is not None:
        if no_circuit:
            raise ConfigError("client", str(client), "a circuit, so no --no-circuit")
        check_output(client, model, calibration, output)


def need_compiler(name: str | None) -> None:
    """Refuse a compiler that is not installed, before any work is done for it."""
    from cml_core.fhe.backend import choose_backend

    try:
        choose_backend(name)
    except BackendUnavailableError as error:
        hint = f"{error.hint} With --no-circuit, the model is only quantized."
        raise BackendUnavailableError(error.backend, error.installed, hint) from None
