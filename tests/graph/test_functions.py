"""Functions of a model: defaults of their attributes."""

import numpy as np
import onnx
import pytest

import cml_core as cml

DIRECT = """<ir_version: 9, opset_import: ["":17, "my":1]>
g (float[3] x) => (float[3] y, float[3] z) { y = my.f(x) z = my.f <alpha = 3.0>(x) }
<domain: "my", opset_import: ["":17]>
f <alpha: float = 0.5>(a) => (b) { b = LeakyRelu <alpha: float = @alpha>(a) }"""

NESTED = """<ir_version: 9, opset_import: ["":17, "my":1]>
g (float[3] x) => (float[3] y, float[3] z) { y = my.h(x) z = my.h <beta = 2.0>(x) }
<domain: "my", opset_import: ["":17, "my":1]>
h <beta: float = 4.0>(a) => (b) { c = my.f <alpha: float = @beta>(a) b = my.f(c) }
<domain: "my", opset_import: ["":17]>
f <alpha: float = 0.5>(a) => (b) { c = Constant <value_float: float = @alpha>() b = Mul(a, c) }"""

IN_A_BRANCH = """<ir_version: 9, opset_import: ["":17, "my":1]>
g (float[3] x, bool c) => (float[3] y) {
  y = If (c) <
    then_branch = t () => (float[3] a) { a = my.f(x) },
    else_branch = e () => (float[3] b) { b = my.f <alpha = 3.0>(x) }
  >
}
<domain: "my", opset_import: ["":17]>
f <alpha: float = 0.5>(a) => (b) { b = LeakyRelu <alpha: float = @alpha>(a) }"""

X = np.float32([-2, -1, 1])


@pytest.mark.parametrize(
    ("text", "feeds", "wanted"),
    [
        (DIRECT, {}, {"y": [-1, -0.5, 1], "z": [-6, -3, 1]}),
        (NESTED, {}, {"y": [-4, -2, 2], "z": [-2, -1, 1]}),
        (IN_A_BRANCH, {"c": np.array(True)}, {"y": [-1, -0.5, 1]}),
        (IN_A_BRANCH, {"c": np.array(False)}, {"y": [-6, -3, 1]}),
    ],
)
def test_attributes_that_a_call_leaves_out_have_the_functions_default(text, feeds, wanted):
    model = onnx.parser.parse_model(text)
    before = model.SerializeToString(deterministic=True)
    results = cml.NumpyModule.from_onnx(model).run({"x": X, **feeds})
    for name, value in wanted.items():
        np.testing.assert_array_equal(results[name], np.float32(value))
    assert model.SerializeToString(deterministic=True) == before


FROM_AN_OLDER_OPSET = """<ir_version: 10, opset_import: ["": 22, "l": 1]>
g (float[N] x) => (float[M] y) { keep = l.mask (x) y = l.pick (x, keep) }
<domain: "l", opset_import: ["": 21]>
mask (x) => (keep) { zero = Constant <value = float {0.0}> () keep = Greater (x, zero) }
<domain: "l", opset_import: ["": 21]>
inner (x, keep) => (y) { y = Compress <axis = 0> (x, keep) }
<domain: "l", opset_import: ["": 21, "l": 1]>
pick (x, keep) => (y) {
  n = Size (x)
  one = Constant <value = int64 {1}> ()
  many = Greater (n, one)
  y = If (many) <
    then_branch = a () => (r) { r = l.inner (x, keep) },
    else_branch = b () => (s) { s = Identity (x) }
  >
}"""


@pytest.mark.parametrize(("x", "wanted"), [([1, -1, 2], [1, 2]), ([-3], [-3])])
def test_functions_of_another_opset_need_no_conversion_where_their_operators_are_the_same(
    x, wanted
):
    """Types within a function's branches cannot be inferred, so ONNX cannot convert it."""
    model = onnx.parser.parse_model(FROM_AN_OLDER_OPSET)
    y = cml.NumpyModule.from_onnx(model)(np.float32(x))
    np.testing.assert_array_equal(y, np.float32(wanted))
