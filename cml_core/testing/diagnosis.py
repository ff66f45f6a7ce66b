"""From a failure of the conformance kit to its likely cause."""

from __future__ import annotations

import difflib
import inspect
import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cml_core.errors import (
    BitWidthError,
    CmlError,
    NodeError,
    QuantizationError,
    UnsupportedNodesError,
)
from cml_core.testing.failure import Difference
from cml_core.testing.models import NODE_NAME
from cml_core.testing.patterns import pattern_of

__all__ = ["likely_cause"]

_CORE = Path(__file__).parents[1]


def likely_cause(error: BaseException) -> str:
    """Say in a sentence what is most likely wrong, for whoever wrote the operator.

    Parameters
    ----------
    error : exception
        What a leg raised.
    """
    if isinstance(error, Difference):
        return _SUSPECTS.get(error.suspect) or _DIFFERENCES[error.kind](error)
    root = _root(error)
    text = str(root)
    if isinstance(root, UnsupportedNodesError):
        return _unsupported(root)
    if isinstance(root, KeyError):
        return _missing_key(root, error)
    if "calibration hook raised" in str(error) and "read-only" in text:
        return "the hook writes into an array that it was given: compute into a new one"
    misused = _misused(root)
    if misused:
        return misused
    for pattern, cause in _RAISED.items():
        found = re.search(pattern, f"{type(root).__name__}: {text}", re.DOTALL)
        if found:
            return found.expand(cause)
    if isinstance(root, Warning):
        return "a warning counts as a failure here: avoid what it is about, or silence it there"
    if isinstance(root, BitWidthError):
        return "the example is too wide for the compiler: lower its n_bits, or requantize earlier"
    if isinstance(root, QuantizationError):
        return (
            "the quantized form refuses this use: if it must, say so in restrictions and let the "
            "example encrypt other inputs"
        )
    if isinstance(root, CmlError):
        return "cml refuses what the operator asks for, for the reason given"
    return f"the operator raised {type(root).__name__} on the example's own inputs"


