"""Bodies written out, and those that would never be."""

import onnx
import pytest

from cml_core.errors import NodeError
from cml_core.numpy_module import NumpyModule
from cml_core.plugin_api import OpPlugin, OpSchema
from cml_core.plugins.registry import default_registry

TEXT = """
<ir_version: 8, opset_import: ["": 17, "test": 1]>
net (float[N, 4] x) => (float[N, 4] y) { y = test.First<steps=STEPS>(x) }
"""


def plugin(name, body):
    return OpPlugin(OpSchema(name, (1,), domain="test"), lambda x, *, steps: (x,), body=body)


def row(*names):
    """A body of operators in a row."""

    def body(writer, x, *, steps):
        for name in names:
            x = writer.add(name, x, domain="test", steps=steps)
        return (x,)

    return body


def written(*plugins, steps=1):
    registry = default_registry().with_plugins(*plugins)
    model = onnx.parser.parse_model(TEXT.replace("STEPS", str(steps)))
    return NumpyModule.from_onnx(model, registry=registry).expanded


def refused(*plugins):
    with pytest.raises(NodeError) as caught:
        written(*plugins)
    return caught.value.reason


def test_a_body_that_uses_its_own_operator_is_refused():
    assert "its body uses First itself, and so is never" in refused(plugin("First", row("First")))
    assert "uses First itself" in refused(plugin("First", row("First", "First")))


@pytest.mark.parametrize("others", [("Other",), ("Other", "Other")])
def test_a_circle_of_bodies_names_its_operators(others):
    reason = refused(plugin("First", row(*others)), plugin("Other", row("First")))
    assert "uses First itself by way of Other" in reason or "Other itself by way of First" in reason


def test_bodies_that_grow_without_end_are_refused():
    def body(writer, x, *, steps):
        return (writer.add("First", x, domain="test", steps=steps + 1),)

    assert "its body uses First itself" in refused(plugin("First", body))


def test_a_body_that_comes_to_an_end_is_written_out():
    def body(writer, x, *, steps):
        if steps == 0:
            return (writer.add("Relu", x),)
        return (writer.add("First", x, domain="test", steps=steps - 1),)

    names = {bound.key.op_type for bound in written(plugin("First", body), steps=10).graph.nodes}
    assert names <= {"Relu", "Identity"}
