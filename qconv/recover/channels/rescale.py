"""Writes the factors of channels into the weights of a float graph, whose function stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from qconv.errors import ArtifactError
from qconv.model.edit import Editor
from qconv.model.graph import attr_int, const_array
from qconv.model.traits import Trait, has_trait
from qconv.ops.forms import as_groups, bias_of, gate_reach, of_groups
from qconv.plan.quant_plan import ChannelScales, border_of
from qconv.quant.types import FloatArray
from qconv.recover.channels.classes import ChannelClasses

Range = tuple[float, float]
Scales = Mapping[str, ChannelScales]


@dataclass(frozen=True)
class NewTensor:
    """A tensor that rescaling made. It has the values of `source`: within the interval `cut`, or divided by its factors."""

    source: str
    cut: Range | None = None


def rescale(graph: ir.Graph, classes: ChannelClasses, factors: Scales) -> dict[str, NewTensor]:
    """Divides channel c of each tensor by its factor, in place; tensors keep their names.

    A gate reads the tensor as it was, through a depthwise convolution with the factors as weights. Inputs of the graph are
    divided, and outputs multiplied, by a product that stays at the border, where lowering gives its factors to a QuantizeLinear
    or DequantizeLinear. Returns the new tensors that codes stand for.
    Raises ArtifactError where the factors do not fit the graph, or each other.
    """
    _check(graph, classes, factors)
    editor = Editor(graph)
    for node in classes.layers:
        _scale_layer(node, factors, editor)
    new = dict(_even_gate(node, factors, editor) for node in classes.gates if _name(node.inputs[0]) in factors)
    for value in classes.borders:
        if str(value.name) in factors:
            new[border_of(str(value.name))] = NewTensor(str(value.name))
            _cross_border(graph, value, factors[str(value.name)], editor)
    return new


def _check(graph: ir.Graph, classes: ChannelClasses, factors: Scales) -> None:
    known = {str(value.name): classes.of(value) for value in classes.values}
    of_class = np.full(classes.count, np.nan)
    of_class[0] = 1.0
    for name, scales in factors.items():
        channels = known.get(name)
        if channels is None or (channels.axis, len(channels.ids)) != (scales.axis, len(scales.factors)):
            what = "takes none" if channels is None else f"has {len(channels.ids)} channels on axis {channels.axis}"
            raise ArtifactError(f"the plan has channel scales for tensor {name}, which {what}; leave out all of them")
        for number, factor in zip(channels.ids.tolist(), scales.factors.tolist(), strict=True):
            if not np.isnan(of_class[number]) and of_class[number] != factor:
                raise ArtifactError(
                    f"the plan's channel scales of tensor {name} do not fit those of its neighbours; leave out all"
                )
            of_class[number] = factor
    for name, channels in known.items():
        wanted = of_class[channels.ids]
        if name not in factors and (~np.isnan(wanted) & (wanted != 1.0)).any():
            raise ArtifactError(
                f"the plan has channel scales for the neighbours of tensor {name}, and none for it; leave out all"
            )


def _name(value: ir.Value | None) -> str:
    return "" if value is None else str(value.name)


def _factors(value: ir.Value | None, scales: Scales) -> FloatArray | None:
    found = scales.get(_name(value))
    return None if found is None else found.factors


def _scale_layer(node: ir.Node, factors: Scales, editor: Editor) -> None:
    before, behind = (_factors(value, factors) for value in (node.inputs[0], node.outputs[0]))
    weight, bias = const_array(node.inputs[1]), bias_of(node)
    if weight is None or (before is None and behind is None):
        return
    group = attr_int(node, "group", 1)
    scaled = as_groups(node, weight).astype(np.float64)
    if before is not None:
        scaled = scaled * before.astype(np.float64).reshape(group, 1, -1, 1)
    if behind is not None:
        scaled = scaled / behind.astype(np.float64).reshape(group, -1, 1, 1)
        if bias is not None:
            editor.set_constant(node, 2, np.asarray(bias / behind, bias.dtype), "bias")
    editor.set_constant(node, 1, np.ascontiguousarray(of_groups(node, scaled, weight.shape), np.float32), "weight")


def _cross_border(graph: ir.Graph, value: ir.Value, scales: ChannelScales, editor: Editor) -> None:
    """Puts a product between an input and its readers, or between the maker of an output and the output."""
    name, border = str(value.name), border_of(str(value.name))
    assert value.shape is not None
    along = [-1 if axis == scales.axis else 1 for axis in range(len(value.shape))]
    is_input = value.producer() is None
    factors = 1.0 / scales.factors.astype(np.float64) if is_input else scales.factors
    constant = editor.constant(f"{border}_factors", factors.astype(np.float32).reshape(along))
    other = ir.Value(name=border, type=value.type, shape=value.shape)
    if is_input:
        readers = [(use.node, use.idx) for use in value.uses()]
        graph.insert_before(graph[0], ir.Node("", "Mul", [value, constant], outputs=[other], name=border))
        for reader, index in readers:
            reader.replace_input_with(index, other)
        return
    value.name, other.name = border, name
    graph.append(ir.Node("", "Mul", [value, constant], outputs=[other], name=border))
    graph.outputs[:] = [other if output is value else output for output in graph.outputs]


def _even_gate(node: ir.Node, factors: Scales, editor: Editor) -> tuple[str, NewTensor]:
    value = node.inputs[0]
    assert value is not None and value.shape is not None
    k = factors[str(value.name)].factors
    weight = editor.constant(f"{node.name}/even_weight", k.reshape(-1, 1, *[1] * (len(value.shape) - 2)).astype(np.float32))
    even = editor.insert_before(node, "Conv", [value, weight], {"group": len(k)}, name=f"{node.name}/even", shape=value.shape)
    if has_trait(node, Trait.GATES_ITSELF):
        gate = editor.insert_before(
            node, "HardSigmoid", [even], {"alpha": 1.0 / 6.0, "beta": 0.5}, name=f"{node.name}/gate", shape=value.shape
        )
        editor.rewrite(node, "Mul", [value, gate])
        return str(even.name), NewTensor(str(value.name), (-3.0, 3.0))
    node.replace_input_with(0, even)
    return str(even.name), NewTensor(str(value.name), gate_reach(node))