def _root(error: BaseException) -> BaseException:
    """What an operator raised itself, below the errors that name the node."""
    while isinstance(error, (NodeError, QuantizationError)) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _misused(error: BaseException) -> str:
    """What is wrong with a call of the plugin API, or with a name of one of its classes."""
    from cml_core import plugin_api

    api = {name: getattr(plugin_api, name) for name in plugin_api.__all__}
    unknown = re.search(r"'(\w+)' object has no attribute '(\w+)'", str(error))
    if unknown and isinstance(api.get(unknown[1]), type):
        names = [name for name in dir(api[unknown[1]]) if not name.startswith("_")]
        close = difflib.get_close_matches(unknown[2], names, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        return f"{meant}{unknown[1]} has {', '.join(names)}"
    called = re.match(r"(?:[\w.]+\.)?(\w+)\(\) (?:got|missing|takes) ", str(error))
    if not called or not isinstance(error, TypeError) or not inspect.isfunction(api.get(called[1])):
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or Path(frames[-1].filename).is_relative_to(_CORE):
        return ""  # It is the operator's own function, called by cml.
    signature = inspect.signature(api[called[1]])
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return f"it is called as {called[1]}{inspect.Signature(plain)}"


def _unsupported(error: UnsupportedNodesError) -> str:
    """Why a node has no plugin, or is none that its plugin takes."""
    inside = "its body, or a graph of the example, has operators that no plugin provides"
    for node in error.nodes:
        unknown = re.search(r"has no attribute ([\w, ]+)(?:; it has ([\w, ]+))?", node.reason)
        if unknown:
            names = (unknown[2] or "").split(", ")
            close = difflib.get_close_matches(unknown[1].split(", ")[0], names, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            whose = "the example" if node.node == NODE_NAME else "a node"
            return f"{meant}{whose} states an attribute that the operator does not have"
        lacking = re.search(r"needs the attribute ([\w, ]+)", node.reason)
        if lacking:
            return (
                f"the node does not state {lacking[1]}: set it in the example, or give it a "
                "default in OpSchema(attribute_defaults=…)"
            )
        if node.node != NODE_NAME:
            continue
        if re.search(r"takes at (least|most) \d+ input", node.reason):
            return (
                "the example has fewer or more inputs than the operator takes: if one is optional, "
                "give its parameter the default None"
            )
        if "no plugin implements opset" in node.reason:
            return "the example's opset is older than every revision in since_versions"
    return inside


def _missing_key(root: KeyError, error: BaseException) -> str:
    """What a dictionary lacks: the notes of calibration, the attributes, or the operator's own."""
    frames = traceback.extract_tb(root.__traceback__)
    line, key = (frames[-1].line or "" if frames else ""), repr(root.args[0]) if root.args else ""
    quantized = isinstance(error, QuantizationError)
    if re.search(r"\bnotes\b", line) or (quantized and "[" not in line):
        return (
            f"nothing is kept under {key}: of ctx.notes, only what the calibration hook left there"
        )
    if re.search(r"\battributes\b", line):
        return (
            f"the operator has no attribute {key}: those of its schema are there, and those of "
            "OpSchema(attribute_defaults=…)"
        )
    return f"a dictionary of the operator's own code has nothing under {key}"


#: Causes by what the name and text of an exception contain, the most special first.
_RAISED: Mapping[str, str] = {
    r"unexpected keyword argument '(\w+)'": (
        r"the function does not take the attribute \1: add it as a keyword, or take **attributes"
    ),
    r"missing \d+ required keyword-only argument\S*: '(\w+)'": (
        r"the node does not state \1: set it in the example, or give it a default in "
        r"OpSchema(attribute_defaults=…)"
    ),
    r"missing \d+ required positional argument\S*: '(\w+)'": (
        r"the node has no input \1: if it is optional, give the parameter the default None"
    ),
    r"takes .*positional argument.* were given": (
        "the node has more inputs than the function has parameters"
    ),
    r"got multiple values for argument '(\w+)'": (
        r"\1 is an attribute, given as a keyword, and stands where the function takes a tensor: "
        r"make it keyword-only, after *"
    ),
    r"returned (\w+), not a tuple": r"it returns \1: a comma makes it a tuple, return (y,)",
    r"returned \d+ outputs, and the node has \d+": (
        "the tuple lacks outputs, or the example's n_outputs is too large"
    ),
    r"SystemExit": (
        "it calls sys.exit, or exit: an operator must not end the program that it is part of; "
        "raise an error, such as ValueError, that says what is wrong"
    ),
    r"itself.*, and so is never written out": (
        "its body uses the operator that it is of: write it with others, that do not come back "
        "to it, or give the operator a quantized form"
    ),
    r"read-only": (
        "it writes into an array that it was given, or into a constant of the model: compute into "
        "an array of its own, y = x + 1 in place of x += 1"
    ),
    r"Cannot cast ufunc": (
        "an operation in place, such as x += 0.5, on integers: compute into a new array"
    ),
    r"'NoneType'": "an optional input or attribute is None where it is left out",
    r"calibration hook raised": "the calibration hook is wrong for these inputs",
    r"NotImplementedError": "what the example needs is not written yet",
    r"EncryptedTensor": (
        "a function of NumPy was given an encrypted tensor: use those of cml_core.plugin_api, "
        "such as elementwise, matmul or move"
    ),
    r"could not be broadcast|operands could not|shapes? .* not aligned|mismatch in its core": (
        "shapes do not fit: an axis is missing, or of another length than the operator assumes"
    ),
    r"IndexError|AxisError": "an axis or index lies outside of the tensor's shape",
    r"AttributeError: .*has no attribute": (
        "a value is of another type than the function takes it for"
    ),
}


def _type(error: Difference) -> str:
    got, want = error.got, error.expected
    if not isinstance(got, np.ndarray) or not isinstance(want, np.ndarray):
        return "an output that is a sequence is a tuple of arrays; any other is one array"
    if got.shape == want.shape:
        return _dtype(got.dtype, want.dtype)
    if got.size == 0 or want.size == 0:
        return "one of them is empty: an axis of length 0 is handled differently"
    squeezed = tuple(n for n in got.shape if n != 1), tuple(n for n in want.shape if n != 1)
    if squeezed[0] == squeezed[1]:
        more = "keeps" if got.ndim > want.ndim else "drops"
        if got.ndim != want.ndim:
            return f"it {more} axes of length 1: look at keepdims, and at squeezing and scalars"
        return "an axis of length 1 is at another place"
    if sorted(got.shape) == sorted(want.shape):
        return "the axes are in another order: a transposition is missing or one too many"
    if got.size == want.size:
        return "there are as many elements in another shape: look at the axis it flattens from"
    return "the shape follows from other axes or lengths than the operator's"


def _dtype(got: np.dtype, want: np.dtype) -> str:
    if (got.kind, want.kind) == ("f", "f"):
        verb = "widens" if got.itemsize > want.itemsize else "narrows"
        return (
            f"it {verb} the numbers: a float64 constant, np.mean of integers and the like do; "
            "give constants the input's dtype, or end with .astype(x.dtype)"
        )
    if want.kind == "b":
        return "a condition is True or False: compare, or end with .astype(bool)"
    if got.kind == "f":
        return "a true division or a mean makes floats of integers: end with .astype"
    return f"end with .astype(np.{want})"


def _values(error: Difference) -> str:
    return pattern_of(error.got, error.expected)


def _tolerance(error: Difference) -> str:
    found = pattern_of(error.got, error.expected, slack=min(0.5, 1.5 * error.step), partial=False)
    times = f"{error.found / error.allowed:.1f} times the tolerance" if error.allowed else "off"
    if found:
        return f"{times}: {found}"
    if error.found <= 2 * error.step:
        return (
            f"{times}, and within two steps of the example's grid: raise its n_bits, or its "
            "tolerance"
        )
    return (
        f"{times}: the quantized form computes something else, or its values leave the range "
        "that calibration saw"
    )


def _lookups(error: Difference) -> str:
    if error.got < error.expected:
        return "the example declares too many: the form is better than it says"
    return (
        "the form looks up where composing would be free (an elementwise function of one register "
        "costs nothing, requantize and lookup cost one for each element), or the number is wrong"
    )


def _circuit(error: Difference) -> str:
    return "the form emits instructions whose intervals are wrong, or the compiler widens them"


#: Causes that a leg has found out itself.
_SUSPECTS: Mapping[str, str] = {
    "prepare": (
        "what prepare returns differs from the float reference, which is right by itself: it must "
        "give the same results"
    ),
    "comma": (
        "the example's outputs are a tuple of arrays, and one array is taken apart along its first "
        "axis: a comma makes it a tuple, outputs=(y,)"
    ),
    "clear": (
        "the quantized form returns clear numbers, as x.values() are, in place of an "
        "EncryptedTensor: compute with the functions of cml_core.plugin_api, such as elementwise, "
        "matmul or move"
    ),
}


_DIFFERENCES: Mapping[str, Callable[[Difference], str]] = {
    "type": _type,
    "values": _values,
    "tolerance": _tolerance,
    "changed": lambda error: (
        "the function writes into an array that it was given, as x *= 2, x[0] = 0 or out=x do: "
        "compute into a new one"
    ),
    "lookups": _lookups,
    "bits": lambda error: (
        "a sum of many products is wide: lower the example's n_bits, round before the lookup, or "
        "declare what it takes"
    ),
    "circuit": _circuit,
    "saving": lambda error: (
        "the form depends on more than what is saved: on a global, on random numbers, or on notes "
        "that no file can hold"
    ),
    "simulation": lambda error: (
        "a value leaves the interval that was proven or seen for it, so that it wraps around"
    ),
    "encryption": lambda error: (
        "as simulation agreed, a lookup failed, which is rare: run it again, or lower p_error"
    ),
    "reference": lambda error: "state the example's outputs: OpExample(inputs, outputs=…)",
}
