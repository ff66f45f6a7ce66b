"""Sample inputs of a PyTorch module, matched with the parameters of its `forward`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from cml_core.errors import InputDtypeError, InputNameError, InputShapeError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["SampleInputs", "bind_samples", "unwrap"]


@attrs.frozen(slots=True)
class SampleInputs:
    """Sample inputs by the names of forward's parameters, the positional ones first.

    Parameters
    ----------
    names : tuple of str
        Forward's parameters, with a number behind them where one takes several inputs.
    tensors : tuple of torch.Tensor
        Their values.
    positional : int
        How many of them are positional arguments.
    """

    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    positional: int

    @property
    def args(self) -> tuple[Tensor, ...]:
        """The positional ones."""
        return self.tensors[: self.positional]

    @property
    def kwargs(self) -> dict[str, Tensor]:
        """Those that are given by name."""
        names, tensors = self.names[self.positional :], self.tensors[self.positional :]
        return dict(zip(names, tensors, strict=True))

    @property
    def count(self) -> int:
        """How many samples there are: the length of the first axis that there is."""
        return next((tensor.shape[0] for tensor in self.tensors if tensor.ndim), 1)

    @property
    def batched(self) -> list[bool]:
        """For each input, whether its first axis counts samples, as that of the first one does."""
        return [tensor.ndim > 0 and tensor.shape[0] == self.count for tensor in self.tensors]

    def with_batch(self, torch: Any, count: int) -> SampleInputs:
        """As many samples as asked for, repeated if there are fewer."""
        tensors = []
        for name, tensor, batched in zip(self.names, self.tensors, self.batched, strict=True):
            if batched and not len(tensor):
                raise InputShapeError(name, tuple(tensor.shape), "at least one sample")
            tensors.append(torch.cat([tensor] * count)[:count] if batched else tensor)
        return attrs.evolve(self, tensors=tuple(tensors))

    def parts(self, size: int) -> Iterator[SampleInputs]:
        """The samples in parts of so many, of which the last may have fewer."""
        pairs = list(zip(self.tensors, self.batched, strict=True))
        for start in range(0, self.count, size):
            tensors = (tensor[start : start + size] if many else tensor for tensor, many in pairs)
            yield attrs.evolve(self, tensors=tuple(tensors))

    def run(self, torch: Any, module: nn.Module) -> Any:
        """What the module makes of them."""
        with torch.no_grad():
            return module(*self.args, **self.kwargs)


def bind_samples(torch: Any, module: nn.Module, inputs: Any) -> SampleInputs:
    """Match sample inputs with forward's parameters; those that are None are left out.

    Parameters
    ----------
    torch : module
        PyTorch.
    module : torch.nn.Module
        What will be run on them.
    inputs : array, tensor, tuple of these, or mapping
        Positional, or by the names of forward's parameters.

    Raises
    ------
    InputNameError
        Inputs are missing, or forward does not know them.
    InputDtypeError
        An input is not an array of numbers.
    """
    signature = _signature(torch, module)
    by_name = dict(inputs) if isinstance(inputs, Mapping) else {}
    single = () if inputs is None else (inputs,)
    positional = () if by_name else inputs if isinstance(inputs, tuple) else single
    try:
        bound = signature.bind(*positional, **by_name)
    except TypeError:
        raise _misfit(signature, len(positional), tuple(by_name)) from None
    given = {name: value for name, value in bound.arguments.items() if value is not None}
    bound.arguments = given
    leaves: dict[str, Any] = {}
    for name, value in given.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            leaves |= {f"{name}_{place}": one for place, one in enumerate(value)}
        else:
            leaves |= value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
    if not leaves:
        raise _misfit(signature, 0, ())
    tensors = tuple(_tensor(torch, name, value) for name, value in leaves.items())
    return SampleInputs(tuple(leaves), tensors, len(bound.args))


def _signature(torch: Any, module: nn.Module) -> inspect.Signature:
    try:
        return inspect.signature(unwrap(torch, module).forward)
    except ValueError:  # a traced module has no names
        return inspect.signature(lambda *inputs: None)


def unwrap(torch: Any, module: nn.Module) -> nn.Module:
    """The module inside what `torch.compile` and the parallel wrappers make of it."""
    wrappers = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    if isinstance(module, wrappers):
        return unwrap(torch, module.module)
    return getattr(module, "_orig_mod", module)


def _misfit(signature: inspect.Signature, count: int, named: tuple[str, ...]) -> InputNameError:
    expected = tuple(signature.parameters)
    given = expected[:count] + named
    missing = tuple(
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty and name not in given
    )
    extra = tuple(f"positional argument {place + 1}" for place in range(len(expected), count))
    unknown = extra + tuple(name for name in named if name not in expected)
    return InputNameError(missing, unknown, expected)


def _tensor(torch: Any, name: str, value: Any) -> Tensor:
    """A tensor on the CPU; floats become float32."""
    try:
        is_tensor = isinstance(value, torch.Tensor)
        tensor = value.detach().cpu() if is_tensor else torch.tensor(np.asarray(value))
    except (TypeError, ValueError):
        raise InputDtypeError(name, type(value).__name__, "an array of numbers") from None
    return tensor.float() if tensor.is_floating_point() else tensor
