"""Trial: one example on its way along the legs; what an earlier leg made, a later one uses."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import onnx

from cml_core.errors import ConfigError
from cml_core.fhe.backend import FheOptions
from cml_core.fhe.circuit import FheCircuit
from cml_core.numpy_module import NumpyModule
from cml_core.ops.example import OpExample
from cml_core.ops.plugin import OpPlugin
from cml_core.plugins.discovery import LoadedPlugin
from cml_core.plugins.registry import OpRegistry, default_registry
from cml_core.quantization.config import QuantConfig
from cml_core.quantization.module import QuantizedModule, quantize
from cml_core.testing.failure import Difference
from cml_core.testing.models import example_model, input_name

__all__ = ["Trial", "untouched"]


@attrs.define(slots=True, eq=False)
class Trial:
    """One example of a plugin, quantized and compiled once, when a leg first needs it.

    Parameters
    ----------
    plugin : OpPlugin
        What is checked.
    example : OpExample
        One of its examples.
    others : tuple of LoadedPlugin
        Those of the same package, which need not be installed.
    registry : OpRegistry
        By default one that holds this plugin, alone unless it is written with others or the
        example has a graph.
    options : FheOptions
        For the circuit.
    """

    plugin: OpPlugin
    example: OpExample
    others: tuple[LoadedPlugin, ...] = attrs.field(default=(), kw_only=True)
    registry: OpRegistry = attrs.field()
    options: FheOptions = attrs.field(factory=FheOptions)
    failed: str = attrs.field(default="", init=False)
    """The leg that failed, after which no other is walked."""
    _quantized: QuantizedModule | None = attrs.field(default=None, init=False)
    _circuit: FheCircuit | None = attrs.field(default=None, init=False)

    @registry.default
    def _alone(self) -> OpRegistry:
        alone = attrs.evolve(self.plugin, overrides=None)
        plugins = [LoadedPlugin(f"{self.plugin.schema.op_type} under test", provides=alone)]
        attributes = self.example.attributes.values()
        graphs = any(isinstance(value, onnx.GraphProto) for value in attributes)
        if self.plugin.body is not None or graphs:
            mine = set(self.plugin.schema.keys)
            known = {p.name: p for p in (*default_registry().plugins, *self.others)}
            plugins += [
                other
                for other in known.values()
                if other.status == "loaded" and not mine.intersection(other.provides.schema.keys)
            ]
        return OpRegistry.from_plugins(plugins, strict=False)

    @property
    def label(self) -> str:
        """The example's name, or its place among the plugin's examples."""
        if self.example.name:
            return self.example.name
        places = (k for k, other in enumerate(self.plugin.examples) if other is self.example)
        return f"example {next(places, 0)}"

    def module(self, clear: Iterable[int] | None = None) -> NumpyModule:
        """The example as a float model of one node; see `example_model`."""
        model = example_model(self.plugin, self.example, clear)
        return NumpyModule.from_onnx(model, registry=self.registry)

    def feeds(self, places: Iterable[int] | None = None) -> dict[str, Any]:
        """Copies of the inputs at some positions, by default of those that are encrypted."""
        wanted = self.example.encrypted if places is None else places
        if places is None and wanted and not self.example.inputs:
            raise ConfigError("encrypted", wanted, "() in an example without inputs")
        arrays = {place: self.example.inputs[place] for place in wanted}
        given = {input_name(k): array for k, array in arrays.items() if array is not None}
        return copy.deepcopy(given)

    def quantized(self) -> QuantizedModule:
        """The example quantized, its own inputs being the calibration data."""
        if self._quantized is None:
            config = QuantConfig.with_bits(self.example.n_bits, tail="server", margin=0.0)
            feeds = self.feeds()
            with untouched(feeds, "quantization", "calibration data"):
                self._quantized = quantize(self.module(), feeds, config)
        return self._quantized

    @property
    def is_encrypted(self) -> bool:
        """Whether a circuit would have anything to compute."""
        return bool(self.quantized().program.outputs)

    def circuit(self) -> FheCircuit:
        """The example compiled."""
        if self._circuit is None:
            self._circuit = self.quantized().compile(self.options)
        return self._circuit


@contextlib.contextmanager
def untouched(
    feeds: Mapping[str, Any],
    who: str,
    what: str = "input",
    again: Callable[[Mapping[str, Any]], object] | None = None,
) -> Iterator[None]:
    """Make sure that arrays are afterwards what they were before.

    Parameters
    ----------
    feeds : mapping
        The arrays.
    who, what : str
        Who is watched, and what the arrays are to it, for the error.
    again : callable, optional
        Does the same once more, with arrays that cannot be written: that shows where it happens.

    Raises
    ------
    Difference
        One has changed.
    """
    before = copy.deepcopy(dict(feeds))
    yield
    for name, value in before.items():
        pairs = zip(_arrays(feeds[name]), _arrays(value), strict=True)
        if not all(np.array_equal(a, b, equal_nan=b.dtype.kind in "fc") for a, b in pairs):
            fault = Difference("changed", f"{who} changed its {what} {name}")
            raise fault from (None if again is None else _refusal(again, before))


def _refusal(again: Callable[[Mapping[str, Any]], object], feeds: Mapping[str, Any]) -> Any:
    """What is raised where read-only arrays are written to; None if nothing is."""
    for value in feeds.values():
        for array in _arrays(value):
            array.flags.writeable = False
    try:
        again(feeds)
    except (Exception, SystemExit) as error:
        return error
    return None


def _arrays(value: Any) -> tuple[np.ndarray, ...]:
    return value if isinstance(value, tuple) else (value,)
