"""Models that onnxruntime's optimizer rewrites give the same as before, in float and quantized."""

# ruff: noqa: D103

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser
from sessions import DOMAIN, session

import cml_core as cml

LEVEL = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED

#: Models in ONNX's own notation; {opset} is filled in, and weights are made up.
CONVOLUTIONS = """
<ir_version: 8, opset_import: ["" : {opset}]>
network (float[batch, 1, 6, 6] x) => (float[batch, 3] y) {{
    a = Conv <pads = [1, 1, 1, 1]> (x, w0_2_1_3_3, b0_2)
    b = Relu (a)
    c = Conv <strides = [2, 2]> (b, w1_2_2_2_2, b1_2)
    d = LeakyRelu <alpha = 0.2> (c)
    e = Conv (d, w2_2_2_1_1)
    low = Constant <value = float {{-0.5}}> ()
    high = Constant <value = float {{0.8}}> ()
    f = Clip (e, low, high)
    g = Flatten (f)
    h = Gemm <transB = 1> (g, w3_4_18, b3_4)
    i = Tanh (h)
    y = Gemm (i, w4_4_3, b4_3)
}}
"""
#: The Erf that Gelu is made of stands between the feed-forward layers of a transformer.
FEED_FORWARD = """
<ir_version: 8, opset_import: ["" : {opset}]>
network (float[batch, 2, 6] x) => (float[batch, 2, 2] y) {{
    a = MatMul (x, w0_6_6)
    b = Add (a, b0_6)
    root = Constant <value = float {{1.4142135}}> ()
    half = Constant <value = float {{0.5}}> ()
    one = Constant <value = float {{1.0}}> ()
    two = Constant <value = float {{2.0}}> ()
    c = Div (b, root)
    d = Erf (c)
    e = Add (d, one)
    f = Mul (b, e)
    g = Mul (f, half)
    h = MatMul (g, w1_6_6)
    i = Add (h, b1_6)
    j = Add (i, x)
    mean = ReduceMean {last} (j {axes})
    k = Sub (j, mean)
    square = Pow (k, two)
    variance = ReduceMean {last} (square {axes})
    small = Constant <value = float {{0.00001}}> ()
    safe = Add (variance, small)
    deviation = Sqrt (safe)
    l = Div (k, deviation)
    m = Mul (l, b2_6)
    n = Add (m, b3_6)
    slope = Constant <value = float {{1.702}}> ()
    o = MatMul (n, w4_6_6)
    p = Mul (o, slope)
    q = Sigmoid (p)
    r = Mul (o, q)
    s = Transpose <perm = [0, 2, 1]> (n)
    t = MatMul (r, s)
    quarter = Constant <value = float {{0.25}}> ()
    y = Mul (t, quarter)
}}
"""


#: A layer of BERT up to its feed-forward part; its mask is where the padding is.
ATTENTION = """
<ir_version: 8, opset_import: ["" : {opset}]>
network (float[batch, 3, 8] x, int64[batch, 3] mask) => (float[batch, 3, 8] y) {{
    x0 = LayerNormalization (x, w9_8, b9_8)
    q0 = MatMul (x0, w0_8_8)
    q1 = Add (q0, b0_8)
    k0 = MatMul (x0, w1_8_8)
    k1 = Add (k0, b1_8)
    v0 = MatMul (x0, w2_8_8)
    v1 = Add (v0, b2_8)
    heads = Constant <value = int64[4] {{0, 0, 2, 4}}> ()
    q2 = Reshape (q1, heads)
    q = Transpose <perm = [0, 2, 1, 3]> (q2)
    k2 = Reshape (k1, heads)
    k = Transpose <perm = [0, 2, 3, 1]> (k2)
    v2 = Reshape (v1, heads)
    v = Transpose <perm = [0, 2, 1, 3]> (v2)
    a = MatMul (q, k)
    two = Constant <value = float {{2.0}}> ()
    b = Div (a, two)
    first = Constant <value = int64[1] {{1}}> ()
    second = Constant <value = int64[1] {{2}}> ()
    one = Constant <value = float {{1.0}}> ()
    low = Constant <value = float {{-10000.0}}> ()
    m0 = Unsqueeze (mask, first)
    m1 = Unsqueeze (m0, second)
    m2 = Cast <to = 1> (m1)
    m3 = Sub (one, m2)
    m4 = Mul (m3, low)
    c = Add (b, m4)
    d = Softmax <axis = -1> (c)
    e = MatMul (d, v)
    f = Transpose <perm = [0, 2, 1, 3]> (e)
    together = Constant <value = int64[3] {{0, 0, 8}}> ()
    g = Reshape (f, together)
    h = MatMul (g, w3_8_8)
    i = Add (h, b3_8)
    j = Add (i, x0)
    y = LayerNormalization (j, w4_8, b4_8)
}}
"""

NETWORKS = {
    "attention": ATTENTION,
    "convolutions": CONVOLUTIONS,
    "feed forward": FEED_FORWARD,
}
FUSED = {
    "convolutions": ["FusedConv", "FusedConv", "FusedConv", "FusedGemm"],
    "feed forward": ["BiasGelu", "FusedMatMul", "QuickGelu", "SkipLayerNormalization"],
}


def network(name, opset, rng):
    """Return a model of one of the networks."""
    old = opset < 18
    axes = {"last": "<axes = [-1]>" if old else "", "axes": "" if old else ", axes"}
    return filled(NETWORKS[name].format(opset=opset, **axes), rng)


