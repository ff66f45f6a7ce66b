"""profile: time and memory, node by node."""

import tracemalloc

import numpy as np
import pytest

import cml_core as cml
from cml_core.errors import ConfigError, InputError, NodeError
from cml_core.graph.model import TensorSpec
from tests.models import make_model, node, plugin, registry_with

X = np.zeros((10, 100), dtype=np.float32)  # 4000 bytes


def profile(nodes, outputs, constants=None, inputs=(X,), repeat=1, **operators):
    """The profile of a model with the input `x`; operators of the domain `test` are functions."""
    ops = registry_with(**{n: plugin(n, numpy_op=function) for n, function in operators.items()})
    model = make_model(nodes, {"x": None}, outputs, constants, domains={"test": 1})
    return cml.profile(cml.NumpyModule.from_onnx(model, registry=ops), inputs, repeat=repeat)


def own(op_type, inputs, outputs):
    return node(op_type, inputs, outputs, domain="test", name="_".join(outputs))


def test_the_profile_of_a_network(digits):
    found = cml.profile(digits.module, digits.test, repeat=3)
    assert isinstance(found, cml.Profile)
    assert [each.name for each in found.nodes] == [n.name for n in digits.module.graph.nodes]
    assert found.runs == 3
    assert found.seconds > max(each.seconds for each in found.nodes) > 0
    assert 0 < found.overhead < found.seconds
    dense = found.nodes[0]
    assert (dense.op_type, dense.domain) == ("Gemm", "")
    assert dense.outputs == (TensorSpec("product1", np.dtype(np.float32), (450, 32)),)
    assert dense.output_bytes == 450 * 32 * 4
    assert dense.live_bytes == digits.test.astype(np.float32).nbytes + dense.output_bytes
    assert found.peak_bytes >= dense.live_bytes
    assert found.constant_bytes == sum(c.nbytes for c in digits.module.graph.constants.values())


def test_inputs_come_by_name_or_by_position(digits):
    pixels = digits.test[:2]
    for inputs in (pixels, (pixels,), {"pixels": pixels}, pixels.tolist()):
        assert cml.profile(digits.module, inputs, repeat=1).nodes[0].outputs[0].shape == (2, 32)
    with pytest.raises(InputError):
        cml.profile(digits.module, (pixels, pixels))
    with pytest.raises(InputError):
        cml.profile(digits.module, {"wrong": pixels})
    with pytest.raises(ConfigError, match="repeat=0"):
        cml.profile(digits.module, pixels, repeat=0)


def test_time_is_the_median_of_the_runs(monkeypatch):
    # Each node takes two readings of the clock, each run two more.
    ticks = iter([0, 1, 2, 6, 7, 9, 10, 11, 111, 120, 121, 122, 200, 203, 204, 205, 215, 220])
    monkeypatch.setattr("cml_core.profiling.time.perf_counter", lambda: next(ticks))
    nodes = [own("Step", ["x"], ["a"]), own("Step", ["a"], ["y"])]
    found = profile(nodes, ["y"], repeat=3, Step=lambda x: (x + 1,))
    assert [each.seconds for each in found.nodes] == [1, 1]
    assert found.seconds == 20
    assert found.overhead == 9


def test_operators_are_sums_of_their_nodes_the_slowest_first(monkeypatch):
    ticks = iter([0, 0, 1, 1, 6, 6, 8, 9])
    monkeypatch.setattr("cml_core.profiling.time.perf_counter", lambda: next(ticks))
    nodes = [own("A", ["x"], ["a"]), own("B", ["a"], ["b"]), own("A", ["b"], ["y"])]
    found = profile(nodes, ["y"], A=lambda x: (x + 1,), B=lambda x: (x[:5] + 1,))
    slow, fast = found.operators
    assert (slow.domain, slow.op_type, slow.nodes, slow.seconds) == ("test", "B", 1, 5)
    assert (fast.op_type, fast.nodes, fast.seconds) == ("A", 2, 3)
    assert fast.output_bytes == 4000 + 2000


