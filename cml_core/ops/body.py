"""Body: an operator written with others, for those that need no integer form of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cml_core.graph.writer import GraphWriter

__all__ = ["Body"]


class Body(Protocol):
    """Writes a node of an operator as nodes of others, which are quantized in its place.

    Called with a writer that knows the model's opset (`writer.opset`), the names of the node's
    inputs (`None` where one is left out) and its attributes as keywords, defaults filled in.
    Returns the name of the tensor that takes the place of each output.
    """

    def __call__(self, writer: GraphWriter, *inputs: Any, **attributes: Any) -> tuple[str, ...]: ...
