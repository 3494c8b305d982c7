"""QuantizeLinear and DequantizeLinear as what they say about a tensor: its parameters.

A QuantizeLinear of x pins x and gives way to it; what lies between it and its DequantizeLinear only moves elements, and
moves reals then. A DequantizeLinear of a constant is a weight or a bias. At the borders codes stay: an integer input has a
DequantizeLinear, and the last QuantizeLinear stands where the model gives codes.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ModelError
from qconv.model.edit import Editor
from qconv.model.given import mark_given
from qconv.model.graph import attr_int, const_array, is_float, sole_consumer
from qconv.model.traits import Trait, has_trait
from qconv.quant.pins import PinnedWeight, Pins
from qconv.quant.types import QuantParams
from qconv.sentences import some_of

from .code_types import TYPES, WIDE, clip_behind, code_type, same_step, type_within
from .constants import codes_of_constant, reals_of_constant

_OPERANDS = Trait.SUMS | Trait.MULTIPLIES | Trait.JOINS  # of a constant that is no weight
_KEEP_CODES = Trait.MOVES | Trait.EXTREMES | Trait.CLAMPS | Trait.JOINS | Trait.FILLS


class Pairs:
    """The pairs of one graph; `remove` takes them out, `pins` tells what they said."""

    def __init__(self, model: ir.Model) -> None:
        self._editor, self._graph = Editor(model.graph), model.graph
        self._activations: dict[ir.Value, QuantParams] = {}
        self._weights: list[PinnedWeight] = []
        self._borders: set[ir.Node] = set()
        self._real_inputs: dict[ir.Value, ir.Value] = {}
        self._calibrated: dict[str, list[ir.Value]] = {}
        self.count = 0
        self.notes: list[str] = []

    def remove(self) -> None:
        """Takes out all pairs, in the order of the graph."""
        for node in tuple(self._graph):
            if has_trait(node, Trait.QUANTIZES):
                self._quantizer(node)
            elif has_trait(node, Trait.DEQUANTIZES):
                self._dequantizer(node)
        for reason, values in self._calibrated.items():
            self.notes.append(f"{some_of(list(dict.fromkeys(str(value.name) for value in values)))} {reason}")
        self._retype()

    def is_border(self, node: ir.Node) -> bool:
        """Whether a node stays, because the model takes or gives codes there."""
        return node in self._borders

    def pins(self) -> Pins:
        """The parameters by the names that the tensors have now, which are marked."""
        activations: dict[ir.Value, QuantParams] = {}
        for value, params in self._activations.items():
            activations.setdefault(self._before_reshapes(value), params)
        mark_given(activations)
        return Pins({str(value.name): params for value, params in activations.items()}, tuple(self._weights))

    def _before_reshapes(self, value: ir.Value) -> ir.Value:
        """The tensor that a value has the elements of, and shares its codes with; what lies between may be simplified away."""
        maker = value.producer()
        x = maker.inputs[0] if maker is not None and has_trait(maker, Trait.RESHAPES) else None
        free = x is not None and x not in self._activations and x.producer() is not None and sole_consumer(x) is maker
        return self._before_reshapes(x) if x is not None and free else value

    def _quantizer(self, node: ir.Node) -> None:
        x, codes = node.inputs[0], node.outputs[0]
        assert x is not None
        self.count += 1
        array = const_array(x)
        if array is not None:
            self._quantize_constant(node, array)
            return
        params = self._clipped(node, self._parameters(node))
        if params is not None:
            self._pin(x, params, node)
        if codes.is_graph_output():
            self._borders.add(node)
            for user, index in tuple(codes.uses()):
                user.replace_input_with(index, x)
            return
        codes.replace_all_uses_with(x)
        self._graph.remove(node, safe=True)

    def _quantize_constant(self, node: ir.Node, array: NDArray[np.generic]) -> None:
        """A weight that is quantized in the graph, as its codes; a Clip behind works on codes."""
        codes, output = codes_of_constant(node, array), node.outputs[0]
        clip = clip_behind(node, code_type(output))
        if clip is not None:
            codes, output = codes.clip(*clip.ends), clip.node.outputs[0]
        output.replace_all_uses_with(self._editor.constant(f"{node.name}/codes", codes))
        if clip is not None:
            self._graph.remove(clip.node, safe=True)
        self._graph.remove(node, safe=True)

    def _clipped(self, node: ir.Node, params: QuantParams | None) -> QuantParams | None:
        """The parameters within a Clip of the codes right behind, which goes: it says that they have fewer bits."""
        clip = None if params is None else clip_behind(node, params.int_type)
        if params is None or clip is None:
            return params
        low, high = clip.ends
        found = type_within(params.int_type, low, high)
        if found is None or not low <= int(params.zero_point.min()) <= int(params.zero_point.max()) <= high:
            return params
        clip.node.outputs[0].replace_all_uses_with(node.outputs[0])
        self._graph.remove(clip.node, safe=True)
        return QuantParams(params.scale, params.zero_point, found, params.axis)

    def _pin(self, x: ir.Value, params: QuantParams, node: ir.Node) -> None:
        known = self._activations.setdefault(x, params)
        if known.int_type.bits != params.int_type.bits or not same_step(known, params):
            self.notes.append(f"{node.name} gives {x.name} a second scale, which is not used")

    def _dequantizer(self, node: ir.Node) -> None:
        x, reals = node.inputs[0], node.outputs[0]
        assert x is not None
        array = const_array(x)
        if array is not None:
            self._constant(node, x, array)
            return
        params = self._parameters(node)
        self._skip_casts(node)
        if params is not None:
            self._make_real(node, 0, params)
            x = node.inputs[0]
            assert x is not None
            source = self._source(x)
            if source is None or same_step(self._activations[source], params):
                self._activations.setdefault(x, params)
            else:
                self.notes.append(f"{node.name} reads {x.name} under another scale than it was written with, which is not used")
        if reals.is_graph_output():
            if x.is_graph_input() or x.is_graph_output():
                self._editor.rewrite(node, "Identity", [x])
                return
            name = str(reals.name)
            reals.replace_all_uses_with(x, replace_graph_outputs=True)
            self._graph.remove(node, safe=True)
            x.name = name
            return
        reals.replace_all_uses_with(x)
        self._graph.remove(node, safe=True)

    def _skip_casts(self, node: ir.Node) -> None:
        """Lets a DequantizeLinear read what was cast to wider integers and back, all of which hold the codes."""
        value, passed = node.inputs[0], list[ir.DataType]()
        maker = None if value is None else value.producer()
        while value not in self._activations and maker is not None and has_trait(maker, Trait.CASTS):
            passed += [] if value is None or value.dtype is None else [value.dtype]
            value = maker.inputs[0]
            maker = None if value is None else value.producer()
        params = None if value is None else self._activations.get(value)
        if params is not None and passed and all(_holds(dtype, params) for dtype in passed):
            node.replace_input_with(0, value)

    def _source(self, value: ir.Value) -> ir.Value | None:
        """The tensor with a pin that the elements of a value come from."""
        while value not in self._activations:
            maker = value.producer()
            if maker is None or not has_trait(maker, _KEEP_CODES) or maker.inputs[0] is None:
                return None
            value = maker.inputs[0]
        return value

    def _make_real(self, node: ir.Node, index: int, params: QuantParams) -> None:
        """Lets an input of a node be reals, where codes come to it from a constant or from an input of the graph."""
        value = node.inputs[index]
        assert value is not None
        array = const_array(value)
        if value in self._activations or is_float(value) or value.dtype not in TYPES:
            return
        if array is not None:
            reals = self._editor.constant(f"{value.name}/real", params.dequantize(array))
            node.replace_input_with(index, reals)
            return
        maker = value.producer()
        if maker is None:
            if value not in self._real_inputs:
                self._real_inputs[value] = self._reals_of_input(node, value, params)
            node.replace_input_with(index, self._real_inputs[value])
            return
        if not has_trait(maker, _KEEP_CODES):
            raise ModelError(
                f"node {maker.name} ({maker.op_type}) computes with codes that a DequantizeLinear reads; give the float model"
            )
        for place in _places_of_codes(maker):
            self._make_real(maker, place, params)
        value.type = ir.TensorType(ir.DataType.FLOAT)

    def _constant(self, node: ir.Node, x: ir.Value, array: NDArray[np.generic]) -> None:
        """The reals of a weight or a bias, and a pin of a weight."""
        output = node.outputs[0]
        found = reals_of_constant(node, array)
        value = self._editor.constant(str(output.name), found.reals)
        if x.dtype in TYPES and array.ndim > 1:
            self.count += 1
            if found.params is None:
                self.notes.append(f"weight {output.name} has a scale for each block, and gets one for each channel")
            elif found.params.axis is None and any(has_trait(user, _OPERANDS) for user in output.consumers()):
                self._activations[value] = found.params
            else:
                self._weights.append(PinnedWeight(str(output.name), found.reals, found.params))
        output.replace_all_uses_with(value, replace_graph_outputs=True)
        self._graph.remove(node, safe=True)

    def _reals_of_input(self, node: ir.Node, x: ir.Value, params: QuantParams) -> ir.Value:
        """An integer input as reals, by a DequantizeLinear that stays."""
        self.count += 1
        scale, zero = (
            self._editor.constant(f"{x.name}/scale", params.scale),
            self._editor.constant(f"{x.name}/zero", params.zero_point),
        )
        real = self._editor.insert_before(node, "DequantizeLinear", [x, scale, zero], name=f"{x.name}/real", shape=x.shape)
        maker = real.producer()
        assert maker is not None
        self._borders.add(maker)
        self._activations[real] = params
        return real

    def _parameters(self, node: ir.Node) -> QuantParams | None:
        """The parameters of an activation, None where its type has more than 8 bits: its range is calibrated then."""
        scale = const_array(node.inputs[1])
        zero = node.inputs[2] if len(node.inputs) > 2 else None
        typed = node.inputs[0] if zero is None else zero
        array, dtype = const_array(zero), None if typed is None else typed.dtype
        if scale is None or (zero is not None and array is None):
            raise ModelError(
                f"node {node.name} ({node.op_type}) computes its parameters at run time, which cut off what no calibration "
                "knows; make them constants, or give the float model"
            )
        if zero is None and has_trait(node, Trait.QUANTIZES):
            dtype = ir.DataType(attr_int(node, "output_dtype", int(ir.DataType.UINT8)) or int(ir.DataType.UINT8))
        if dtype in WIDE:
            self._calibrate(node, "have 16 bits, and are calibrated for 8")
            return None
        if dtype not in TYPES:
            kind = "an unknown type" if dtype is None else dtype.name.lower()
            raise ModelError(
                f"node {node.name} ({node.op_type}) has codes of {kind}, which no integer kernel takes; use int8 or uint8"
            )
        if scale.size > 1:
            if np.unique(scale).size > 1:
                self._calibrate(node, "are activations with a scale for each channel, and are calibrated for one")
                return None
            scale = scale.reshape(-1)[0]
        if not np.asarray(scale, np.float32) > 0:
            raise ModelError(
                f"node {node.name} ({node.op_type}) has a scale of {float(scale):g}, and a step of codes is above 0; "
                "mend it, or leave the pair out"
            )
        point = 0 if array is None else int(array.reshape(-1)[0])
        return QuantParams(np.asarray(scale, np.float32).reshape(()), np.asarray(point), TYPES[dtype])

    def _calibrate(self, node: ir.Node, reason: str) -> None:
        """Notes that what a node gives of its tensor is not used."""
        assert node.inputs[0] is not None
        self._calibrated.setdefault(reason, []).append(node.inputs[0])

    def _retype(self) -> None:
        """What moved codes moves reals."""
        for node in self._graph:
            x = node.inputs[0] if node.inputs else None
            if x is not None and is_float(x) and has_trait(node, _KEEP_CODES):
                for output in node.outputs:
                    if output.dtype in (*TYPES, *WIDE):
                        output.type = ir.TensorType(ir.DataType.FLOAT)


def _holds(dtype: ir.DataType, params: QuantParams) -> bool:
    """Whether an integer type has all codes of some parameters."""
    kind = np.dtype(dtype.numpy())
    if kind.kind not in "iu":
        return False
    limits = np.iinfo(kind)
    return int(limits.min) <= params.int_type.qmin and params.int_type.qmax <= int(limits.max)


def _places_of_codes(node: ir.Node) -> list[int]:
    """Which inputs of a node are codes like its first: parts to join, bounds, and what a Pad brings in."""
    places = range(len(node.inputs)) if has_trait(node, Trait.JOINS | Trait.CLAMPS | Trait.FILLS) else range(1)
    x = node.inputs[0]
    kinds = {None if x is None else x.dtype, *(value.dtype for value in node.outputs)}
    return [place for place in places if (value := node.inputs[place]) is not None and (not place or value.dtype in kinds)]
