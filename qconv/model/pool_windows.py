"""Pools in ceil_mode with the windows that onnxruntime makes: onnx's shape inference may count one more.

    out = ceil((in + pads - reach) / stride) + 1
    less one where (out - 1) stride >= in + begin, that is where a window would start behind the map

Such a pool is written with floor and end pads of max(0, (out - 1) stride + reach - in - begin), which gives the same windows.
The padding that an average counts must not grow by it: with count_include_pad, pools whose end pads would grow stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import helper

from qconv.model.traits import TRAITS, Trait


def settle_windows(proto: onnx.ModelProto) -> bool:
    """Rewrites, in place, the pools of the main graph whose inferred size is not onnxruntime's; whether there were any.

    What was inferred behind them is forgotten, as it may be wrong.
    """
    graph = proto.graph
    shapes = {info.name: info.type.tensor_type for info in (*graph.input, *graph.value_info, *graph.output)}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or not TRAITS.get(("", node.op_type), Trait.NONE) & Trait.POOLS:
            continue
        source, result = _sizes(shapes.get(node.input[0])), _sizes(shapes.get(node.output[0]))
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        same = attributes.get("auto_pad", b"NOTSET") in (
            b"SAME_UPPER",
            b"SAME_LOWER",
        )  # ceil(in / stride), with or without ceil_mode
        if source is None or result is None or not attributes.get("ceil_mode", 0) or same:
            continue
        windows = list(_windows(source, attributes))
        given = list(attributes.get("pads", [0] * 2 * len(windows)))
        pads = [*given[: len(windows)], *(end for _, end in windows)]
        grows = any(end > old for (_, end), old in zip(windows, given[len(windows) :], strict=True))
        if [out for out, _ in windows] == result or (attributes.get("count_include_pad", 0) and grows):
            continue
        kept = [attribute for attribute in node.attribute if attribute.name not in ("ceil_mode", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])
        del graph.value_info[:]
        for output in graph.output:
            output.type.tensor_type.ClearField("shape")
        return True
    return False


def _sizes(kind: onnx.TypeProto.Tensor | None) -> list[int] | None:
    """The sizes of the map, where all are known."""
    if kind is None or not kind.HasField("shape"):
        return None
    dims = kind.shape.dim[2:]
    return [dim.dim_value for dim in dims] if all(dim.HasField("dim_value") for dim in dims) else None


def _windows(source: list[int], attributes: dict[str, list[int]]) -> Iterator[tuple[int, int]]:
    """For each axis the number of windows, and the end padding that the last one needs."""
    kernel, rank = attributes["kernel_shape"], len(source)
    strides, dilations = attributes.get("strides", [1] * rank), attributes.get("dilations", [1] * rank)
    pads = attributes.get("pads", [0] * 2 * rank)
    for axis, size in enumerate(source):
        begin, reach = pads[axis], dilations[axis] * (kernel[axis] - 1) + 1
        out = -(-(size + begin + pads[axis + rank] - reach) // strides[axis]) + 1
        if (out - 1) * strides[axis] >= size + begin:
            out -= 1
        yield out, max(0, (out - 1) * strides[axis] + reach - size - begin)
