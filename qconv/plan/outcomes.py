"""Which tensors a user of the network reads element by element: its outputs, and what they are made of without any mixing.

The largest of a row of scores decides, and clipping makes the largest ones equal; so method auto leaves these their extremes.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import is_float
from qconv.model.traits import Trait, has_trait

_MIXING = Trait.WEIGHTS | Trait.AVERAGES | Trait.TOTALS | Trait.RECURS


def outcomes(graph: ir.Graph) -> set[str]:
    """Names of the float tensors from which an output is reached without a layer of weights, a sum or an average."""
    found: set[ir.Value] = set()
    pending = [value for value in graph.outputs if is_float(value)]
    while pending:
        value = pending.pop()
        if value in found:
            continue
        found.add(value)
        node = value.producer()
        if node is not None and not has_trait(node, _MIXING):
            pending += [source for source in node.inputs if source is not None and is_float(source)]
    return {str(value.name) for value in found}
