"""What to try where integers are slower than float: flags of `qconv quantize`, by what the network is made of."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from qconv.model.graph import const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.op_table import spec_of

_SHARE = 0.5  # of the weights, which must be matrices: mode dynamic leaves convolutions in float


@dataclass(frozen=True)
class Faster:
    """A flag of `qconv quantize`, and what it does."""

    flag: str
    effect: str

    def __str__(self) -> str:
        return f"{self.flag} {self.effect}, which may be faster"


def faster_way(graph: ir.Graph) -> Faster | None:
    """What to try for a float graph; None where no flag is known to help.

    Attention is slow in integers for the sake of what is between its products: norms, functions and shares. Mode dynamic
    leaves these in float.
    """
    if any(spec is not None and spec.slowdown for spec in map(spec_of, graph)):
        return Faster("--prefer speed", "leaves recurrent layers in float")
    if matrix_share(graph) >= _SHARE and any(_is_attention(node) for node in graph):
        return Faster("--mode dynamic", "leaves in float what is between products with weights")
    return None


def matrix_share(graph: ir.Graph) -> float:
    """The share of matrices in the weights of all layers."""
    sizes = {False: 0, True: 0}
    for node in graph:
        weight = const_array(node.inputs[1]) if has_trait(node, Trait.WEIGHTS) else None
        if weight is not None:
            sizes[weight.ndim <= 2] += weight.size
    return sizes[True] / max(sum(sizes.values()), 1)


def _is_attention(node: ir.Node) -> bool:
    """Whether it multiplies two computed matrices."""
    return has_trait(node, Trait.WEIGHTS) and len(node.inputs) == 2 and all(const_array(value) is None for value in node.inputs)
