"""QLinearSoftmax in int32: a table of exponentials, their sum, and one division for each row.

    e = round(2^a exp(S (z - max z)))        r = floor(2^b / (S_y sum))        q = round(e r / 2^b)

Of 30 bits the reciprocal r has b, 22 for a step of 1/256, and the exponentials have as many as make their rounding lose no more
than that of r: 14.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.standard.operands import reads_of, written_by
from qconv.lower.standard.rescale import to_codes
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_int

_DIVIDEND_BITS = 30
_CODE_BITS = 8


def write_softmax(node: ir.Node, ctx: Context) -> ir.Value:
    """A Softmax along one axis."""
    (x,), y, build, output = reads_of(node), written_by(node), WideBuilder(ctx, str(node.name)), node.outputs[0]
    shape = x.value.shape
    assert shape is not None
    axis = attr_int(node, "axis", -1) % len(shape)
    levels = round(1.0 / float(y.scale))
    bits = _DIVIDEND_BITS - levels.bit_length() + 1
    of_exponentials = (bits + _CODE_BITS - 1) // 2
    column = ir.Value(shape=ir.Shape([1 if i == axis else n for i, n in enumerate(shape)]))
    axes = ctx.initializer(np.asarray([axis]), f"{node.name}_axis")
    wide = build.of_codes(x, "wide")
    most = build.emit("ReduceMax", [wide.value, axes], column, "most", keepdims=1)
    below = build.emit("Sub", [most, wide.value], x.value, "below")
    table = np.rint(np.ldexp(np.exp(-np.arange(256) * float(x.params.scale)), of_exponentials))
    entries = build.emit("Gather", [build.constant(table, "exponentials"), below], x.value, "exponential", axis=0)
    total = build.emit("ReduceSum", [entries, axes], column, "total", keepdims=1)
    inverse = build.quotient(levels << bits, total, column, "inverse")
    share = build.emit("Mul", [entries, inverse], x.value, "share")
    return to_codes(build, share, bits, y, output)
