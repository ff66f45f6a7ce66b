"""Writing an ONNX graph: nodes and constants under names that collide with no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["OPSET", "GraphWriter", "free_prefix"]

#: The oldest opset that has every operator in the form used here; later ones changed none of it.
OPSET = 14
_IR_VERSION = 8


@attrs.define(eq=False)
class GraphWriter:
    """Collects the nodes and constants of an ONNX graph, under names that begin with a prefix.

    Parameters
    ----------
    prefix : str
        What the names begin with.
    opset : int
        Version of ai.onnx that the nodes are written in.
    """

    prefix: str
    opset: int = OPSET
    nodes: list[onnx.NodeProto] = attrs.field(factory=list, init=False)
    constants: list[onnx.TensorProto] = attrs.field(factory=list, init=False)
    _known: dict[tuple[Any, ...], str] = attrs.field(factory=dict, init=False)

    def add(
        self,
        op_type: str,
        *inputs: str,
        of: str = "",
        name: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node with one result, and return the result's name.

        Parameters
        ----------
        op_type : str
            An operator, of ai.onnx unless a domain is given.
        inputs : str
            Tensors.
        of : str
            The node of the original graph that it is for.
        name : str
            What to call the result, if that matters.
        domain : str
            The operator's domain.
        """
        place = f"{self.prefix}{len(self.nodes)}"
        result = name or place
        label = f"{of or op_type}/{place}"
        self.nodes.append(
            helper.make_node(
                op_type, inputs, [result], name=label, domain=domain or None, **attributes
            )
        )
        return result

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """The name of a constant; equal ones are kept once."""
        array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        # The bytes of an array of strings are addresses.
        content = tuple(array.flat) if array.dtype.hasobject else array.tobytes()
        key = (array.dtype, array.shape, content)
        if key not in self._known:
            self._known[key] = f"{self.prefix}c{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def cast(self, tensor: str, dtype: Any, **options: str) -> str:
        """Convert a tensor to a dtype."""
        return self.add(
            "Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), **options
        )

    def reshape(self, tensor: str, shape: Sequence[int], **options: str) -> str:
        """Give each sample a shape; the number of samples stays open."""
        if 0 in shape:
            # Zero would mean the size that is there. No sample has an element, so any may be used.
            count = self.add("Shape", tensor, **options)
            count = self.add("Gather", count, self.constant([0]), axis=0, **options)
            whole = self.add("Concat", count, self.constant(shape), axis=0, **options)
            return self.add("Reshape", tensor, whole, allowzero=1, **options)
        return self.add("Reshape", tensor, self.constant([0, *shape]), **options)

    def model(
        self,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        base: onnx.ModelProto | None = None,
    ) -> onnx.ModelProto:
        """The model; its opsets and functions are those of `base`, if there is one."""
        graph = helper.make_graph(self.nodes, "cml", inputs, outputs, self.constants)
        opsets = [] if base is None else list(base.opset_import)
        if not any(opset.domain in ("", "ai.onnx") for opset in opsets):
            opsets.append(helper.make_opsetid("", self.opset))
        return helper.make_model(
            graph,
            opset_imports=opsets,
            functions=[] if base is None else base.functions,
            ir_version=max(_IR_VERSION, 0 if base is None else base.ir_version),
            producer_name="cml",
        )


def free_prefix(names: Sequence[str]) -> str:
    """A prefix that none of some names begins with."""
    prefix = "cml/"
    while any(name.startswith(prefix) for name in names):
        prefix = f"_{prefix}"
    return prefix
