"""From a failure to its likely cause."""

import numpy as np
import pytest

from cml_core.errors import (
    AttributeValueError,
    BitWidthError,
    NodeError,
    QuantizationError,
    UnsupportedNode,
    UnsupportedNodesError,
)
from cml_core.plugin_api import CalibrationRecorder, sum_
from cml_core.testing.diagnosis import likely_cause
from cml_core.testing.failure import Difference, raised_at
from cml_core.testing.patterns import pattern_of

X = np.float32([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def raised(error, *, wrapped=NodeError):
    """What a leg raises when an operator raised."""
    try:
        try:
            raise error
        except Exception as cause:
            raise wrapped("node", "Odd", str(cause)) from cause
    except wrapped as node:
        return node


def called(function, *arguments, wrapped=NodeError, **keywords):
    with pytest.raises(Exception) as caught:
        function(*arguments, **keywords)
    return raised(caught.value, wrapped=wrapped)


def called_hook(function):
    error = called(function, np.zeros(2)).__cause__
    node = NodeError("node", "Odd", f"its calibration hook raised ValueError: {error}")
    node.__cause__ = error
    return node


def raised_exit():
    node = NodeError("node", "Odd", "SystemExit: 0")
    node.__cause__ = SystemExit(0)
    return node


def of_attributes(attributes):
    return attributes["beta"]


def of_notes(notes):
    return notes["most"]


def unsupported(reason, *, node="node"):
    return UnsupportedNodesError("the model", (UnsupportedNode(node, "test", "Odd", reason),))


def write(x):
    x.flags.writeable = False
    x += 1


DIFFERENCES = {
    "a dtype that is too wide": ("type", X.astype(np.float64), X, "it widens the numbers"),
    "a dtype that is too narrow": ("type", X.astype(np.float16), X, "it narrows the numbers"),
    "floats for integers": (
        "type",
        X,
        X.astype(np.int64),
        "a true division or a mean makes floats",
    ),
    "numbers for conditions": ("type", X, X > 0, "compare, or end with .astype(bool)"),
    "another integer": ("type", np.int32([1]), np.int64([1]), "end with .astype(np.int64)"),
    "an axis kept": ("type", X[:, :1], X[:, 0], "it keeps axes of length 1: look at keepdims"),
    "an axis dropped": ("type", X[0], X[:1], "it drops axes of length 1: look at keepdims"),
    "an axis elsewhere": ("type", X[:1], X[:1].T, "an axis of length 1 is at another place"),
    "axes swapped": ("type", X.T, X, "the axes are in another order"),
    "flattened": ("type", X.reshape(-1), X, "as many elements in another shape"),
    "emptied": ("type", X[:0], X, "an axis of length 0"),
    "another shape": ("type", X[:, :2], X, "other axes or lengths"),
    "a tensor for a sequence": ("type", "a tensor", "a sequence of 2", "is a tuple of arrays"),
    "times a constant": ("values", 2.5 * X, X, "every element is 2.5 times what is expected"),
    "off by a constant": ("values", X + 0.25, X, "every element is off by 0.25"),
    "another sign": ("values", -X, X, "the sign is the opposite"),
    "a reciprocal": ("values", 1 / X, X, "it is the reciprocal"),
    "another order": ("values", X[::-1], X, "the same elements come in another order"),
    "zeros": ("values", 0 * X, X, "every element is 0"),
    "the same everywhere": ("values", 0 * X + 7, X, "every element is the same"),
    "cut off": ("values", X.clip(-9, 2), X, "right up to 2 and cut off there"),
    "cut off below": ("values", X.clip(-1, 9), X, "right up to -1 and cut off there"),
    "not a number": (
        "values",
        np.where(X > 0, X, np.nan),
        X,
        "NaN or infinity comes where a number is expected",
    ),
    "a number too many": ("values", X, np.where(X > 0, X, np.inf), "must not be hidden"),
    "less accurate": ("values", X + 0.01 * X**2 / 9, X, "it is right to 4.4e-03"),
    "some elements": (
        "values",
        np.where(X == 3, 9, X),
        X,
        "1 of 6 elements differ, the first at [0, 2] is 9.0 in place of 3.0",
    ),
    "wrapped": ("values", np.int64([200 - 256, 3]), np.int64([200, 3]), "integers wrap around"),
    "rounded": ("values", np.int64([2, 3, 9]), np.int64([2, 4, 9]), "integers are off by one"),
    "text": (
        "values",
        np.array(["a", "b"]),
        np.array(["a", "c"]),
        "1 of 2 elements differ, the first at [1] is b in place of c",
    ),
    "an input": ("changed", None, None, "the function writes into an array that it was given"),
    "more lookups": ("lookups", 3, 0, "composing would be free"),
    "fewer lookups": ("lookups", 1, 3, "the example declares too many"),
    "more bits": ("bits", 9, 4, "lower the example's n_bits, round before the lookup"),
    "a wider circuit": ("circuit", 9, 8, "intervals are wrong"),
    "saved": ("saving", X, X, "more than what is saved"),
    "simulated": ("simulation", X, X, "leaves the interval"),
    "encrypted": ("encryption", X, X, "a lookup failed, which is rare"),
    "no reference": ("reference", None, None, "state the example's outputs"),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_differences(case):
    kind, got, expected, told = DIFFERENCES[case]
    assert told in likely_cause(Difference(kind, "output 0 is wrong", got, expected))


def within(got, *, error, n_bits=4, tolerance=0.1):
    step = 1 / (2**n_bits - 1)
    fields = {"found": error, "allowed": tolerance, "step": step}
    return likely_cause(Difference("tolerance", "", got, X, **fields))


def test_quantized_forms_that_are_off():
    assert within(1.5 * X, error=0.3).startswith("3.0 times the tolerance: every element is 1.5")
    assert "another order" in within(X[::-1], error=0.4)
    noise = np.float32([[0.5, -0.6, 0.2], [-0.4, 0.3, -0.5]])
    assert "within two steps of the example's grid" in within(X + noise, error=0.1, tolerance=0.05)
    assert "computes something else" in within(X**2, error=0.9)
    assert within(X + noise, error=0.1, tolerance=0.0).startswith("off, and within")


EXCEPTIONS = {
    "an attribute too many": (
        called(lambda x: x, 1, alpha=2),
        "the function does not take the attribute alpha",
    ),
    "an attribute too few": (
        called(lambda x, *, alpha: x, 1),
        "the node does not state alpha: set it in the example, or give it a default",
    ),
    "an input too few": (called(lambda x, bias: x, 1), "has no input bias: if it is optional"),
    "an input too many": (called(lambda x: x, 1, 2), "more inputs than the function has param"),
    "an attribute in the way": (
        called(lambda x, axis: x, 1, 2, axis=3),
        "axis is an attribute, given as a keyword, and stands where the function takes a tensor",
    ),
    "no tuple": (
        raised(TypeError("plugin 'odd' returned ndarray, not a tuple")),
        "it returns ndarray: a comma makes it a tuple, return (y,)",
    ),
    "too few outputs": (
        raised(ValueError("plugin 'odd' returned 1 outputs, and the node has 2")),
        "the tuple lacks outputs",
    ),
    "a constant": (called(write, np.zeros(2)), "or into a constant of the model"),
    "in place": (
        called(lambda x: np.add(x, 0.5, out=x), np.zeros(2, np.int64)),
        "compute into a new array",
    ),
    "None": (called(lambda x: x.shape, None), "an optional input or attribute is None"),
    "a note": (
        raised(KeyError("largest"), wrapped=QuantizationError),
        "nothing is kept under 'largest': of ctx.notes",
    ),
    "a hook": (NodeError("n", "Odd", "its calibration hook raised OSError: x"), "hook is wrong"),
    "later": (raised(NotImplementedError("soon")), "is not written yet"),
    "numpy on ciphertext": (
        raised(TypeError("ufunc 'add' did not contain a loop … EncryptedTensor")),
        "use those of cml_core.plugin_api, such as elementwise",
    ),
    "a wrong call of the API": (
        called(lambda: sum_(None, None, axis=-1)),
        "it is called as sum_(ctx, x, axes, *, keepdims)",
    ),
    "a name that a class of the API has not": (
        called(lambda: CalibrationRecorder("n").propose_gird()),
        "did you mean propose_grid? CalibrationRecorder has ",
    ),
    "shapes": (called(lambda: np.zeros(2) + np.zeros(3)), "shapes do not fit"),
    "matrices": (called(lambda: np.zeros((2, 3)) @ np.zeros((2, 3))), "shapes do not fit"),
    "an index": (called(lambda: np.zeros(2)[5]), "an axis or index lies outside"),
    "an axis": (called(lambda: np.zeros(2).sum(axis=3)), "an axis or index lies outside"),
    "a type": (called(lambda: (1).shape), "another type than the function takes it for"),
    "a warning": (RuntimeWarning("invalid value"), "a warning counts as a failure here"),
    "widths": (BitWidthError((), 16), "too wide for the compiler: lower its n_bits"),
    "refused": (QuantizationError("n", "Odd", "both encrypted"), "refuses this use"),
    "a body": (UnsupportedNodesError("the model", ()), "its body, or a graph of the example"),
    "refused by cml": (AttributeValueError("axis", 9, "less"), "cml refuses what the operator"),
    "a way out": (raised_exit(), "it calls sys.exit, or exit: an operator must not end"),
    "a hook that writes": (
        called_hook(write),
        "the hook writes into an array that it was given",
    ),
    "an attribute of its own code": (called(of_attributes, {}), "has no attribute 'beta'"),
    "a key of its own code": (called(lambda: {}["zz"]), "own code has nothing under 'zz'"),
    "a note that a hook lacks": (
        called(of_notes, {}),
        "nothing is kept under 'most': of ctx.notes",
    ),
    "a key that a quantized form lacks": (
        called(lambda: {}["zz"], wrapped=QuantizationError),
        "own code has nothing under 'zz'",
    ),
    "a misspelt attribute": (
        unsupported("test::Odd-1 has no attribute alhpa; it has alpha, beta"),
        "did you mean alpha? the example states an attribute that the operator does not have",
    ),
    "a missing attribute": (
        unsupported("test::Odd-1 needs the attribute alpha"),
        "the node does not state alpha: set it in the example",
    ),
    "a missing input": (
        unsupported("test::Odd-1 takes at least 2 inputs, and the node has 1"),
        "the example has fewer or more inputs than the operator takes",
    ),
    "an old opset": (
        unsupported("no plugin implements opset 2 of Odd; implemented are 3"),
        "the example's opset is older than every revision",
    ),
    "an operator of a body": (
        unsupported("no plugin implements opset 2 of Odd", node="node/Odd_0"),
        "its body, or a graph of the example",
    ),
    "a body of itself": (
        NodeError("n", "Odd", "its body uses Odd itself, and so is never written out"),
        "its body uses the operator that it is of",
    ),
    "anything": (raised(OSError("disk")), "the operator raised OSError on the example's own"),
}


@pytest.mark.parametrize("case", EXCEPTIONS)
def test_what_was_raised(case):
    error, told = EXCEPTIONS[case]
    assert told in likely_cause(error)


def test_equal_tensors_have_no_pattern():
    assert pattern_of(X, X) == "they differ by less than can be shown"
    assert pattern_of(X, X, partial=False) == ""


def test_where_something_was_raised():
    error = called(write, np.zeros(2))
    package = __name__.partition(".")[0]
    assert raised_at(error, package).startswith(f"{__file__}:")
    assert raised_at(error, package).endswith("in write")
    assert raised_at(error, "elsewhere") == ""
