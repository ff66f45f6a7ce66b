"""Small PyTorch networks of many kinds, with random but fixed weights; imports PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)  # the networks are small, and tests run side by side


@attrs.frozen
class Architecture:
    """A network and what it takes.

    Parameters
    ----------
    build : callable
        Makes the network, `torch.nn` in its default initialization.
    shapes : mapping of str to tuple of int
        Shapes of one sample by input.
    vocabulary : int
        Size of it where inputs are integers; 0 if they are floats.
    """

    build: Callable[[], nn.Module]
    shapes: dict[str, tuple[int, ...]]
    vocabulary: int = 0

    def network(self) -> nn.Module:
        torch.manual_seed(7)
        network = self.build()
        for part in network.modules():  # untrained batch norms would do nothing
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.normal_(part.running_mean, 0, 0.2)
                nn.init.uniform_(part.running_var, 0.5, 1.5)
        return network.eval()

    def samples(self, count: int, seed: int = 1) -> tuple[np.ndarray, ...]:
        """Normal floats within three standard deviations, or integers of the vocabulary."""
        rng = np.random.default_rng(seed)
        shapes = [(count, *shape) for shape in self.shapes.values()]
        if self.vocabulary:
            return tuple(rng.integers(0, self.vocabulary, shape) for shape in shapes)
        return tuple(rng.normal(size=s).clip(-3, 3).astype(np.float32) for s in shapes)


def reference(network: nn.Module, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """What the network itself gives, always as a tuple."""
    with torch.no_grad():
        results = network(*map(torch.from_numpy, arrays))
    results = results if isinstance(results, tuple) else (results,)
    return tuple(result.numpy() for result in results)


def mlp(*activations: type[nn.Module]) -> nn.Module:
    hidden = [part for kind in activations for part in (nn.Linear(6, 6), kind())]
    return nn.Sequential(*hidden, nn.Linear(6, 3))


def cnn_1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(16, 3)
    )


def cnn_2d() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )


def batch_norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Dropout(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


def depthwise_separable() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 1),
        nn.ReLU6(),
        nn.Conv2d(4, 4, 3, groups=4, padding=1),
        nn.ReLU6(),
        nn.Conv2d(4, 3, 1),
        nn.Flatten(2),
    )


def dilated() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, dilation=1, padding="same"),
        nn.ELU(),
        nn.Conv1d(4, 4, 3, dilation=2, padding="same"),
        nn.ELU(),
        nn.ConstantPad1d((2, 0), 0.0),
        nn.Conv1d(4, 2, 3),
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.first, self.second = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, image):
        x = torch.relu(self.stem(image))
        y = self.second(torch.relu(self.norm(self.first(x))))
        return self.head(torch.relu(x + y).mean((2, 3)))


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a skip connection by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 3, 3, padding=1)
        self.inner = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.out = nn.Conv2d(6, 1, 1)

    def forward(self, image):
        skip = torch.relu(self.down(image))
        x = torch.relu(self.inner(nn.functional.max_pool2d(skip, 2)))
        return self.out(torch.cat([torch.relu(self.up(x)), skip], dim=1))


class SqueezeAndExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.gate = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 4), nn.Sigmoid())
        self.head = nn.Linear(4, 3)

    def forward(self, image):
        x = torch.relu(self.conv(image))
        gate = self.gate(x.mean((2, 3)))
        return self.head((x * gate[:, :, None, None]).flatten(2).mean(2))


class Recurrent(nn.Module):
    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.cell = cell(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, sequence):
        states, _ = self.cell(sequence)
        return self.head(states[:, -1])


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens):
        return self.head(self.encoder(self.embed(tokens)).mean(1))


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.body = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 2))

    def forward(self, ids):
        return self.body(self.embed(ids).flatten(1))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.out = nn.Linear(4, 5), nn.Linear(3, 5), nn.Linear(5, 2)

    def forward(self, left, right):
        return self.out(torch.tanh(self.left(left) + self.right(right)))


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 3)

    def forward(self, x):
        x = torch.relu(self.body(x))
        return self.first(x), torch.sigmoid(self.second(x))


class Norms(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.groups = nn.Conv1d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.mix, self.layer = nn.Linear(24, 6), nn.LayerNorm(6)
        self.out = nn.Linear(6, 3)

    def forward(self, series):
        x = torch.relu(self.groups(self.conv(series)))
        return self.out(torch.relu(self.layer(self.mix(x.flatten(1)))))


class Gated(nn.Module):
    """Chunks, a gate, and a learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 8)
        self.scale = nn.Parameter(torch.full((4,), 1.5))
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        value, gate = self.inner(x).chunk(2, dim=-1)
        return self.out(self.scale * value * torch.sigmoid(gate))


IMAGE = {"image": (1, 6, 6)}
SEQUENCE = {"sequence": (4, 3)}
ARCHITECTURES = {
    "mlp": Architecture(lambda: mlp(nn.ReLU, nn.ReLU), {"input": (6,)}),
    "smooth": Architecture(lambda: mlp(nn.GELU, nn.SiLU, nn.Mish), {"input": (6,)}),
    "bent": Architecture(lambda: mlp(nn.PReLU, nn.ELU, nn.Hardswish), {"input": (6,)}),
    "cnn-1d": Architecture(cnn_1d, {"input": (2, 8)}),
    "cnn-2d": Architecture(cnn_2d, {"input": (1, 6, 6)}),
    "batch-norms": Architecture(batch_norms, {"input": (1, 6, 6)}),
    "depthwise-separable": Architecture(depthwise_separable, {"input": (2, 4, 4)}),
    "dilated": Architecture(dilated, {"input": (2, 8)}),
    "residual": Architecture(Residual, IMAGE),
    "u-net": Architecture(UNet, {"image": (1, 4, 4)}),
    "squeeze-and-excite": Architecture(SqueezeAndExcite, IMAGE),
    "rnn": Architecture(lambda: Recurrent(nn.RNN), SEQUENCE),
    "gru": Architecture(lambda: Recurrent(nn.GRU), SEQUENCE),
    "lstm": Architecture(lambda: Recurrent(nn.LSTM), SEQUENCE),
    "transformer": Architecture(Transformer, {"tokens": (3, 3)}),
    "embedded": Architecture(Embedded, {"ids": (3,)}, vocabulary=7),
    "two-inputs": Architecture(TwoInputs, {"left": (4,), "right": (3,)}),
    "two-outputs": Architecture(TwoOutputs, {"x": (4,)}),
    "norms": Architecture(Norms, {"series": (2, 6)}),
    "gated": Architecture(Gated, {"x": (5,)}),
}
