"""Every native operator, in every revision, has a strategy or a reason to have none."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import cml_core as cml
import tests.agreement
from tests.agreement.harness import cases_of, reachable

#: Operators without a strategy here, by the reason.
ELSEWHERE: dict[str, str] = {
    "it has no inputs; tests/graph covers each of its attributes": "Constant",
    "graphs and sequences: tests/ops/test_control_flow.py compares them with onnxruntime": """
        ConcatFromSequence If Loop Optional OptionalGetElement OptionalHasElement Scan SequenceAt
        SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap
        SplitToSequence
    """,
    "no two runtimes draw the same numbers: tests/ops/test_random.py": """
        Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike
    """,
    "strings: tests/ops/test_strings.py compares them with onnxruntime": """
        RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer
    """,
    "images: tests/ops/test_images.py": "ImageDecoder",
}
WITHOUT_STRATEGY = {name: why for why, names in ELSEWHERE.items() for name in names.split()}


def families():
    """What each test module of this package has strategies for."""
    for found in pkgutil.iter_modules(tests.agreement.__path__):
        if found.name.startswith("test_"):
            module = importlib.import_module(f"tests.agreement.{found.name}")
            yield found.name, getattr(module, "OPERATORS", {})


def native():
    """Each ai.onnx operator that cml has, with the revisions that a model may need."""
    found: dict[str, list[int]] = {}
    for key in cml.default_registry().ops:
        if key.domain == "" and key.since_version in reachable(key.op_type):
            found.setdefault(key.op_type, []).append(key.since_version)
    return found


def test_no_operator_has_two_strategies():
    seen: dict[str, str] = {}
    for family, operators in families():
        for op_type in operators:
            assert op_type not in seen, f"{op_type} is in {seen[op_type]} and in {family}"
            seen[op_type] = family


@pytest.mark.parametrize(("op_type", "revisions"), native().items(), ids=list(native()))
def test_every_revision_has_a_strategy(op_type, revisions):
    operators = [operators[op_type] for _, operators in families() if op_type in operators]
    if not operators:
        assert op_type in WITHOUT_STRATEGY, f"{op_type} has no strategy"
        return
    assert op_type not in WITHOUT_STRATEGY, f"{op_type} has a strategy: delete its reason"
    tried = {case.revision for case in cases_of(op_type, operators[0])}
    assert tried == set(revisions), f"{op_type}: tried {tried} of {revisions}"


def test_lists_name_operators_that_exist():
    unknown = set(WITHOUT_STRATEGY) - set(native())
    assert not unknown, f"no such operators: {unknown}"
