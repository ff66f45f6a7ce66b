"""Times of a model in cml, onnxruntime and onnx.reference, in one process and in turns."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

import numpy as np
import onnx
import onnxruntime
from graphs import Case
from onnx.reference import ReferenceEvaluator
from threadpoolctl import ThreadpoolController

import cml_core as cml

# Rounds of a measurement: at least, at most, and those that do not count.
FEWEST, MOST, WARM_UP = 7, 200, 2

_BLAS = ThreadpoolController().select(user_api="blas")

Action = Callable[[], object]
Clock = Callable[[], float]


def blas_kernels() -> str:
    """Name the processor that NumPy's BLAS takes this one for."""
    return ", ".join(str(library.get("architecture")) for library in _BLAS.info())


def medians(
    actions: Mapping[str, Action], seconds: float, clock: Clock = time.thread_time
) -> dict[str, float]:
    """Seconds that each action takes; they take turns, so that all meet the same machine.

    What runs on one thread is measured by that thread's clock, which stands still while the
    machine does other work.
    """
    times: dict[str, list[float]] = {name: [] for name in actions}
    began, rounds = time.perf_counter(), 0
    while rounds < FEWEST + WARM_UP or (rounds < MOST and time.perf_counter() - began < seconds):
        for name, action in actions.items():
            start = clock()
            action()
            times[name].append(clock() - start)
        rounds += 1
    return {name: statistics.median(found[WARM_UP:]) for name, found in times.items()}


def one_thread() -> AbstractContextManager[object]:
    """Keep NumPy's BLAS to one thread."""
    return _BLAS.limit(limits=1)


def product_seconds(size: int = 512) -> float:
    """Seconds that the product of two square matrices takes on one thread."""
    factor = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    with one_thread():
        return medians({"product": lambda: factor @ factor}, 0.2)["product"]


def session(model: onnx.ModelProto, threads: int) -> onnxruntime.InferenceSession:
    """A session on so many threads, or on all if that is zero."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def measure(case: Case, batch: int, seconds: float) -> dict[str, float]:
    """Medians in seconds by what was timed, once it is sure that both compute the same.

    Times on one thread are of `cml` and `ort`, on all threads of `cml_all` and `ort_all`.
    """
    feeds = case.feeds(batch)
    module = cml.NumpyModule.from_onnx(case.model)
    wanted = list(module.run(feeds).values())
    found = {}
    for name, threads in (("", 1), ("_all", 0)):
        ort = session(case.model, threads)
        _check(case.name, ort.run(None, feeds), wanted)
        actions = {
            f"cml{name}": partial(module.run, feeds),
            f"ort{name}": partial(ort.run, None, feeds),
        }
        if threads == 1:
            with one_thread():
                found |= medians(actions, seconds)
            continue
        # One after the other: onnxruntime's threads wait for its next run by turning round, and
        # would take the processors from cml's.
        with _BLAS.limit(limits=os.cpu_count()):
            for key, action in actions.items():
                found |= medians({key: action}, seconds / 2, time.perf_counter)
    return found


def measure_reference(case: Case, batch: int) -> float:
    """Seconds that onnx.reference takes: the least of three calls, or one that takes long."""
    feeds = case.feeds(batch)
    wanted = list(cml.NumpyModule.from_onnx(case.model).run(feeds).values())
    evaluator = ReferenceEvaluator(case.model)
    times: list[float] = []
    with one_thread():
        while len(times) < 3 and sum(times) < 3:
            start = time.thread_time()
            results = evaluator.run(None, feeds)
            times.append(time.thread_time() - start)
    _check(case.name, results, wanted)
    return min(times)


def overhead(case: Case) -> float:
    """Seconds per node of a chain of nodes that have next to nothing to do."""
    module = cml.NumpyModule.from_onnx(case.model)
    found = medians({"run": partial(module.run, case.feeds(1))}, 1.0)
    return found["run"] / len(case.model.graph.node)


def _check(name: str, results: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    for got, known in zip(results, wanted, strict=True):
        size = float(np.abs(known).max(initial=1e-30))
        got = np.asarray(got) / size
        np.testing.assert_allclose(got, known / size, atol=2e-5, rtol=1e-3, err_msg=name)
