"""The ways in which a plugin fails: each alone, by name, with the reason and what would help."""

import io
import json
import sys
import threading
import warnings

import numpy as np
import pytest

from cml_core.errors import NodeError
from cml_core.numpy_module import NumpyModule
from cml_core.plugins import loading
from cml_core.plugins.discovery import OPERATORS, PluginWarning, load_group
from cml_core.plugins.registry import OpRegistry
from tests.models import make_model, node
from tests.plugins.conftest import point, source

MODULE = """
from cml_core.plugin_api import OpPlugin, OpSchema, hookimpl

def numpy_op({parameters}):
    return (x,)

def hook({hook}):
    pass

@hookimpl
def cml_op():
    schema = OpSchema({op_type!r}, {versions!r}, {schema})
    return OpPlugin(schema, numpy_op, {more})
"""


def module(**changes):
    given = {
        "parameters": "x",
        "hook": "recorder, inputs, outputs, attributes",
        "op_type": "Odd",
        "versions": (1,),
        "schema": "domain='test'",
        "more": "",
    }
    return MODULE.format(**{**given, **changes})


def onnx(op_type, versions, parameters="*x, **attributes", **changes):
    return module(op_type=op_type, versions=versions, parameters=parameters, schema="", **changes)


#: By what is wrong: the module, the error, and the hint; both as they are or their beginning.
WAYS = {
    "raises on import": ("1 / 0", "ZeroDivisionError: division by zero", ""),
    "exits on import": ("raise SystemExit(3)", "SystemExit: 3", "A module must not exit when"),
    "needs what is not installed": (
        "import scipy_of_tomorrow",
        "ModuleNotFoundError: No module named 'scipy_of_tomorrow'",
        "Install what provides 'scipy_of_tomorrow'.",
    ),
    "lacks a module of its own": (
        "from pack._shared import x",
        "ModuleNotFoundError: No module named 'pack._shared'",
        "'pack._shared' is a module of its own package: it is installed incompletely.",
    ),
    "asks too much of the API": (
        "from cml_core.plugin_api import OpPlugins",
        "ImportError: cannot import name 'OpPlugins' from 'cml_core.plugin_api'",
        "Plugin API 1.0 has no 'OpPlugins'. Did you mean OpPlugin? If the plugin needs another",
    ),
    "imports the core": (
        "import cml_core.utilities",
        "ModuleNotFoundError: No module named 'cml_core.utilities'",
        "This cml has no 'cml_core.utilities'; plugins import from cml_core.plugin_api and",
    ),
    "gives a field that is not there": (
        module(more="gpu_op=numpy_op"),
        "TypeError: OpPlugin.__init__() got an unexpected keyword argument 'gpu_op'",
        "OpPlugin of this cml (plugin API 1.0) knows no 'gpu_op'. If the plugin needs a newer",
    ),
    "gives a field of a wrong type": (
        module().replace("OpPlugin(schema,", "OpPlugin('Odd',"),
        "TypeError: 'schema' must be <class 'cml_core.ops.schema.OpSchema'> (got 'Odd' that is",
        "",
    ),
    "has no hook": ("x = 1", "it has no cml_op() marked with hookimpl", ""),
    "forgets to mark the hook": (
        "def cml_op(): pass",
        "it has no cml_op() marked with hookimpl",
        "Put @hookimpl of cml_core.plugin_api before cml_op().",
    ),
    "calls the hook something else": (
        module().replace("def cml_op", "def cml_operator"),
        "it has no cml_op() marked with hookimpl",
        "It marks cml_operator(): name that cml_op().",
    ),
    "has a hook that takes something": (
        module().replace("def cml_op()", "def cml_op(registry)"),
        "PluginValidationError: Plugin 'pack.rotten' for hook 'cml_op'",
        "cml_op() takes no arguments.",
    ),
    "returns nothing": (
        module().replace("return OpPlugin", "OpPlugin"),
        "cml_op() returned NoneType, expected OpPlugin",
        "It lacks a return statement.",
    ),
    "returns several": (
        module().replace(
            "return OpPlugin(schema, numpy_op, )", "return OpPlugin(schema, numpy_op),"
        ),
        "cml_op() returned tuple, expected OpPlugin",
        "A module provides one; put each into a module of its own.",
    ),
    "has a revision that ONNX does not have": (
        onnx("Relu", (6, 13, 15)),
        "ONNX has no revision 15 of Relu; it has 1, 6, 13, 14",
        "Revision 14 is in force from opset 14 on; list that one.",
    ),
    "has a revision between two": (
        onnx("Relu", (7,)),
        "ONNX has no revision 7 of Relu; it has 1, 6, 13, 14",
        "Revision 6 is in force from opset 6 to 12; list that one.",
    ),
    "has a revision before the first": (
        onnx("Gelu", (13,)),
        "ONNX has no revision 13 of Gelu; it has 20",
        "ai.onnx has Gelu from opset 20 on.",
    ),
    "has the revision that ended it": (
        onnx("Upsample", (9, 10)),
        "ONNX has no revision 10 of Upsample; it has 1, 7, 9",
        "ai.onnx deprecated Upsample in opset 10.",
    ),
    "has an operator that ONNX does not have": (
        onnx("Rellu", (1,)),
        "ONNX has no operator 'Rellu' in ai.onnx",
        "Did you mean Relu?",
    ),
    "cannot take an attribute of ONNX": (
        onnx("Elu", (6,), "x, *, beta=1.0"),
        "its numpy_op cannot take the attribute alpha (ai.onnx::Elu-6)",
        "It is called with the node's tensors, and the attributes as keywords: alpha.",
    ),
    "cannot take an attribute of its own": (
        module(schema="domain='test', attribute_defaults={'scale': 1.0, 'by': 2}"),
        "its numpy_op cannot take the attributes by, scale (test::Odd-1)",
        "It is called with the node's tensors, and the attributes as keywords: by, scale.",
    ),
    "needs an attribute that there is not": (
        onnx("Elu", (6,), "x, *, alpha, beta"),
        "its numpy_op needs the attribute beta, which the operator does not have",
        "It is called with",
    ),
    "takes too few tensors": (
        onnx("Add", (14,), "x"),
        "its numpy_op takes 1 tensors, and the operator has at least 2 inputs (ai.onnx::Add-14)",
        "It is called with the node's tensors, and no keywords.",
    ),
    "needs too many tensors": (
        onnx("Relu", (14,), "x, y"),
        "its numpy_op needs 2 tensors, and the operator has at most 1 inputs",
        "It is called with",
    ),
    "has a quantized form without a context": (
        onnx("Relu", (14,), "x", more="quantized_op=numpy_op"),
        "its quantized_op takes 0 tensors, and the operator has at least 1 inputs",
        "It is called with ctx or writer, the node's tensors, and no keywords.",
    ),
    "has a calibration hook that takes too little": (
        module(hook="recorder, inputs", more="calibration_hook=hook"),
        "its calibration_hook cannot be called: too many positional arguments",
        "It is called with (recorder, inputs, outputs, attributes).",
    ),
    "comes from the future": (
        "CML_API = '3.0'\n" + module(),
        "it was written for plugin API 3.0, and this cml has 1.0",
        "Upgrade cml, or install a version of the plugin for API 1.0.",
    ),
}