def test_views_take_no_memory_and_what_is_not_needed_is_dropped():
    nodes = [
        own("Copy", ["x"], ["a"]),
        own("View", ["a"], ["b"]),  # keeps the memory of `a`
        own("Copy", ["b"], ["c"]),  # after which it is free
        own("Copy", ["c"], ["y"]),
    ]
    found = profile(nodes, ["y"], Copy=lambda x: (x.copy(),), View=lambda x: (x[:5],))
    assert [each.output_bytes for each in found.nodes] == [4000, 0, 2000, 2000]
    assert [each.live_bytes for each in found.nodes] == [8000, 4000, 6000, 4000]


def test_views_of_inputs_and_constants_take_none_either():
    base = np.zeros((100, 100), dtype=np.float32)
    nodes = [own("Both", ["x", "c"], ["a", "b"]), own("Sum", ["a", "b"], ["y"])]
    found = profile(
        nodes,
        ["y"],
        {"c": X},
        base[:10],
        Both=lambda x, c: (np.broadcast_to(x, (3, *x.shape)), c.T),
        Sum=lambda a, b: (a[0] + b.T,),
    )
    assert [each.output_bytes for each in found.nodes] == [0, 4000]
    assert [each.live_bytes for each in found.nodes] == [4000, 8000]
    assert found.constant_bytes == 4000


def test_temporary_arrays_are_seen():
    def wasteful(x):
        return (np.ones((100, *x.shape), x.dtype).sum(axis=0),)

    nodes = [own("Wasteful", ["x"], ["a"]), own("Frugal", ["a"], ["y"])]
    found = profile(nodes, ["y"], Wasteful=wasteful, Frugal=lambda x: (x + 1,))
    wasteful, frugal = found.nodes
    assert 400_000 <= wasteful.temporary_bytes < 500_000
    assert frugal.temporary_bytes < 4000
    assert found.peak_bytes == wasteful.live_bytes + wasteful.temporary_bytes


def test_what_is_no_tensor_has_no_shape():
    nodes = [own("Pair", ["x"], ["", "s"]), own("First", ["s"], ["y"])]
    found = profile(nodes, ["y"], Pair=lambda x: (x, (x + 1, x + 2)), First=lambda s: (s[0],))
    assert found.nodes[0].outputs == (TensorSpec("s", None, None),)
    assert [each.output_bytes for each in found.nodes] == [8000, 0]
    maps = profile([own("Map", ["x"], ["y"])], ["y"], Map=lambda x: ({"a": x + 1},))
    assert maps.nodes[0].output_bytes == 4000


def test_nodes_on_constants_do_not_appear():
    nodes = [node("Add", ["c", "c"], ["d"]), node("Add", ["x", "d"], ["y"], name="last")]
    found = profile(nodes, ["y"], {"c": X})
    assert [each.name for each in found.nodes] == ["last"]
    empty = profile([node("Add", ["c", "c"], ["y"])], ["y"], {"c": X})
    assert (empty.nodes, empty.operators, empty.peak_bytes) == ((), (), 0)


def test_tracing_is_left_as_it_was():
    def fail(x):
        raise ValueError("no")

    with pytest.raises(NodeError):
        profile([own("Fail", ["x"], ["y"])], ["y"], Fail=fail)
    assert not tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        profile([node("Relu", ["x"], ["y"])], ["y"])
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_as_plain_data(digits):
    found = cml.profile(digits.module, digits.test[:2], repeat=1)
    plain = found.as_dict()
    assert plain["seconds"] == found.seconds
    assert plain["peak_bytes"] == found.peak_bytes
    assert plain["operators"][0]["op_type"] == found.operators[0].op_type
    assert plain["nodes"][0]["outputs"] == [
        {"name": "product1", "dtype": "float32", "shape": (2, 32)}
    ]
    assert set(plain["nodes"][0]) == {
        "node", "domain", "op_type", "seconds", "outputs", "output_bytes", "live_bytes",
        "temporary_bytes",
    }  # fmt: skip
