import json

import pytest

import cml_core as cml
from cml_core.fhe.circuit import FheCircuit


def test_the_report_of_a_quantized_model(cli, cml_path):
    report = cml.QuantizedModule.load(cml_path).report()
    shown = json.loads(cli("inspect", cml_path, "--json").out)
    assert shown["model"] == str(cml_path)
    assert shown["lookups"] == report.lookups > 0
    assert shown["max_bit_width"] == report.max_bit_width
    assert shown["compiled"] is None
    assert shown["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 3]}]
    assert sum(node["share"] for node in shown["nodes"]) == pytest.approx(1.0)


def test_the_table(cli, cml_path):
    report = cml.QuantizedModule.load(cml_path).report()
    lines = cli("inspect", cml_path).out.splitlines()
    assert lines[0] == str(cml_path)
    assert lines[2].split() == [
        "node", "bits", "in", "out", "interval", "lookups", "rounded", "bits", "complexity",
        "share", "SNR", "dB",
    ]  # fmt: skip
    rows = {line.split()[0]: line for line in lines[3:] if line}
    for node in report.nodes:
        assert f"[{node.interval.low}, {node.interval.high}]" in rows[node.node]
        for width, count in node.lookups.items():
            assert f"{count} of {width} bits" in rows[node.node]
    assert rows["total"].split()[1:3] == [str(report.max_bit_width), str(report.lookups)]
    assert "no, quantized only" in rows["compiled"]


@pytest.mark.usefixtures("needs_compiler")
def test_what_the_compiler_said_is_kept(cli, net_path, calibration_path, tmp_path, monkeypatch):
    path = tmp_path / "net.cml"
    files = ["--calibration", calibration_path, "--output", path]
    cli("compile", net_path, *files, "--n-bits", 2)
    # Inspecting compiles nothing.
    monkeypatch.setattr(FheCircuit, "compile", lambda *a, **k: pytest.fail("compiled"))
    compiled = json.loads(cli("inspect", path, "--json").out)["compiled"]
    assert compiled["backend"].startswith("concrete-")
    assert compiled["programmable_bootstraps"] > 0
    lines = cli("inspect", path).out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines[lines.index("", 2) :] if line)
    assert facts["bootstraps"] == str(compiled["programmable_bootstraps"])
    assert facts["compiler"].startswith(compiled["backend"])
