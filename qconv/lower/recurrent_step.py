"""One step of a recurrent layer in int32: what its gates are made of, and how its states follow.

A share is what a gate lets through, in steps of 2^-14; what stands in front of a gate is in steps of 2^-12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.lower.context import Context
from qconv.lower.entries import FEW
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_float, attr_int, const_array
from qconv.quant.types import UINT8, QuantParams

PART, SHARE, CELL = 12, 14, 11  # bits behind the point
ONE = 1 << SHARE
LARGEST_CELL = (1 << 15) - 1
FARTHEST = 1 << (PART + 5)  # of a part in front of a gate
_HALF = 1 << (SHARE - 1)
_REACH = 8  # a gate is settled beyond it
_ENTRIES = 4096
_PER_ENTRY = 2 * _REACH * (1 << PART) // _ENTRIES
_STEPS_OF_H = 127
_NO_OVERFLOW = 1 << 29  # of the sums in front of a gate
_MOST_DOUBLINGS = 4
MIDDLE = _REACH << PART  # what a part in front of a gate is raised by, so that none that matters is negative
LIFT = 1 << 16  # of products that are rounded, which an LSTM's h keeps
_Array = NDArray[np.floating]


@dataclass(frozen=True)
class Given:
    """What one step starts from, [batch, width]: its part of x, and the states; `read` tells whether the sequence has it."""

    part: ir.Value
    h: ir.Value
    c: ir.Value | None
    read: ir.Value | None


class RecurrentStep:
    """Writes one step of one direction of a layer."""

    def __init__(self, node: ir.Node, ctx: Context, number: int) -> None:
        self.node, self.ctx, self.number = node, ctx, number
        self.build = WideBuilder(ctx, f"{node.name}/{number}")
        arrays = [const_array(value) for value in [*node.inputs, *[None] * 8][:8]]
        weight, recurrence, bias, peepholes = arrays[1], arrays[2], arrays[3], arrays[7]
        assert weight is not None and recurrence is not None
        self.weight, self.recurrence = weight[number], recurrence[number]
        self.hidden = self.recurrence.shape[1]
        width = len(self.weight)
        self.own, self.other = np.zeros(width), np.zeros(width)
        if bias is not None:
            self.own, self.other = bias[number][:width], bias[number][width:]
        self.peepholes = None if peepholes is None else peepholes[number]
        self.has_cell = node.op_type == "LSTM"
        self.counts = node.inputs[4] if len(node.inputs) > 4 else None
        self.doublings = self._doublings()
        limit = attr_float(node, "clip", 0.0)
        self.reach = min(_REACH, limit) if limit > 0 else _REACH

    def _doublings(self) -> int:
        """How often the limit of h, 1 for all that a layer makes itself, is doubled to hold the first h that is given."""
        first = self.node.inputs[5] if len(self.node.inputs) > 5 else None
        reach = 0.0 if first is None else max(map(abs, self.ctx.params(first).ends))
        return min(_MOST_DOUBLINGS, max(0, int(np.ceil(np.log2(max(reach, 1e-30))))))

    @property
    def lift(self) -> int:
        """What h is raised by: an LSTM reads it in products with weights alone, whose offset takes it back."""
        return LIFT if self.has_cell else 0

    def state(self, share: ir.Value, step: str) -> ir.Value:
        """A value in steps of 2^-14 in those of h."""
        if not self.doublings:
            return share
        return self.build.emit("Div", [share, self.build.constant(1 << self.doublings, f"{step}_size")], share, step)

    def weighs_late(self) -> bool:
        """Whether the reset gate of a GRU weighs the product with h and its bias, and not h."""
        return self.node.op_type == "GRU" and bool(attr_int(self.node, "linear_before_reset", 0))

    def quantized(self, weight: _Array) -> tuple[NDArray[np.int8], _Array]:
        """The transposed weight in codes, by column; 7 bits where neighbouring products may be added in 16."""
        largest = 63 if self.ctx.target.arithmetic.adds_pairs_in_int16 else 127
        scale = np.maximum(np.abs(weight).max(axis=1), 1e-30).astype(np.float64) / largest
        return np.ascontiguousarray(np.rint(weight / scale[:, None]).T.astype(np.int8)), scale

    def in_steps(
        self, x: Wide, factor: _Array, shift: _Array, like: ir.Value, step: str, bits: int = PART, *, cut: bool = True
    ) -> ir.Value:
        """factor x + shift in steps of 2^-bits, within 32 or, if it needs no `cut`, within 2^29 steps."""
        build = WideBuilder(self.ctx, f"{self.build.place}/{step}")
        unit = QuantParams(np.asarray(2.0**-bits, np.float32), np.asarray(0), UINT8)
        moved = build.affine(x, factor, shift, unit, like, reach=FARTHEST * 2.0**-bits)
        fine = round(np.log2(2.0**-bits / moved.scale))
        value = build.emit("Div", [moved.value, build.constant(1 << fine, "fine")], like, "steps")
        low, high = (int(end / (1 << fine)) for end in (moved.low, moved.high))
        return build.clipped(Wide(value, 2.0**-bits, 0.0, low, high), FARTHEST if cut else _NO_OVERFLOW, "within").value

    def recurrent(
        self, h: ir.Value, rows: slice, step: str, shift: _Array | None = None, *, cut: bool = True, lift: int = 0
    ) -> ir.Value:
        """h R' (+ shift) for some rows of R, from codes of h, which is raised by `lift`."""
        build, like = self.build, ir.Value(shape=ir.Shape([None, len(self.recurrence[rows])]))
        scaled = self.bounded(h, _STEPS_OF_H, (128 << SHARE) - lift * _STEPS_OF_H, h, f"{step}_codes")
        codes = build.emit("Cast", [scaled], h, f"{step}_small", ir.DataType.UINT8, to=int(ir.DataType.UINT8))
        matrix, scale = self.quantized(self.recurrence[rows])
        reach = int(np.abs(matrix.astype(np.int64)).sum(axis=0).max()) * _STEPS_OF_H
        zero = self.ctx.initializer(np.asarray(128, np.uint8), f"{build.place}_{step}_zero")
        weight = self.ctx.initializer(matrix, f"{build.place}_{step}quantized")
        sums = build.emit("MatMulInteger", [codes, weight, zero], like, f"{step}_sums")
        moved = np.zeros(1) if shift is None else shift
        factor = scale * 2.0**self.doublings / _STEPS_OF_H
        return self.in_steps(Wide(sums, 1.0, 0.0, -reach, reach), factor, moved, like, step, cut=cut)

    def bounded(self, a: ir.Value, factor: int, offset: int, like: ir.Value, step: str) -> ir.Value:
        """(factor a + offset) / 2^14, rounded; not below zero."""
        build = self.build
        product = build.emit("Mul", [a, build.constant(factor, f"{step}_factor")], like, f"{step}_product")
        moved = build.emit("Add", [product, build.constant(offset + _HALF, f"{step}_offset")], like, f"{step}_moved")
        return build.emit("Div", [moved, build.constant(ONE, f"{step}_one")], like, f"{step}_bounded")

    def product(self, share: ir.Value, b: ir.Value, like: ir.Value, step: str, added: ir.Value | None = None) -> ir.Value:
        """share b + added, rounded, where the share is in steps of 2^-14, |b| at most 2^15 and |added| less than 2^29."""
        value = self.raised_product(share, b, like, step, added)
        return self.build.emit("Sub", [value, self.build.constant(LIFT, f"{step}_back")], like, step)

    def raised_product(self, share: ir.Value, b: ir.Value, like: ir.Value, step: str, added: ir.Value | None = None) -> ir.Value:
        """The same, raised by 2^16."""
        build = self.build
        value = build.emit("Mul", [share, b], like, f"{step}_product")
        value = value if added is None else build.emit("Add", [value, added], like, f"{step}_sum")
        value = build.emit("Add", [value, build.constant((LIFT << SHARE) + _HALF, f"{step}_offset")], like, f"{step}_moved")
        return build.emit("Div", [value, build.constant(ONE, f"{step}_one")], like, f"{step}_quotient")

    def gates(self, a: ir.Value, functions: Sequence[str], step: str) -> ir.Value:
        """The functions of parts of one width each, raised by MIDDLE, in steps of 2^-14."""
        build, ends = self.build, int(self.reach * (1 << PART))
        like = ir.Value(shape=ir.Shape([None, self.hidden * len(functions)]))
        low, high = (build.constant(MIDDLE + end, f"{step}_end") for end in (-ends, ends - 1))
        within = build.emit("Clip", [a, low, high], like, f"{step}_clip")
        index = build.emit("Div", [within, build.constant(_PER_ENTRY, f"{step}_size")], like, f"{step}_entry")
        starts = np.repeat([0 if function == "Sigmoid" else _ENTRIES for function in functions], self.hidden)
        if starts.any():
            index = build.emit("Add", [index, build.constant(starts, f"{step}_starts")], like, f"{step}_index")
        return self._found(index, like, step)

    def tanh_of_cell(self, c: ir.Value, step: str) -> ir.Value:
        """tanh of the state of a cell in steps of 2^-11, in steps of 2^-14."""
        build, ends, size = self.build, int(self.reach * (1 << CELL)), _PER_ENTRY >> (PART - CELL)
        low, high = (build.constant(end, f"{step}_end") for end in (-ends, ends - 1))
        within = build.emit("Clip", [c, low, high], c, f"{step}_clip")
        start = build.constant((_REACH << CELL) + _ENTRIES * size, f"{step}_start")
        placed = build.emit("Add", [within, start], c, f"{step}_placed")
        return self._found(build.emit("Div", [placed, build.constant(size, f"{step}_size")], c, f"{step}_index"), c, step)

    def _found(self, index: ir.Value, like: ir.Value, step: str) -> ir.Value:
        """The entries of the table at some places, [batch, width]."""
        build, x, table = self.build, self.node.inputs[0], self.build.constant(_table(), f"{step}_table")
        width = 0 if like.shape is None else like.shape[1]
        assert isinstance(width, int)
        batch = None if x is None or x.shape is None else x.shape[1]
        if width * (batch if isinstance(batch, int) else 1) <= FEW:
            return build.emit("Gather", [table, index], like, step, axis=0)
        flat = ir.Value(shape=ir.Shape([None]))
        shapes = [self.ctx.initializer(np.asarray(s, np.int64), f"{build.place}_{step}_shape") for s in ([-1], [-1, width])]
        rows = build.emit("Reshape", [index, shapes[0]], flat, f"{step}_flat")
        return build.emit(
            "Reshape", [build.emit("GatherElements", [table, rows], flat, f"{step}_found", axis=0), shapes[1]], like, step
        )

    def part(self, value: ir.Value, first: int, last: int, step: str) -> ir.Value:
        """The columns of some gates."""
        bounds = (first * self.hidden, last * self.hidden, 1)
        constants = [self.ctx.initializer(np.asarray([b], np.int64), f"{self.build.place}_{step}_bound") for b in bounds]
        return self.build.emit("Slice", [value, *constants], ir.Value(shape=ir.Shape([None, bounds[1] - bounds[0]])), step)

    def plus(self, a: ir.Value, b: ir.Value, step: str) -> ir.Value:
        """a + b."""
        return self.build.emit("Add", [a, b], a, step)

    def peephole(self, c: ir.Value, number: int, step: str) -> ir.Value:
        """p c in steps of 2^-12."""
        assert self.peepholes is not None
        weight = self.peepholes[number * self.hidden : (number + 1) * self.hidden].astype(np.float64)
        bits = max(0, 13 - max(0, int(np.ceil(np.log2(np.abs(weight).max() + 1e-30)))))
        like = ir.Value(shape=ir.Shape([None, self.hidden]))
        codes = self.build.constant(np.rint(weight * (1 << bits)).astype(np.int64), f"{step}_weight")
        product = self.build.emit("Mul", [c, codes], like, f"{step}_product")
        size = self.build.constant(1 << max(bits - (PART - CELL), 0), f"{step}_size")
        return self.build.emit("Div", [product, size], like, step)


