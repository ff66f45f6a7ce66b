"""QuantConfig: what a user decides about quantization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import numpy as np

from cml_core.calibration.observers import OBSERVERS
from cml_core.errors import ConfigError

__all__ = [
    "InputScales",
    "NodeConfig",
    "QuantConfig",
    "Ranges",
    "Rounding",
    "Tail",
    "Thresholds",
    "WeightRounding",
]

Tail = Literal["client", "server"]
InputScales = Literal["one", "each"]
Thresholds = Literal["thermometer", "bins", "uniform"]
Ranges = Literal["calibrated", "proven"]
Rounding = Literal["exact", "approximate"]
WeightRounding = Literal["nearest", "adaptive"]

_MOST_BITS = 16


def _plain(value: Any) -> Any:
    """Return NumPy's integers as Python's, which JSON and shifts know."""
    return int(value) if isinstance(value, np.integer) else value


def _is_bits(value: Any) -> bool:
    return type(_plain(value)) is int and 1 <= value <= _MOST_BITS


def _bits(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not _is_bits(value):
        raise ConfigError(attribute.name, value, f"a number of bits from 1 to {_MOST_BITS}")


def _optional_bits(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        _bits(instance, attribute, value)


def _one_of(*choices: str) -> Any:
    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in choices:
            raise ConfigError(attribute.name, value, f"one of {', '.join(map(repr, choices))}")

    return check


def _flag(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(attribute.name, value, "True or False")


#: More than this many calibrated ranges on each side leave nothing of a range's meaning.
_MOST_MARGIN = 1000


def _margin(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, (int, float)) or not 0 <= value <= _MOST_MARGIN:
        expected = f"a share of the calibrated range, from 0 to {_MOST_MARGIN}"
        raise ConfigError(attribute.name, value, expected)


def _share(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ConfigError(attribute.name, value, "a share from 0 to below 1")


@attrs.frozen(slots=True, kw_only=True)
class NodeConfig:
    """Choices for one node, in place of the model's; None keeps the model's.

    Parameters
    ----------
    weight_bits, activation_bits, rounding_bits : int or None
        As in `QuantConfig`. Activation and rounding bits are those of the lookups that the node
        asks for: what it takes.
    rounding : {"exact", "approximate"} or None
        As in `QuantConfig`.
    """

    weight_bits: int | None = attrs.field(default=None, converter=_plain, validator=_optional_bits)
    activation_bits: int | None = attrs.field(
        default=None, converter=_plain, validator=_optional_bits
    )
    rounding_bits: int | None = attrs.field(
        default=None, converter=_plain, validator=_optional_bits
    )
    rounding: Rounding | None = attrs.field(
        default=None, validator=attrs.validators.optional(_one_of("exact", "approximate"))
    )

    def narrower(self, other: NodeConfig) -> NodeConfig:
        """What serves two readers: the fewer rounding bits, exact if one of them is."""
        kept = [bits for bits in (self.rounding_bits, other.rounding_bits) if bits is not None]
        exact = "exact" in (self.rounding, other.rounding)
        return attrs.evolve(
            self,
            rounding_bits=min(kept, default=None),
            rounding="exact" if exact else self.rounding,
        )


def _nodes(value: Mapping[str, NodeConfig | Mapping[str, Any]]) -> dict[str, NodeConfig]:
    if not isinstance(value, Mapping):
        raise ConfigError("nodes", value, "a mapping of node names to their options")
    return {name: _node(name, config) for name, config in value.items()}


def _node(name: str, config: NodeConfig | Mapping[str, Any]) -> NodeConfig:
    if isinstance(config, NodeConfig):
        return config
    known = [field.name for field in attrs.fields(NodeConfig)]
    if not isinstance(config, Mapping) or not set(known).issuperset(config):
        what = f"options out of {', '.join(known)}"
        raise ConfigError(f"nodes[{name!r}]", config, what)
    return NodeConfig(**config)


@attrs.frozen(slots=True, kw_only=True)
class QuantConfig:
    """How a model is quantized.

    Parameters
    ----------
    input_bits, weight_bits, activation_bits, output_bits : int
        Bit widths of the model's inputs, of weights, of what travels between layers, and of
        outputs that are requantized on the server (`tail="server"`).
    rounding_bits : int or None
        Accumulators wider than this are rounded to so many bits before a table lookup; None
        rounds nothing. By default one bit more than `activation_bits`.
    rounding : {"exact", "approximate"}
        Exact rounding costs a small bootstrap for every bit taken off. Approximate rounding is
        free, and may give the neighbour of an integer that lies near the middle between two;
        compilers that do not know it round exactly.
    read_bits : int or None
        With approximate rounding, how many bits of a result of linear layers are decrypted. Fewer
        bits leave more room for noise, which makes every lookup before them cheaper; rounding
        them away costs nothing. None decrypts results whole.
    weight_rounding : {"nearest", "adaptive"}
        Whether each weight goes to the nearest integer, or all of them together to those that
        change the layer's output on the calibration data least.
    prune : float
        Largest share of a linear layer's power that may be lost by leaving out channels of its
        input, whose lookups are then saved; the weights of the others make up for it on the
        calibration data. 0 leaves out none.
    equalize : bool
        Give each channel of what travels between layers its own scale, which folds into the next
        layer's weights, where that lowers the error expected of both.
    bias_correction : bool
        Take the mean error of rounded weights on the calibration data off the output.
    fit_tables : bool
        Let each entry of the table behind a rounding be the mean of the real values that fall
        there on the calibration data, in place of the one in the middle.
    observer : str
        How calibration data decides the range of a tensor.
    ranges : {"calibrated", "proven"}
        Whether accumulators are as wide as calibration saw them (with `margin`) or as wide as
        weights and input ranges prove that they can be.
    margin : float
        Share of the calibrated range that is added on both sides.
    input_scales : {"one", "each"}
        Whether an input of the model has one scale, or each of its elements its own, which folds
        into the weights that it meets. The second is for features that differ in size, not for
        images, whose pixels share weights.
    thresholds : {"thermometer", "bins", "uniform"}
        How the client encrypts an input of which the model only asks whether it exceeds certain
        thresholds, as tree ensembles do. `"thermometer"`: one bit for each threshold, so that no
        comparison costs a lookup. `"bins"`: one small integer for each element, the number of its
        thresholds that it exceeds, and a lookup for each comparison. With both, comparisons are
        exact and the client learns the thresholds. `"uniform"`: on a uniform grid of
        `input_bits`, which says nothing of the model; a threshold moves by up to half a step.
    tail : {"client", "server"}
        Who computes what follows the model's last linear operation.
    nodes : mapping of str to NodeConfig
        Overrides by node name.
    """

    input_bits: int = attrs.field(default=5, converter=_plain, validator=_bits)
    weight_bits: int = attrs.field(default=5, converter=_plain, validator=_bits)
    activation_bits: int = attrs.field(default=4, converter=_plain, validator=_bits)
    output_bits: int = attrs.field(default=8, converter=_plain, validator=_bits)
    rounding_bits: int | None = attrs.field(converter=_plain, validator=_optional_bits)
    rounding: Rounding = attrs.field(default="exact", validator=_one_of("exact", "approximate"))
    read_bits: int | None = attrs.field(default=None, converter=_plain, validator=_optional_bits)
    weight_rounding: WeightRounding = attrs.field(
        default="adaptive", validator=_one_of("nearest", "adaptive")
    )
    prune: float = attrs.field(default=0.0, validator=_share)
    equalize: bool = attrs.field(default=True, validator=_flag)
    bias_correction: bool = attrs.field(default=True, validator=_flag)
    fit_tables: bool = attrs.field(default=True, validator=_flag)
    observer: str = attrs.field(default="minmax", validator=_one_of(*OBSERVERS))
    ranges: Ranges = attrs.field(default="calibrated", validator=_one_of("calibrated", "proven"))
    margin: float = attrs.field(default=0.2, validator=_margin)
    input_scales: InputScales = attrs.field(default="one", validator=_one_of("one", "each"))
    thresholds: Thresholds = attrs.field(
        default="thermometer", validator=_one_of("thermometer", "bins", "uniform")
    )
    tail: Tail = attrs.field(default="client", validator=_one_of("client", "server"))
    nodes: Mapping[str, NodeConfig] = attrs.field(factory=dict, converter=_nodes)

    @rounding_bits.default
    def _default_rounding(self) -> int:
        bits = self.activation_bits
        return min(bits + 1, _MOST_BITS) if _is_bits(bits) else 5

    @classmethod
    def fast(cls, **options: Any) -> QuantConfig:
        """Return the preset of low cost: lookups of four bits behind approximate rounding.

        What does not cost anything is wide (inputs, weights, what lookups give); five bits of
        linear results are decrypted, and inputs that are hardly missed are not looked up.

        Parameters
        ----------
        options
            Fields to set otherwise.
        """
        free = {"input_bits": 6, "weight_bits": 6, "activation_bits": 6}
        cheap = {"rounding_bits": 4, "rounding": "approximate", "read_bits": 5, "prune": 0.003}
        return cls(**{**free, **cheap, **options})

    @classmethod
    def best(cls, **options: Any) -> QuantConfig:
        """Return the preset of high accuracy: lookups of six bits behind approximate rounding.

        Parameters
        ----------
        options
            Fields to set otherwise.
        """
        free = {"input_bits": 8, "weight_bits": 8, "activation_bits": 8, "read_bits": 8}
        return cls(**{**free, "rounding_bits": 6, "rounding": "approximate", **options})

    @classmethod
    def with_bits(cls, n_bits: int, **options: Any) -> QuantConfig:
        """Return a configuration with one bit width for inputs, weights and activations."""
        if not _is_bits(n_bits):
            raise ConfigError("n_bits", n_bits, f"a number of bits from 1 to {_MOST_BITS}")
        widths = {"input_bits": n_bits, "weight_bits": n_bits, "activation_bits": n_bits}
        return cls(**{**widths, **options})

    @property
    def reads(self) -> int | None:
        """Bits that linear results are rounded to, approximately, before they are decrypted."""
        return self.read_bits if self.rounding == "approximate" else None

    def of_node(self, name: str) -> NodeConfig:
        """Bit widths in force at a node."""
        own = self.nodes.get(name, NodeConfig())
        return NodeConfig(
            weight_bits=own.weight_bits or self.weight_bits,
            activation_bits=own.activation_bits or self.activation_bits,
            rounding_bits=own.rounding_bits or self.rounding_bits,
            rounding=own.rounding or self.rounding,
        )
