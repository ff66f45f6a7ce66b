"""Train the demo's classifier on scikit-learn's handwritten digits and write it as ONNX.

Run from the repository with the `dev` extra installed:

    python docs/examples/digits/train.py

It writes `digits.onnx` (a 64-32-32-10 network ending in Softmax, for any batch size) and
`digits.npz` (calibration samples, test samples and their labels) beside this script.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
OPSET = 17


def to_onnx(network: MLPClassifier) -> onnx.ModelProto:
    """Write a fitted network as Gemm and Relu layers with a Softmax at the end."""
    nodes, initializers, tensor = [], [], "pixels"
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    for number, (weight, bias) in enumerate(layers, start=1):
        last = number == len(layers)
        initializers += [
            numpy_helper.from_array(weight.astype(np.float32), f"weight{number}"),
            numpy_helper.from_array(bias.astype(np.float32), f"bias{number}"),
        ]
        product = "logits" if last else f"product{number}"
        nodes.append(
            helper.make_node(
                "Gemm",
                [tensor, f"weight{number}", f"bias{number}"],
                [product],
                name=f"dense{number}",
            )
        )
        tensor = product
        if not last:
            tensor = f"active{number}"
            nodes.append(helper.make_node("Relu", [product], [tensor], name=f"relu{number}"))
    nodes.append(helper.make_node("Softmax", [tensor], ["probabilities"], name="softmax", axis=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="cml"
    )
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Train, write, and print the accuracy."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=450, random_state=0, stratify=y
    )
    network = MLPClassifier((32, 32), alpha=0.05, max_iter=400, random_state=0).fit(
        x_train, y_train
    )
    onnx.save(to_onnx(network), HERE / "digits.onnx")
    np.savez_compressed(
        HERE / "digits.npz", calibration=x_train[:300], test=x_test, labels=y_test.astype(np.int64)
    )
    print(f"accuracy on {len(y_test)} test samples: {network.score(x_test, y_test):.3f}")


if __name__ == "__main__":
    main()