def _lstm(layer: RecurrentStep, given: Given) -> tuple[ir.Value, ir.Value | None]:
    assert given.c is not None
    build, like = layer.build, given.h
    sums = layer.recurrent(given.h, slice(None), "recurrent", cut=False, lift=layer.lift)
    a = layer.plus(given.part, sums, "gates")
    i, o, f, g = _lstm_gates(layer, a, given)
    fresh = build.emit("Mul", [i, g], like, "fresh")  # 2^-28, where f c is 2^-25
    fresh = build.emit("Div", [fresh, build.constant(1 << (2 * SHARE - SHARE - CELL), "align")], like, "aligned")
    c = layer.product(f, given.c, like, "cell", fresh)
    c = build.clipped(Wide(c, 2.0**-CELL, 0.0, -(1 << 17), 1 << 17), LARGEST_CELL, "bounded_cell").value
    if layer.peepholes is not None:
        o = layer.gates(layer.plus(o, layer.peephole(c, 1, "peephole1"), "seen1"), ["Sigmoid"], "o")
    return layer.raised_product(o, layer.state(layer.tanh_of_cell(c, "tanh_c"), "state"), like, "h"), c


def _lstm_gates(layer: RecurrentStep, a: ir.Value, given: Given) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value]:
    """i, o, f and g; with peepholes, o is what stands in front of its gate, because it is to see the new state of the cell."""
    if layer.peepholes is None:
        found = layer.gates(a, ["Sigmoid", "Sigmoid", "Sigmoid", "Tanh"], "iofg")
        return (
            layer.part(found, 0, 1, "i"),
            layer.part(found, 1, 2, "o"),
            layer.part(found, 2, 3, "f"),
            layer.part(found, 3, 4, "g"),
        )
    assert given.c is not None
    i, f = (layer.part(a, number, number + 1, f"a{number}") for number in (0, 2))
    i, f = (layer.plus(part, layer.peephole(given.c, n, f"peephole{n}"), f"seen{n}") for part, n in ((i, 0), (f, 2)))
    i, f = layer.gates(i, ["Sigmoid"], "i"), layer.gates(f, ["Sigmoid"], "f")
    return i, layer.part(a, 1, 2, "a1"), f, layer.gates(layer.part(a, 3, 4, "a3"), ["Tanh"], "g")