def load(name="pack", **options):
    return {p.name: p for p in load_group(OPERATORS, entry_points=[point(name)], **options)}


@pytest.mark.parametrize("way", WAYS)
def test_each_is_isolated_named_and_explained(write, way):
    text, error, hint = WAYS[way]
    write({"pack/__init__.py": "", "pack/good.py": source("Good"), "pack/rotten.py": text})
    with pytest.warns(PluginWarning, match=r"plugin 'pack\.rotten' was left out: ") as warned:
        plugins = load()
    assert len(warned) == 1
    assert plugins["pack.good"].status == "loaded"
    rotten = plugins["pack.rotten"]
    assert rotten.status == "failed"
    assert rotten.error.startswith(error)
    assert rotten.hint.startswith(hint)
    assert bool(rotten.hint) == bool(hint)
    assert "Attribute(" not in rotten.error


def test_what_onnx_does_not_know_yet_is_no_fault(write):
    write({"new.py": onnx("Relu", (14, 99)), "newer.py": onnx("Rerelu", (99,))})
    for name in ("new", "newer"):
        assert load(name)[name].status == "loaded"


def test_what_some_nodes_would_fail_on_is_a_note(write):
    write(
        {
            "clip.py": onnx("Clip", (13,), "x, low, high"),
            "gemm.py": onnx("Gemm", (13,), "x, b, *, alpha, beta, transA, transB"),
        }
    )
    (note,) = load("clip")["clip"].notes
    assert note.startswith("its numpy_op needs 3 tensors, and nodes may have 1 inputs")
    assert load("gemm")["gemm"].notes == (
        "its numpy_op takes 2 tensors, and nodes may have more inputs",
    )


def test_functions_that_cannot_be_looked_into_are_taken_as_they_are(write):
    write({"some.py": module(more="prepare=dict").replace("schema, numpy_op", "schema, max")})
    assert load("some")["some"].status == "loaded"


def test_what_a_requirement_or_extra_would_install_is_told(write):
    metadata = "Metadata-Version: 2.1\nName: my-ops\nVersion: 2.5\n"
    write(
        {
            "needy.py": "import absent_one",
            "wanting.py": "import absent_two",
            "silent.py": "import absent_three",
            "my_ops-2.5.dist-info/METADATA": metadata
            + "Requires-Dist: absent-one>=1.2; python_version > '3'\n"
            + "Requires-Dist: Absent.Two ; extra == 'fast'\n",
            "my_ops-2.5.dist-info/entry_points.txt": "[cml.ops]\n"
            + "".join(f"{name} = {name}\n" for name in ("needy", "wanting", "silent")),
        }
    )
    with pytest.warns(PluginWarning):
        plugins = {p.name: p for p in load_group(OPERATORS)}
    assert plugins["needy"].hint == "Install it with: pip install 'absent-one>=1.2'."
    assert plugins["wanting"].hint == "Install it with: pip install 'my-ops[fast]'."
    assert plugins["silent"].hint == (
        "Install what provides 'absent_three'; my-ops does not declare that it needs it."
    )


