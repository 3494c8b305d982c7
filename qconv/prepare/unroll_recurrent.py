"""Write short recurrent layers step by step, in operators that have an integer form.

    RNN     h = f(x W + h R + b)
    GRU     z = s(...), r = s(...), h~ = tanh(x W + r (h R + c) + b) or tanh(x W + (r h) R + b), h = (1 - z) h~ + z h
    LSTM    i, o, f = s(...), c = f c + i tanh(...), h = o tanh(c)

The part of all steps that comes from x is one product. Layers with peepholes, clips, lengths of sequences or other functions
stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor
from qconv.model.graph import attr_int, attr_str, const_array, is_float
from qconv.model.traits import Trait, has_trait

from .steps import Steps

_MOST_STEPS = 64  # over all directions; more would make a graph that nobody can read, and gain nothing
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_ODD = ("clip", "activation_alpha", "activation_beta")

Array = NDArray[np.floating]


@dataclass
class _State:
    """What one step hands on: h and, of an LSTM, c; [batch, hidden]."""

    h: ir.Value | None
    c: ir.Value | None = None


def unroll_recurrent(model: ir.Model) -> int:
    """Replace every short layer; returns their number."""
    editor = Editor(model.graph)
    return sum(_unroll(editor, node) for node in tuple(model.graph) if node.op_type in _GATES and not node.domain)


def _unroll(editor: Editor, node: ir.Node) -> int:
    x, arrays = node.inputs[0], [const_array(value) for value in node.inputs[1:4]]
    weight, recurrence = arrays[0], arrays[1]
    if x is None or x.shape is None or not is_float(x) or weight is None or recurrence is None or not _is_plain(node):
        return 0
    length, directions, hidden = x.shape[0], weight.shape[0], recurrence.shape[-1]
    if not isinstance(length, int) or not 0 < length * directions <= _MOST_STEPS:
        return 0
    if len(node.inputs) > 3 and node.inputs[3] is not None and arrays[2] is None:
        return 0
    bias = arrays[2] if len(arrays) > 2 and arrays[2] is not None else np.zeros((directions, 2 * weight.shape[1]), np.float32)
    layer = _Layer(node, Steps(editor, node), x, length, hidden)
    reverse = attr_str(node, "direction", "forward") == "reverse"
    made = [
        layer.run(d, weight[d], recurrence[d], bias[d], backwards=reverse if directions == 1 else d == 1)
        for d in range(directions)
    ]
    layer.write(made)
    return 1


def _is_plain(node: ir.Node) -> bool:
    """Whether a layer has nothing but its weights and states."""
    functions = node.attributes.get("activations")
    usual = functions is None or list(functions.as_strings()) == _USUAL[node.op_type] * (2 if _is_both(node) else 1)
    odd = [index for index, value in enumerate(node.inputs) if value is not None and index in (4, 7)]
    others = attr_int(node, "layout", 0) or attr_int(node, "input_forget", 0) or any(name in node.attributes for name in _ODD)
    return usual and not odd and not others


def _is_zero(value: ir.Value) -> bool:
    """Whether a tensor holds only zeros, whatever its shape."""
    array, maker = const_array(value), value.producer()
    if array is not None or maker is None or maker.domain:
        return array is not None and not array.any()
    if maker.op_type == "ConstantOfShape":
        fill = maker.attributes.get("value")
        return fill is None or not fill.as_tensor().numpy().any()
    moves = has_trait(maker, Trait.MOVES | Trait.RESHAPES | Trait.PERMUTES)
    return moves and maker.inputs[0] is not None and _is_zero(maker.inputs[0])


def _is_both(node: ir.Node) -> bool:
    return attr_str(node, "direction", "forward") == "bidirectional"


class _Layer:
    """The nodes of one recurrent layer."""

    def __init__(self, node: ir.Node, steps: Steps, x: ir.Value, length: int, hidden: int) -> None:
        assert x.shape is not None
        self.node, self.steps, self.x, self.length, self.hidden = node, steps, x, length, hidden
        self.batch = x.shape[1]
        self.gates = _GATES[node.op_type]
        self._one = steps.constant([0], np.int64)

    def run(
        self, direction: int, weight: Array, recurrence: Array, bias: Array, *, backwards: bool
    ) -> tuple[list[ir.Value], _State]:
        """The outputs [1, batch, hidden] of all steps in the order of time, and the last state."""
        step, rule = self.steps, _CELLS[self.node.op_type]
        width = self.gates * self.hidden
        own, other = bias[:width], bias[width:]
        joined = own + other
        apart = self.node.op_type == "GRU" and attr_int(self.node, "linear_before_reset", 0)
        if self.node.op_type == "GRU":  # the bias of the recurrent part of h stands inside the product with r
            joined = np.concatenate([joined[: 2 * self.hidden], own[2 * self.hidden :]])
        inner = None if self.node.op_type != "GRU" else other[2 * self.hidden :]
        if inner is not None and not apart:
            joined[2 * self.hidden :] += inner
        whole = step("MatMul", self.x, step.constant(weight.T), shape=[self.length, self.batch, width])
        whole = step("Add", whole, step.constant(joined))
        parts = [self._part(whole, t, width) for t in range(self.length)]
        state = _State(self._initial(5, direction), self._initial(6, direction) if self.node.op_type == "LSTM" else None)
        outputs: list[ir.Value | None] = [None] * self.length
        for t in reversed(range(self.length)) if backwards else range(self.length):
            state = rule(self, parts[t], state, recurrence, inner if apart else None)
            outputs[t] = state.h
        return [step("Unsqueeze", h, self._one, shape=[1, self.batch, self.hidden]) for h in outputs], state

    def write(self, made: list[tuple[list[ir.Value], _State]]) -> None:
        """Y [length, directions, batch, hidden], Y_h and Y_c [directions, batch, hidden]."""
        step, node = self.steps, self.node
        axis, whole = step.constant([1], np.int64), list[ir.Value]()
        for outputs, _ in made:
            row = (
                outputs[0] if self.length == 1 else step("Concat", *outputs, shape=[self.length, self.batch, self.hidden], axis=0)
            )
            whole.append(step("Unsqueeze", row, axis, shape=[self.length, 1, self.batch, self.hidden]))
        for index, states in ((1, [state.h for _, state in made]), (2, [state.c for _, state in made])):
            if index < len(node.outputs) and (node.outputs[index].uses() or node.outputs[index].is_graph_output()):
                last = [step("Unsqueeze", state, self._one, shape=[1, self.batch, self.hidden]) for state in states]
                joined = last[0] if len(last) == 1 else step("Concat", *last, shape=[len(last), self.batch, self.hidden], axis=0)
                step.hand_over(node.outputs[index], joined)
        if len(whole) == 1:
            step.last("Identity", whole[0])
        else:
            step.last("Concat", *whole, axis=1)

    def recurrent(self, h: ir.Value | None, weight: Array) -> ir.Value | None:
        """The product h R', or None where h is all zeros."""
        return None if h is None else self.steps("MatMul", h, self.steps.constant(weight.T), shape=[self.batch, len(weight)])

    def split(self, value: ir.Value, count: int) -> list[ir.Value]:
        """[batch, count hidden] in parts of [batch, hidden]."""
        step, size = self.steps, self.hidden
        bounds = [(step.constant([i * size], np.int64), step.constant([(i + 1) * size], np.int64)) for i in range(count)]
        axis = step.constant([1], np.int64)
        return [step("Slice", value, low, high, axis, shape=[self.batch, size]) for low, high in bounds]

    def plus(self, a: ir.Value, b: ir.Value | None) -> ir.Value:
        """The sum a + b, where b may be zero."""
        return a if b is None else self.steps("Add", a, b)

    def _part(self, whole: ir.Value, t: int, width: int) -> ir.Value:
        return self.steps("Gather", whole, self.steps.constant(t, np.int64), shape=[self.batch, width], axis=0)

    def _initial(self, index: int, direction: int) -> ir.Value | None:
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None or _is_zero(value):
            return None
        place = self.steps.constant(direction, np.int64)
        return self.steps("Gather", value, place, shape=[self.batch, self.hidden], axis=0)


