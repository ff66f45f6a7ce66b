"""The labels of a classifier: integers or strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cml_core.plugin_api import AttributeValueError, GraphWriter

__all__ = ["class_labels", "write_labels"]


def class_labels(strings: Sequence[str] | None, ints: Sequence[int] | None) -> np.ndarray:
    """Labels by class, int64 or objects; none if there are no labels."""
    if strings and ints:
        raise AttributeValueError("classlabels_ints", tuple(ints), "no integers beside strings")
    return np.array(strings, dtype=object) if strings else np.array(ints or (), dtype=np.int64)


def write_labels(writer: GraphWriter, places: str, labels: np.ndarray) -> str:
    """Nodes that replace the number of each class by its label."""
    if labels.dtype == np.int64 and np.array_equal(labels, np.arange(len(labels))):
        return places
    return writer.add("Gather", writer.constant(labels, labels.dtype), places, axis=0)
