"""Examples of every operator, each with one thing made wrong: a result or an error, nothing else.

The error names the node; no warning is given and no other exception is raised. Whether a result is
right is for the tests of agreement to say.
"""

from __future__ import annotations

import attrs
import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import CmlError, NodeError
from cml_core.plugins.registry import default_registry
from cml_core.testing.models import example_model, input_name

#: Operators of cml's own domain get what cml itself writes.
PLUGINS = [
    entry
    for entry in default_registry()
    if entry.name.startswith("cml_ops_") and entry.plugin.schema.domain != "cml"
]
#: What these do is right, and never ends.
ENDLESS = {("Loop", "input 0: large")}
#: Examples of an operator that are made wrong.
MOST = 3


def of_other_shapes(array):
    """An array with a rank or a size that is not expected."""
    yield "a new axis", array[np.newaxis]
    for axis, size in enumerate(array.shape):
        yield f"axis {axis} empty", np.take(array, [], axis)
        if size:
            yield f"axis {axis} longer", np.concatenate([array, np.take(array, [0], axis)], axis)
            yield f"no axis {axis}", np.take(array, 0, axis)
        if size > 1:
            yield f"axis {axis} shorter", np.take(array, range(size - 1), axis)


def of_other_values(array):
    """Numbers that are negative, large or no numbers."""
    if array.dtype.kind == "i" and array.size:
        yield "negative", -array - 1
        yield "large", np.full_like(array, np.iinfo(array.dtype).max)
        yield "least", np.full_like(array, np.iinfo(array.dtype).min)
    if array.dtype.kind == "f":
        yield "no numbers", np.full_like(array, np.nan)
        yield "infinite", np.full_like(array, -np.inf)


def of_other_types(array):
    yield "text", np.full(array.shape, "text", dtype=object)
    yield "booleans", np.ones(array.shape, dtype=bool)
    yield "float16", np.ones(array.shape, dtype=np.float16)


def of_other_attributes(value):
    """Values of an attribute's type that it may not have."""
    if isinstance(value, bool | int):
        yield from (-7, 2**40)
    elif isinstance(value, float):
        yield from (float("nan"), -1e30)
    elif isinstance(value, str | bytes):
        yield "nonsense"
    elif isinstance(value, tuple | list) and all(isinstance(v, int) for v in value):
        yield from ([*value, 1], [-3] * len(value), [2**40] * len(value))


def mutations(example):
    """Each mutation of an example, with its name."""
    for place, array in enumerate(example.inputs):
        if not isinstance(array, np.ndarray):
            continue
        for mutate in (of_other_shapes, of_other_values, of_other_types):
            for what, wrong in mutate(array):
                inputs = [*example.inputs[:place], wrong, *example.inputs[place + 1 :]]
                yield f"input {place}: {what}", attrs.evolve(example, inputs=inputs, outputs=None)
    for name, value in example.attributes.items():
        for wrong in of_other_attributes(value):
            attributes = {**example.attributes, name: wrong}
            changed = attrs.evolve(example, attributes=attributes, outputs=None)
            yield f"{name}={wrong!r}", changed


@pytest.mark.parametrize("entry", PLUGINS, ids=lambda entry: entry.name.partition("_ops_")[2])
def test_one_thing_is_wrong(entry):
    faults = []
    for example in entry.plugin.examples[:MOST]:
        for what, wrong in mutations(example):
            if (entry.plugin.schema.op_type, what) in ENDLESS:
                continue
            try:
                run(entry.plugin, wrong)
            except NodeError as error:
                assert error.op_type, what
            except CmlError:
                pass  # The model is refused before its node runs.
            except Exception as error:
                faults.append(f"{example.name}, {what}: {type(error).__name__}: {error}")
    assert not faults, "\n".join(faults)


def run(plugin, example):
    model = example_model(plugin, example, clear=())
    feeds = {
        input_name(place): array for place, array in enumerate(example.inputs) if array is not None
    }
    cml.NumpyModule.from_onnx(model).run(feeds)