def _rnn(layer: _Layer, part: ir.Value, state: _State, recurrence: Array, inner: Array | None) -> _State:
    return _State(layer.steps("Tanh", layer.plus(part, layer.recurrent(state.h, recurrence))))


def _lstm(layer: _Layer, part: ir.Value, state: _State, recurrence: Array, inner: Array | None) -> _State:
    step = layer.steps
    i, o, f, g = layer.split(layer.plus(part, layer.recurrent(state.h, recurrence)), 4)
    fresh = step("Mul", step("Sigmoid", i), step("Tanh", g))
    kept = None if state.c is None else step("Mul", step("Sigmoid", f), state.c)
    c = layer.plus(fresh, kept)
    return _State(step("Mul", step("Sigmoid", o), step("Tanh", c)), c)


def _gru(layer: _Layer, part: ir.Value, state: _State, recurrence: Array, inner: Array | None) -> _State:
    step, size, h = layer.steps, layer.hidden, state.h
    xz, xr, xh = layer.split(part, 3)
    if h is None:
        z = step("Sigmoid", xz)
        if inner is not None:
            xh = layer.plus(xh, step("Mul", step("Sigmoid", xr), step.constant(inner)))
        fresh = step("Tanh", xh)
        return _State(step("Sub", fresh, step("Mul", z, fresh)))
    hz, hr = (layer.recurrent(h, recurrence[at : at + size]) for at in (0, size))
    z, r = step("Sigmoid", layer.plus(xz, hz)), step("Sigmoid", layer.plus(xr, hr))
    if inner is None:
        rest = layer.recurrent(step("Mul", r, h), recurrence[2 * size :])
    else:
        product = layer.recurrent(h, recurrence[2 * size :])
        assert product is not None
        rest = step("Mul", r, step("Add", product, step.constant(inner)))
    fresh = step("Tanh", layer.plus(xh, rest))
    return _State(step("Add", fresh, step("Mul", z, step("Sub", h, fresh))))


_CELLS: dict[str, Callable[[_Layer, ir.Value, _State, Array, Array | None], _State]] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}
