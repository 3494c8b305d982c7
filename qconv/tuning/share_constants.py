"""Large constants that are equal are stored once: a recurrent network that was unrolled has the same weights many times.

So are weights of layers in float, which preparing has separated. Scales and zero points, vectors at most, stay apart: onnxruntime
has crashed on a zero point that two nodes shared.
"""

from __future__ import annotations

import onnx_ir as ir

from qconv.model.graph import const_array

_LEAST_BYTES = 1024


def share_constants(graph: ir.Graph) -> int:
    """Lets all readers of equal constants read the first one, in place; the number that went."""
    first: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
    gone = 0
    for name, value in list(graph.initializers.items()):
        array = const_array(value)
        if array is None or array.nbytes < _LEAST_BYTES or value.is_graph_output():
            continue
        if array.dtype.kind not in "iu" and array.ndim < 2:
            continue
        kept = first.setdefault((array.dtype.str, array.shape, array.tobytes()), value)
        if kept is not value:
            value.replace_all_uses_with(kept)
            del graph.initializers[name]
            gone += 1
    return gone