def _gru(layer: RecurrentStep, given: Given) -> tuple[ir.Value, ir.Value | None]:
    build, like, size = layer.build, given.h, layer.hidden
    first = layer.recurrent(given.h, slice(0, 2 * size), "recurrent", cut=False)
    a = layer.plus(layer.part(given.part, 0, 2, "part_zr"), first, "gates")
    both = layer.gates(a, ["Sigmoid", "Sigmoid"], "zr")
    z, r = layer.part(both, 0, 1, "z"), layer.part(both, 1, 2, "r")
    ahead, rows = layer.part(given.part, 2, 3, "part_h"), slice(2 * size, 3 * size)
    if layer.weighs_late():
        inner = layer.recurrent(given.h, rows, "inner", np.asarray(layer.other[rows]))
        half = build.emit("Div", [inner, build.constant(2, "two")], like, "half_inner")
        half = build.clipped(Wide(half, 1.0, 0.0, -FARTHEST, FARTHEST), 1 << 15, "bounded_inner").value
        rest = build.emit("Mul", [layer.product(r, half, like, "reset"), build.constant(2, "twice")], like, "rest")
    else:
        rest = layer.recurrent(layer.product(r, given.h, like, "reset"), rows, "inner")
    n = layer.state(layer.gates(layer.plus(ahead, rest, "ahead"), ["Tanh"], "n"), "state")
    more = build.emit("Sub", [given.h, n], like, "more")
    return layer.plus(n, layer.product(z, more, like, "share"), "h"), None


def _rnn(layer: RecurrentStep, given: Given) -> tuple[ir.Value, ir.Value | None]:
    a = layer.plus(given.part, layer.recurrent(given.h, slice(None), "recurrent", cut=False), "ahead")
    return layer.state(layer.gates(a, ["Tanh"], "h"), "state"), None


CELLS: dict[str, Callable[[RecurrentStep, Given], tuple[ir.Value, ir.Value | None]]] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}


def _table() -> NDArray[np.int64]:
    """Sigmoid, then tanh, in the middle of each entry."""
    middle = (np.arange(_ENTRIES) + 0.5) * (2 * _REACH / _ENTRIES) - _REACH
    values = np.concatenate([1 / (1 + np.exp(-middle)), np.tanh(middle)])
    return np.asarray(np.rint(values * ONE), np.int64)
