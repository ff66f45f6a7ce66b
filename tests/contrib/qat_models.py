"""Networks trained with quantization in mind, exported by the libraries that trained them."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings

import numpy as np
import onnx
import pytest


def onnxruntime_on(model, x):
    """Outputs of onnxruntime for one input, with its graph optimizations."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="compares with onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (given,) = (one.name for one in session.get_inputs())
    return session.run(None, {given: x})[0]


def quantized_by_onnxruntime(model, x, path, *, form, symmetric=False, **options):
    """A float model as `onnxruntime.quantization.quantize_static` makes it, of 8 bits."""
    pytest.importorskip("onnxruntime", reason="quantizes with onnxruntime")
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.batches = iter([{"x": x}])

        def get_next(self):
            return next(self.batches, None)

    onnx.save(model, path / "float.onnx")
    quantization.quantize_static(
        path / "float.onnx",
        path / "int8.onnx",
        Reader(),
        quant_format=getattr(quantization.QuantFormat, form),
        weight_type=quantization.QuantType.QInt8,
        extra_options={"ActivationSymmetric": symmetric},
        **options,
    )
    return onnx.load(path / "int8.onnx")


@contextlib.contextmanager
def quiet():
    """Nothing is said of what PyTorch and Brevitas are about to change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def torch_of(reason):
    """PyTorch with one thread and a fixed seed."""
    torch = pytest.importorskip("torch", reason=reason)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return torch


def torchscript(torch, module, x):
    """A module exported by the exporter that knows quantized operators."""
    content = io.BytesIO()
    with quiet():
        torch.onnx.export(
            module,
            (torch.as_tensor(x[:1]),),
            content,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    return onnx.load_from_string(content.getvalue())


def brevitas_of(reason):
    """Brevitas' layers, quantizers and exporters."""
    # Brevitas exports nothing without onnxoptimizer.
    for library in ("torch", "brevitas", "onnxoptimizer"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: {reason}")
    with quiet():
        import brevitas.export
        import brevitas.nn
        import brevitas.quant
        import brevitas.quant.binary
    return brevitas


def exported_by_brevitas(module, x, path, how):
    """A network as QONNX, or as standard operators (QCDQ)."""
    brevitas, torch = brevitas_of("exports with Brevitas"), torch_of("exports with Brevitas")
    by_name = {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
    dynamo = {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("n")},), "verbose": False}
    export, options = {
        "qonnx": (brevitas.export.export_qonnx, by_name),
        "qonnx-dynamo": (brevitas.export.export_qonnx, dynamo),
        "qcdq": (brevitas.export.export_onnx_qcdq, {"opset_version": 17, **by_name}),
    }[how]
    target = str(path / "exported.onnx")
    with quiet():
        export(module, args=torch.as_tensor(x[:2]), export_path=target, **options)
    return onnx.load(target)


def predicted(torch, module, x):
    """What a network itself gives."""
    with torch.no_grad(), quiet():
        y = module(torch.as_tensor(x))
    return np.asarray(y.value if hasattr(y, "value") else y)
