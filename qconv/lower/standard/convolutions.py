"""QLinearConv with several weight scales: one for each scale, joined along the channels and put in order.

The plan gives the channels of a layer few scales (plan/few_scales.py), since runtimes besides onnxruntime take one for a tensor,
or read several along another axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.integer.language.multipliers import multipliers_of
from qconv.lower.builder import Attribute
from qconv.lower.context import Context
from qconv.lower.standard.operands import reads_of, written_by
from qconv.model.graph import attr_int, const_array
from qconv.quant.types import INT8, QuantParams

_BIAS = 8


def write_convolution(node: ir.Node, ctx: Context) -> ir.Value:
    """Groups stay whole: all channels of one have the same scale."""
    x, w = reads_of(node)
    y, output, name = written_by(node), node.outputs[0], str(node.name)
    weight = const_array(w.value)
    assert weight is not None
    groups = attr_int(node, "group", 1)
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    parts, order = [], []
    for number, members in enumerate(_alike(w.params.scale, groups)):
        channels = _spread(members, outputs) if groups > 1 else members
        source = x.value if groups == 1 else _channels(ctx, x.value, _spread(members, inputs), f"{name}/{number}/input")
        parts.append(_part(node, ctx, source, channels, len(members) if groups > 1 else 1, f"{name}/{number}"))
        order.append(channels)
    dtype, like = ir.DataType.from_numpy(y.int_type.dtype), output
    if len(parts) == 1:
        return parts[0]
    axis: dict[str, Attribute] = {"axis": 1}
    joined = ctx.emit("Concat", parts, like, dtype, name=f"{name}/join", output=f"{name}_joined", attributes=axis)
    places = np.argsort(np.concatenate(order))
    return joined if (np.diff(places) == 1).all() else _channels(ctx, joined, places, f"{name}/order")


def _alike(scale: NDArray[np.floating], groups: int) -> Iterator[NDArray[np.int64]]:
    """The groups of a layer with groups, or the channels of one without, by their scale."""
    scales = scale if groups == 1 else scale.reshape(groups, -1).max(axis=1)
    return (np.flatnonzero(scales == value) for value in np.unique(scales))


def _spread(groups: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The channels of groups that have `size` each."""
    return np.asarray((groups[:, None] * size + np.arange(size)).reshape(-1))


def _channels(ctx: Context, value: ir.Value, which: NDArray[np.int64], name: str) -> ir.Value:
    """Some channels of a map, taken from its rows: OpenVINO's kernels err on a Gather right in front of a convolution."""
    rows, like = ir.Value(shape=None), ir.Value(shape=_with_channels(value, len(which)))
    dtype, axis = value.dtype, {"axis": 1}
    assert dtype is not None
    flat = ctx.initializer(np.asarray([0, 0, -1]), f"{name}_rows_shape")
    flattened = ctx.emit("Reshape", [value, flat], rows, dtype, name=f"{name}/rows", output=f"{name}_rows")
    places = ctx.initializer(which, f"{name}_channels")
    taken = ctx.emit("Gather", [flattened, places], rows, dtype, name=name, output=f"{name}_taken", attributes=axis)
    shape = _map_shape(ctx, value, len(which), name)
    return ctx.emit("Reshape", [taken, shape], like, dtype, name=f"{name}/map", output=f"{name}_map")


def _map_shape(ctx: Context, value: ir.Value, channels: int, name: str) -> ir.Value:
    """The shape of a map with so many channels; what is not known of it is read from the map."""
    sizes = [None, None] if value.shape is None else list(value.shape[2:])
    if sum(not isinstance(size, int) for size in sizes) <= 1:
        known = [size if isinstance(size, int) else -1 for size in sizes]
        return ctx.initializer(np.asarray([0, channels, *known], np.int64), f"{name}_map_shape")
    whole = some = ir.Value(shape=ir.Shape([None]))
    tail: dict[str, Attribute] = {"start": 2}
    head = ctx.initializer(np.asarray([0, channels], np.int64), f"{name}_map_head")
    spatial = ctx.emit(
        "Shape", [value], whole, ir.DataType.INT64, name=f"{name}/size", output=f"{name}_size", attributes=tail
    )  # fmt: skip
    joined: dict[str, Attribute] = {"axis": 0}
    return ctx.emit(
        "Concat", [head, spatial], some, ir.DataType.INT64, name=f"{name}/shape", output=f"{name}_shape", attributes=joined
    )  # fmt: skip


def _part(node: ir.Node, ctx: Context, x: ir.Value, channels: NDArray[np.int64], groups: int, name: str) -> ir.Value:
    """The layer with some of its filters, and the one scale that they have."""
    _, w = reads_of(node)
    y, weight, output = written_by(node), const_array(w.value), node.outputs[0]
    assert weight is not None
    params = QuantParams(w.params.scale[channels[0]], np.asarray(0), INT8)
    inputs: list[ir.Value | None] = [
        x, *node.inputs[1:3], ctx.initializer(weight[channels], f"{name}_weight"),
        *ctx.scale_and_zero_point(params, f"{name}_weight"), *node.inputs[6:8],
    ]  # fmt: skip
    if len(node.inputs) > _BIAS:
        bias = const_array(node.inputs[_BIAS])
        assert bias is not None
        inputs.append(ctx.initializer(bias[channels], f"{name}_bias"))
    attributes: dict[str, Attribute | ir.Attr] = {**{a.name: a for a in node.attributes.values()}, "group": groups}
    like, dtype = ir.Value(shape=_with_channels(output, len(channels))), ir.DataType.from_numpy(y.int_type.dtype)
    value = ctx.emit("QLinearConv", inputs, like, dtype, name=name, output=f"{name}_part", attributes=attributes)
    maker, meaning = value.producer(), ctx.meanings.get(node)
    if maker is not None and meaning is not None:
        ctx.meanings[maker] = replace(meaning, tensors=(None,), multipliers=tuple(multipliers_of(maker)))
    return value


def _with_channels(value: ir.Value, channels: int) -> ir.Shape | None:
    return None if value.shape is None else ir.Shape([channels if i == 1 else size for i, size in enumerate(value.shape)])
