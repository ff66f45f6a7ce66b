"""The pages about operators are what their generator writes today."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx.defs
import pytest
from onnx import TensorProto, helper

from cml_core.cli.ops_facts import plugins_in_force
from cml_core.ops.example import OpExample
from cml_core.ops.schema import OpKey

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "generate_operators.py"


def load():
    spec = importlib.util.spec_from_file_location("generate_operators", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load()


@pytest.fixture(scope="module")
def pages():
    return generator.pages(generator.builtin_registry())


# --- what is written ------------------------------------------------------------------------------


def test_the_pages_are_fresh(pages):
    index = (generator.FOLDER / "index.md").read_text(encoding="utf-8")
    opset = onnx.defs.onnx_opset_version()
    if f"as of opset {opset}." not in index:
        pytest.skip(f"the pages are of another version of onnx than that of opset {opset}")
    changes = generator.stale(generator.FOLDER, pages)
    assert not changes, "run: python docs/generate_operators.py"


def test_every_operator_has_a_page_that_the_index_links(pages):
    links = set(re.findall(r"\]\(([\w.]+\.md)\)", pages["index.md"]))
    registry = generator.builtin_registry()
    names = {generator.full_name(key.domain, key.op_type) for key in registry.ops}
    assert links == pages.keys() - {"index.md"} == {f"{name}.md" for name in names}
    for entry, keys in plugins_in_force(registry):
        text = pages[f"{generator.full_name(keys[0].domain, keys[0].op_type)}.md"]
        assert f"`{entry.name}`" in text
        assert ", ".join(str(key.since_version) for key in keys) in text


def test_a_page_says_what_an_operator_is(pages):
    text = pages["Gemm.md"]
    for part in ("# Gemm", "## Revision", "7, 9, 11, 13", "alpha \\* A' @ B' + beta \\* C",
                 "- Kind: linear", "- Runs: in float and quantized", "`C` (`T`, optional)",
                 "| `alpha` | float | `1.0` |", "with  transB = 1", "out   Y = float32[2, 4]",
                 "with `A` encrypted"):  # fmt: skip
        assert part in text
    assert "16 lookups, at most 4 bits into a lookup" in text


def test_plugins_of_one_operator_share_a_page_the_newest_first(pages):
    sections = re.findall(r"^## (.*)", pages["ai.onnx.ml.LabelEncoder.md"], re.M)
    assert sections == ["Revision 4", "Revision 2", "Revision 1"]
    assert "deprecated it in opset 10" in pages["Upsample.md"]


def test_pages_do_not_depend_on_the_order_of_sets(pages):
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import generate_operators as g;"
        "sys.stdout.write(''.join(sorted(g.pages(g.builtin_registry()).values())))"
    )
    written = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert written == "".join(sorted(pages.values()))


def test_all_plugins_are_native_as_the_index_says():
    for package in ("cml_ops_builtin", "cml_ops_contrib"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\bimport (onnxruntime|torch)|onnx\.reference", text), path


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32([0.1, -2, 1e-9]), "float32[3] [0.1, -2.0, 0.0]"),
        (np.float64([1e30, np.nan, -np.inf]), "float64[3] [1e+30, nan, -inf]"),
        (np.array(-0.0), "float64[] 0.0"),
        (np.int8([[1], [2]]), "int8[2, 1] [[1], [2]]"),
        (np.array([True]), "bool[1] [True]"),
        (np.complex64([1 - 2j]), "complex64[1] [1.0 - 2.0j]"),
        (np.array(["a"], dtype=object), "string[1] ['a']"),
        (np.array({1: 0.5}, dtype=object), "map[] {1: 0.5}"),
        (np.zeros((0, 3), dtype=np.int64), "int64[0, 3]"),
        (np.zeros((4, 9), dtype=np.float32), "float32[4, 9]"),
        ((np.int32([1]), np.int32([2, 3])), "sequence(int32[1] [1], int32[2] [2, 3])"),
        (None, "nothing"),
    ],
)
def test_tensors_as_text(value, text):
    assert generator.tensor_text(value, noisy=True) == text


def test_tensors_of_types_that_numpy_lacks():
    import ml_dtypes

    half = np.array([0.5], dtype=ml_dtypes.bfloat16)
    nibble = np.array([-3], dtype=ml_dtypes.int4)
    assert generator.tensor_text(half) == "bfloat16[1] [0.5]"
    assert generator.tensor_text(nibble) == "int4[1] [-3]"


def test_inputs_are_shown_as_they_are():
    assert generator.tensor_text(np.float32([1e-9])) == "float32[1] [1e-09]"


def test_attributes_as_text():
    relu = helper.make_node("Relu", ["x"], ["y"])
    specs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph([relu], "body", specs[:1], specs[1:])
    assert generator.attribute_text(graph) == "graph (x) -> (y): Relu"
    tensor = helper.make_tensor("t", TensorProto.INT64, [2], [1, 2])
    assert generator.attribute_text(tensor) == "int64[2] [1, 2]"
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    assert generator.attribute_text(kind) == "tensor_type { elem_type: 1 }"
    assert generator.attribute_text(b"text") == "'text'"
    assert generator.attribute_text(list(range(100))) == "100 values"


def test_types_in_the_words_of_numpy():
    types = ["tensor(float)", "tensor(double)", "tensor(float16)", "tensor(string)"]
    types += ["tensor(int8)", "tensor(int32)", "optional(seq(tensor(bool)))"]
    assert generator.type_names(types) == (
        "float16 to float64, int8, int32, string; optional sequence of bool"
    )
    assert generator.type_names(["seq(map(int64,tensor(float)))"]) == (
        "sequence of map from int64 to float32"
    )


def test_what_is_drawn_at_random_is_not_shown():
    def facts(op_type, version, *attributes):
        key = OpKey("", op_type, version)
        return {"newest": key, "attributes": [{"name": name} for name in attributes]}

    example = OpExample(())
    assert generator.is_random(facts("RandomNormal", 22, "seed"), example)
    assert not generator.is_random(facts("AffineGrid", 20, "align_corners"), example)
    stated = OpExample((), outputs=(np.zeros(2),))
    assert not generator.is_random(facts("Dropout", 22, "seed"), stated)
    assert generator.tensor_text(np.zeros((2, 3)), values=False) == (
        "float64[2, 3], drawn at random"
    )


# --- checking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "equal"),
    [
        ("out 0.12346", "out 0.12345", True),
        ("out 1e-05", "out 0.0", True),
        ("out 0.12346", "out 0.12446", False),
        ("out -0.5", "out 0.5", False),
        ("revisions 1, 13", "revisions 1, 14", False),
        ("out 1.0", "out 1", False),
        ("one", "two", False),
        ("1.5 and 2.5", "1.5", False),
    ],
)
def test_the_last_digits_of_fractions_may_differ(old, new, equal):
    assert generator.same(old, new) is equal


def test_checking_says_what_is_stale_and_writing_mends_it(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "operators"
    monkeypatch.setattr(generator, "FOLDER", folder)
    monkeypatch.setattr(generator, "pages", lambda registry: {"A.md": "a\n", "B.md": "b\n"})
    monkeypatch.setattr(generator, "builtin_registry", lambda: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["generate_operators.py", *arguments])
        return generator.main(), capsys.readouterr().out

    assert run("--check")[0] == 1
    assert not folder.exists()
    assert run() == (0, "wrote: A.md\nwrote: B.md\n")
    assert run("--check") == (0, "")
    (folder / "A.md").write_text("other\n")
    (folder / "Old.md").write_text("gone\n")
    status, out = run("--check")
    assert status == 1
    assert out.splitlines()[:2] == ["stale: A.md", "stale: Old.md"]
    assert run() == (0, "wrote: A.md\nremoved: Old.md\n")
    assert run("--check") == (0, "")
