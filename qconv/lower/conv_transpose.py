"""ConvTranspose -> one QLinearConv for all phases, DepthToSpace, and a Slice: exact, and no zero is multiplied.

With stride s and kernel K, an output position u = s q + r gets x[q - t] W[s t + r] for t = 0 .. T - 1, T = ceil(K / s), where W
is zero from K on. So each phase r is an ordinary convolution of T taps:

    phase_r[q] = sum_j x[q - (T - 1) + j] V_r[j],        V_r[j] = W[s (T - 1 - j) + r]

The phases of a channel, s^2 of two axes, lie behind one another, as DepthToSpace (CRD) expects them; what it gives is
s (H + T - 1) long. The
Slice takes off pads[0] in front and s T - K + pads[1] - output_padding behind, whatever H is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.builder import Attribute
from qconv.lower.context import Context
from qconv.lower.conv import emit_conv
from qconv.lower.copies import with_copies
from qconv.lower.linear import quantize_linear
from qconv.lower.values import Codes
from qconv.model.graph import attr_int, attr_ints, const_array
from qconv.ops.kernel_order import conv_order, phase_weights
from qconv.quant.types import QuantParams

_END = np.iinfo(np.int64).max


def lower_conv_transpose(node: ir.Node, ctx: Context) -> None:
    """A transposed convolution over two or three axes."""
    x, output, value = ctx.codes(node.inputs[0]), node.outputs[0], node.inputs[1]
    weight = const_array(value)
    assert weight is not None and value is not None
    rank, group, y = weight.ndim - 2, attr_int(node, "group", 1), ctx.params(output)
    strides = attr_ints(node, "strides", [1] * rank)
    taps = [-(-size // stride) for size, stride in zip(weight.shape[2:], strides, strict=True)]
    phases, count = phase_weights(weight, strides, group), math.prod(strides)
    params, bias, given = ctx.params(value), ctx.bias(node), ctx.weight_codes(value)
    if params.axis is not None:
        params = QuantParams(np.repeat(params.scale, count), np.repeat(params.zero_point, count), params.int_type, 0)
    bias = None if bias is None else np.repeat(bias, count)
    order = conv_order(phases.shape, group)
    given = None if given is None else phase_weights(given, strides, group)
    summed = tuple(range(1, rank + 2))
    linear = quantize_linear(ctx.target, str(node.name), phases, bias, summed, x.params, params, y, order, given, ctx.grid)
    x, linear = with_copies(node, ctx, x, linear, (1, 1), partial(conv_order, group=group), group)
    attributes: dict[str, Attribute] = {"group": group, "kernel_shape": taps, "pads": [t - 1 for t in taps] * 2}
    bounds = crop_bounds(node, [s * t - k for s, t, k in zip(strides, taps, weight.shape[2:], strict=True)])
    whole = None if bounds is None else f"{output.name}_whole"
    phase_name = f"{output.name}_phases" if count > 1 else whole
    codes = emit_conv(node, ctx, x, linear, y, str(value.name), attributes, phase_name)
    if count > 1 and (rank > 2 or strides[0] != strides[1]):
        codes = _shuffled(node, ctx, _phaseless(codes), strides, taps, whole)
    elif count > 1:
        inputs, attributes = [_phaseless(codes).value], {"blocksize": strides[0], "mode": "CRD"}
        codes = ctx.emit_codes(
            "DepthToSpace", inputs, output, y, name=f"{node.name}/shuffle", output=whole, final=whole is None,
            attributes=attributes, clamp=False,
        )  # fmt: skip
    if bounds is not None:
        inputs = [_phaseless(codes).value, *(ctx.initializer(array, f"{node.name}_{key}") for key, array in bounds.items())]
        codes = ctx.emit_codes("Slice", inputs, output, y, name=f"{node.name}/crop", clamp=False)
    ctx.set_codes(output, codes)


def _shuffled(
    node: ir.Node, ctx: Context, codes: Codes, strides: Sequence[int], taps: Sequence[int], whole: str | None
) -> Codes:  # fmt: skip
    """The phases [C s_h s_w, H, W] between one another as [C, H s_h, W s_w], where DepthToSpace does not fit.

    It has one size of blocks, and two axes.
    """
    output, name, y = node.outputs[0], str(node.name), codes.params
    x = node.inputs[0]
    assert x is not None and x.shape is not None and output.shape is not None
    sizes = [int(str(size)) + t - 1 for size, t in zip(list(x.shape)[2:], taps, strict=True)]
    channels = int(str(output.shape[1]))
    apart = [-1, channels, *strides, *sizes]
    joined, rank = [-1, channels, *(size * s for size, s in zip(sizes, strides, strict=True))], len(strides)
    order = [axis for pair in zip(range(2 + rank, 2 + 2 * rank), range(2, 2 + rank), strict=True) for axis in pair]
    dtype = ir.DataType.from_numpy(y.int_type.dtype)
    like = ir.Value()

    def constant(shape: Sequence[int], what: str) -> ir.Value:
        return ctx.initializer(np.asarray(shape, np.int64), f"{name}_{what}")

    split = ctx.emit(
        "Reshape", [codes.value, constant(apart, "apart")], like, dtype, name=f"{name}/apart", output=f"{name}_apart"
    )
    turned = ctx.emit(
        "Transpose", [split], like, dtype, name=f"{name}/between", output=f"{name}_between",
        attributes={"perm": [0, 1, *order]},
    )  # fmt: skip
    return ctx.emit_codes(
        "Reshape", [turned, constant(joined, "joined")], output, y, name=f"{name}/shuffle", output=whole, final=whole is None,
        clamp=False,
    )  # fmt: skip


def crop_bounds(node: ir.Node, overhang: list[int]) -> dict[str, NDArray[np.int64]] | None:
    """Starts, ends and axes of the Slice; None where nothing is to be cut off."""
    rank = len(overhang)
    pads, more = attr_ints(node, "pads", [0, 0] * rank), attr_ints(node, "output_padding", [0] * rank)
    tails = [overhang[axis] + pads[axis + rank] - more[axis] for axis in range(rank)]
    if not any(pads[:rank]) and not any(tails):
        return None
    ends = [-tail if tail else _END for tail in tails]
    return {"starts": np.asarray(pads[:rank]), "ends": np.asarray(ends), "axes": np.arange(2, rank + 2)}


def _phaseless(codes: Codes) -> Codes:
    """Codes between the steps have not the shape of the float tensor that they are annotated with."""
    codes.value.shape = None
    return codes
