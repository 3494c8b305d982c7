"""Whether an integer model is exact on the processor that it is verified on."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from qconv.integer.saturation import saturating_nodes
from qconv.model.machine import adds_pairs_in_int16

_NAMED = 3


def machine_warnings(graph: ir.Graph) -> Iterator[str]:
    """A sentence where layers saturate on this processor: their results here are wrong."""
    names = [str(node.name) for node in saturating_nodes(graph)]
    if names and adds_pairs_in_int16():
        some = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
        yield (
            f"this processor has AVX2 and no VNNI, and products of {some} may saturate on it, so that results are wrong; "
            "quantize the model with --target x86, which is exact on every x86"
        )
