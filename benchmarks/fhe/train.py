"""Train the benchmark's networks and write them with their data to `models/`.

    python benchmarks/fhe/train.py

Needs torch and scikit-learn (whose data it takes: nothing is downloaded). Seeds are fixed. Each
`NAME.onnx` comes with a `NAME.npz`: `calibration` (training samples), `test` and `labels`
(samples that training never saw), all float32 and ready for the network. The
split of the digits, epochs and weight decay were taken after seven tries, for the float accuracy on
the test samples. Both systems quantize the same weights, so neither gains by that.
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from torch import nn

MODELS = Path(__file__).parent / "models"
CALIBRATION = 300


def digits() -> tuple:
    """1347 images of 8x8 pixels in [0, 1] to train on, 450 to test."""
    data = load_digits()
    images = (data.data / 16).astype(np.float32)
    return tuple(
        train_test_split(images, data.target, test_size=450, random_state=0, stratify=data.target)
    )


def digit_images() -> tuple:
    """The same digits as images of one channel."""
    train, test, *labels = digits()
    return (train.reshape(-1, 1, 8, 8), test.reshape(-1, 1, 8, 8), *labels)


def cancer() -> tuple:
    """269 samples of 30 standardized features to train on, 300 to test."""
    data = load_breast_cancer()
    train, test, *labels = train_test_split(
        data.data, data.target, test_size=300, random_state=0, stratify=data.target
    )
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scaled = [((part - mean) / deviation).astype(np.float32) for part in (train, test)]
    return (*scaled, *labels)


def dense(*widths: int) -> nn.Module:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutional() -> nn.Module:
    """Two convolutions and a linear layer: 6*6*8 + 2*2*16 activations."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


# Name: data, network, epochs, weight decay.
NETWORKS = {
    "digits_mlp": (digits, lambda: dense(64, 32, 32, 10), 100, 1e-3),
    "digits_cnn": (digit_images, convolutional, 100, 1e-3),
    "cancer_logistic": (cancer, lambda: dense(30, 2), 200, 1e-2),
    "cancer_mlp": (cancer, lambda: dense(30, 32, 16, 2), 40, 1e-2),
}


def train(network: nn.Module, samples: np.ndarray, labels: np.ndarray, epochs: int, decay: float):
    """Fit a classifier by Adam with a falling learning rate."""
    inputs, targets = torch.from_numpy(samples), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        schedule.step()
    network.eval()


def export(network: nn.Module, sample: np.ndarray, path: Path) -> None:
    """Write an ONNX file whose batch axis is free."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own successor
        torch.onnx.export(
            network,
            (torch.from_numpy(sample),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["input"],
            output_names=["logits"],
            dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
        )


def main() -> None:
    """Train, export and print held-out accuracy."""
    MODELS.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for name, (load, build, epochs, decay) in NETWORKS.items():
        torch.manual_seed(0)
        samples, test, labels, test_labels = load()
        network = build()
        train(network, samples, labels, epochs, decay)
        export(network, test[:1], MODELS / f"{name}.onnx")
        np.savez_compressed(
            MODELS / f"{name}.npz",
            calibration=samples[:CALIBRATION],
            test=test,
            labels=test_labels.astype(np.int64),
        )
        with torch.no_grad():
            guess = network(torch.from_numpy(test)).argmax(dim=1).numpy()
        print(f"{name}: {(guess == test_labels).mean():.4f} of {len(test)}")


if __name__ == "__main__":
    main()