def test_the_traceback_shows_the_plugin_and_nothing_of_what_loads_it(write):
    write({"pack/__init__.py": "", "pack/rotten.py": "def f():\n    raise KeyError('here')\nf()\n"})
    with pytest.warns(PluginWarning):
        trace = load()["pack.rotten"].traceback
    assert trace.startswith("Traceback")
    assert "rotten.py" in trace
    assert trace.endswith("KeyError: 'here'")
    assert "importlib" not in trace
    assert "loading.py" not in trace


# --- what is no fault, and worth a note ---


def test_what_a_plugin_prints_is_kept_off_stdout_and_noted(write, capsys):
    loud = "import sys\nprint('hello\\n  there')\nsys.stdout.buffer.write(b'!')\n"
    write(
        {
            "pack/__init__.py": "print('ahem')",
            "pack/loud.py": loud + source("A"),
            "pack/quiet.py": source("B"),
        }
    )
    plugins = load()
    assert capsys.readouterr().out == ""
    assert plugins["pack.loud"].notes == (
        "package pack prints when imported: ahem",
        "prints when imported: hello there !",
    )
    assert plugins["pack.quiet"].notes == ()


def test_long_output_is_cut_off(write):
    write({"loud.py": "print('x' * 9999)\n" + source("A")})
    (note,) = load("loud")["loud"].notes
    assert len(note) < 300
    assert note.endswith("…")


def test_what_keeps_stdout_prints_to_it_later(write, capsys):
    write({"loud.py": "import sys\nout = sys.stdout\n" + source("A")})
    load("loud")
    sys.modules["loud"].out.write("later\n")
    sys.modules["loud"].out.flush()
    assert capsys.readouterr().out == "later\n"
    assert not isinstance(sys.stdout, io.TextIOWrapper) or sys.stdout is not sys.modules["loud"].out


def test_what_other_threads_print_goes_through(write, capsys):
    go, done = threading.Event(), threading.Event()

    def other():
        go.wait(10)
        print("from elsewhere")
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    loud = "from tests.plugins import test_ways_to_fail as t\nt.MEET[0].set()\nt.MEET[1].wait(10)\n"
    MEET[:] = [go, done]
    write({"slow.py": loud + source("A")})
    assert load("slow")["slow"].notes == ()
    thread.join()
    assert capsys.readouterr().out == "from elsewhere\n"


MEET: list[threading.Event] = []


def test_a_slow_plugin_is_noted_with_what_it_imports(write, monkeypatch):
    monkeypatch.setattr(loading, "SLOW", 0.05)
    heavy = "import time\ntime.sleep(0.1)\n"
    write(
        {
            "heavy_library.py": heavy,
            "pack/__init__.py": heavy,
            "pack/a.py": "import heavy_library\n" + source("A"),
            "pack/b.py": source("B"),
        }
    )
    plugins = load()
    first, second = plugins["pack.a"].notes
    assert first.startswith("package pack took 0.1 s to load")
    assert second.startswith("took 0.1 s to load, importing heavy_library")
    assert plugins["pack.a"].seconds >= 0.2
    assert 0 < plugins["pack.b"].seconds < 0.1


# --- what only shows when a model runs ---


def run(text, write, x):
    write({"odd.py": text})
    registry = OpRegistry.from_plugins(load("odd").values())
    model = make_model(
        [node("Odd", ["x"], ["y"], name="odd", domain="test")],
        {"x": [2]},
        ["y"],
        domains={"test": 1},
    )
    return NumpyModule.from_onnx(model, registry=registry)(x)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return x", "plugin 'odd' returned ndarray, not a tuple"),
        ("return ()", "plugin 'odd' returned 0 outputs, and the node has 1"),
        ("return (x[9],)", "index 9 is out of bounds"),
        ("return (x @ [1, 2, 3],)", r"inputs: float32\(2,\)"),
    ],
)
def test_a_failure_at_run_time_names_the_node_and_the_plugin(write, body, told):
    text = module().replace("return (x,)", body)
    with pytest.raises(NodeError, match=rf"node 'odd' \(Odd\) failed: .*{told}"):
        run(text, write, np.zeros(2, np.float32))


def test_the_command_line_stays_readable(write, tmp_path):
    """What is printed while a command loads plugins does not end up in its JSON."""
    from typer.testing import CliRunner

    from cml_core.cli import app

    write(
        {
            "loud.py": "print('{')\n" + source("Loud"),
            "my_ops-2.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: my-ops\nVersion: 2.5\n",
            "my_ops-2.5.dist-info/entry_points.txt": "[cml.ops]\nloud = loud\n",
        }
    )
    with warnings.catch_warnings():
        done = CliRunner().invoke(app, ["plugins", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["loud"]["notes"] == ["prints when imported: {"]