def filled(text, rng):
    """Return a model; what no node gives is a weight, of the shape that its name ends with."""
    model = parser.parse_model(text)
    known = {given.name for given in model.graph.input}
    known |= {given for node in model.graph.node for given in node.output}
    for weight in sorted({taken for node in model.graph.node for taken in node.input} - known):
        shape = [int(size) for size in weight.split("_")[1:]]
        value = rng.normal(scale=np.prod(shape[1:]) ** -0.5, size=shape).astype(np.float32)
        value = np.int64([-1]) if weight == "axes" else value
        model.graph.initializer.append(numpy_helper.from_array(value, weight))
    onnx.checker.check_model(model)
    return model


def inputs(model, rng):
    """Return a batch for a model."""
    _, *shape = (size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim)
    return rng.normal(size=(40, *shape)).astype(np.float32)


def optimized(model, folder, **options):
    """Return what onnxruntime makes of a model, and which operators of its own are in it."""
    path = folder / "optimized.onnx"
    session(model, graph_optimization_level=LEVEL, optimized_model_filepath=str(path), **options)
    made = onnx.load(path)
    return made, sorted(node.op_type for node in made.graph.node if node.domain == DOMAIN)


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("name", FUSED)
def test_an_optimized_model_gives_the_same(name, opset, tmp_path):
    rng = np.random.default_rng(0)
    model = network(name, opset, rng)
    x = inputs(model, rng)
    made, own = optimized(model, tmp_path)
    assert own == FUSED[name]
    (expected,) = session(model).run(None, {"x": x})
    np.testing.assert_allclose(cml.NumpyModule.from_onnx(made)(x), expected, rtol=1e-4, atol=1e-5)


def test_the_approximate_gelu_gives_nearly_the_same(tmp_path):
    rng = np.random.default_rng(0)
    model = network("feed forward", 17, rng)
    x = inputs(model, rng)
    made, own = optimized(model, tmp_path, approximate_gelu=True)
    assert "FastGelu" in own
    (expected,) = session(model).run(None, {"x": x})
    np.testing.assert_allclose(cml.NumpyModule.from_onnx(made)(x), expected, atol=2e-3)


# With opset 13 the bodies write what LayerNormalization is made of.
@pytest.mark.parametrize(
    ("name", "opset"), [("convolutions", 17), ("feed forward", 13), ("feed forward", 17)]
)
def test_an_optimized_model_is_quantized_as_well(name, opset, tmp_path):
    rng = np.random.default_rng(0)
    model = network(name, opset, rng)
    x = inputs(model, rng)
    made, _ = optimized(model, tmp_path)
    (expected,) = session(model).run(None, {"x": x})
    before, after = (
        cml.quantize(cml.NumpyModule.from_onnx(one), x, n_bits=6) for one in (model, made)
    )
    assert np.std(after(x) - expected) < 0.15 * np.std(expected)
    assert after.report().lookups <= before.report().lookups
    if name == "convolutions":
        np.testing.assert_allclose(after(x), before(x), rtol=1e-5, atol=1e-6)


def test_attention_is_quantized_as_well(tmp_path):
    tool = pytest.importorskip("onnxruntime.transformers.optimizer", reason="it is not there")
    rng = np.random.default_rng(0)
    model = network("attention", 17, rng)
    path = str(tmp_path / "attention.onnx")
    onnx.save(model, path)
    optimizer = tool.optimize_model(path, "bert", num_heads=2, hidden_size=8, opt_level=0)
    optimizer.save_model_to_file(path)
    made = onnx.load(path)
    own = [node.op_type for node in made.graph.node if node.domain == DOMAIN]
    assert own == ["Attention", "SkipLayerNormalization"]
    ends = rng.integers(1, 4, size=(40, 1))
    feeds = {
        "x": rng.normal(size=(40, 3, 8)).astype(np.float32),
        "mask": (np.arange(3) < ends).astype(np.int64),
    }
    (expected,) = session(model).run(None, feeds)
    module = cml.NumpyModule.from_onnx(made)
    np.testing.assert_allclose(module.run(feeds)["y"], expected, rtol=1e-4, atol=1e-5)
    quantized = cml.quantize(module, feeds, n_bits=6)
    assert np.std(quantized.run(feeds)["y"] - expected) < 0.1 * np.std(expected)


def test_weights_of_four_bits(tmp_path):
    tool = pytest.importorskip(
        "onnxruntime.quantization.matmul_nbits_quantizer", reason="it or onnx-ir is not there"
    )
    rng = np.random.default_rng(0)
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    network (float[batch, 40] x) => (float[batch, 5] y) { y = MatMul (x, w_40_5) }
    """
    quantizer = tool.MatMulNBitsQuantizer(filled(text, rng), block_size=16, is_symmetric=False)
    quantizer.process()
    made = quantizer.model.model
    assert [node.op_type for node in made.graph.node] == ["MatMulNBits"]
    x = rng.normal(size=(40, 40)).astype(np.float32)
    (expected,) = session(made).run(None, {"x": x})
    module = cml.NumpyModule.from_onnx(made)
    np.testing.assert_allclose(module(x), expected, rtol=1e-4, atol=1e-5)
    quantized = cml.quantize(module, x, n_bits=6)
    assert np.std(quantized(x) - expected) < 0.1 * np.std(expected)
    assert quantized.report().lookups == 0
