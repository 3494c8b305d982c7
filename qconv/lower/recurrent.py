"""RNN, GRU and LSTM -> integer steps with wide states, written out where they are few, else in a Scan.

    a   what stands in front of a gate, in steps of 2^-12: int32 sums of codes and weights, rescaled
    s   sigmoid and tanh of it in steps of 2^-14, from a table of 4,096 entries each over [-8, 8]
    h   in steps of 2^-14, coarser where a first h is given that is beyond 1; codes of 1 / 127 of it go into the next product
    c   in steps of 2^-11, within [-16, 16]: beyond 8 its tanh is 1 anyway

    LSTM    c = f c + i g, h = o tanh c          GRU    h = n + z (h - n)          RNN    h = tanh a

Every sum and product is bounded by these limits, and the products with weights by the weights. Steps behind the end of a sequence
keep the states and give zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from qconv.lower.context import Context
from qconv.lower.recurrent_step import CELL, CELLS, FARTHEST, LARGEST_CELL, MIDDLE, ONE, SHARE, Given, RecurrentStep
from qconv.lower.values import Wide
from qconv.lower.wide import WideBuilder
from qconv.model.graph import attr_str, const_array
from qconv.ops.op_table import spec_of
from qconv.plan.remark import Remark
from qconv.quant.params import accumulator_bounds

_MOST_STEPS = 32  # that are written out, over all directions: .8 to .9 of a Scan's time; many nodes are slow to load and to check


def lower_recurrent(node: ir.Node, ctx: Context) -> None:
    """All directions of a layer, and the codes of its outputs."""
    weights = [const_array(value) for value in node.inputs[1:3]]
    assert weights[0] is not None and weights[1] is not None
    reverse = attr_str(node, "direction", "forward") == "reverse"
    directions = [_Direction(node, ctx, d) for d in range(len(weights[0]))]
    found = [direction.run(backwards=reverse or d == 1) for d, direction in enumerate(directions)]
    share = SHARE - directions[0].doublings
    ctx.notes.append(Remark(str(node.name), _slower(node)))
    for index, (bits, axis) in enumerate(((share, 1), (share, 0), (CELL, 0))):
        output = node.outputs[index] if index < len(node.outputs) else None
        if output is None or str(output.name) not in ctx.plan.tensors:
            continue
        build = WideBuilder(ctx, f"{node.name}/{('all', 'last', 'cell')[index]}")
        along = ctx.initializer(np.asarray([axis], np.int64), f"{build.place}_axis")
        parts = [build.emit("Unsqueeze", [values[index], along], output, f"direction{d}") for d, values in enumerate(found)]
        whole = parts[0] if len(parts) == 1 else build.emit("Concat", parts, output, "directions", axis=axis)
        largest = LARGEST_CELL if index == 2 else ONE
        lift = 0 if index == 2 else directions[0].lift
        wide = Wide(whole, 2.0**-bits, lift, lift - largest, lift + largest)
        ctx.set_codes(output, build.rescaled(wide, ctx.params(output), output, name=build.place if index else None))


def _slower(node: ir.Node) -> str:
    spec = spec_of(node)
    assert spec is not None
    times = f"its int32 steps take {spec.slowdown} as long as the float layer in onnxruntime, the fewer hidden units the more"
    return f"{times}; --prefer speed leaves it in float"


class _Direction(RecurrentStep):
    """One direction of a layer."""

    def run(self, *, backwards: bool) -> tuple[ir.Value, ir.Value, ir.Value]:
        """h of all steps [steps, batch, hidden], the last h, and the last c or h again, [batch, hidden]."""
        part = self._parts()
        states = [self._start(5, SHARE - self.doublings)] + ([self._start(6, CELL)] if self.has_cell else [])
        scanned = [part] + ([] if self.counts is None else [self._read()])
        inner = [self._input("h", ir.DataType.INT32, self.hidden)]
        inner += [self._input("c", ir.DataType.INT32, self.hidden)] if self.has_cell else []
        inner += [self._input("part", ir.DataType.INT32, len(self.weight))]
        inner += [] if self.counts is None else [self._input("read", ir.DataType.BOOL, 1)]
        cell = inner[1] if self.has_cell else None
        given = Given(inner[len(states)], inner[0], cell, None if self.counts is None else inner[-1])
        before = set(self.ctx.graph)
        outputs = self._step(given)
        made = [node for node in self.ctx.graph if node not in before]
        self.ctx.graph.remove(made)
        body = ir.Graph(inner, outputs, nodes=made, name=f"{self.build.place}_step", opset_imports={"": 21})
        x, directions = self.node.inputs[0], 2 if attr_str(self.node, "direction", "forward") == "bidirectional" else 1
        length = None if x is None or x.shape is None else x.shape[0]
        if isinstance(length, int) and 0 < length * directions <= _MOST_STEPS:
            return self._written_out(body, states, scanned, length, backwards)
        return self._scan(body, [*states, *scanned], len(scanned), backwards)

    def _written_out(
        self, body: ir.Graph, states: list[ir.Value], scanned: Sequence[ir.Value], length: int, backwards: bool
    ) -> tuple[ir.Value, ir.Value, ir.Value]:
        """The body once for each step; all of them share its constants."""
        rows: dict[int, ir.Value] = {}
        axis = self.ctx.initializer(np.asarray([0], np.int64), f"{self.build.place}_first_axis")
        for t in reversed(range(length)) if backwards else range(length):
            place = self.ctx.initializer(np.asarray(t, np.int64), f"{self.build.place}_{t}")
            parts = [
                self.build.emit("Gather", [whole, place], inside, f"{t}/part", inside.dtype or ir.DataType.INT32, axis=0)
                for whole, inside in zip(scanned, body.inputs[len(states) :], strict=True)
            ]
            *states, row = self._copied(body, [*states, *parts], t)
            rows[t] = self.build.emit("Unsqueeze", [row, axis], ir.Value(shape=ir.Shape([1, None, self.hidden])), f"{t}/row")
        like = ir.Value(shape=ir.Shape([length, None, self.hidden]))
        ordered = [rows[t] for t in range(length)]
        whole = ordered[0] if length == 1 else self.build.emit("Concat", ordered, like, "rows", axis=0)
        return whole, states[0], states[-1]

    def _copied(self, body: ir.Graph, given: Sequence[ir.Value], number: int) -> list[ir.Value]:
        """What the body gives for the values of one step."""
        found = dict(zip(body.inputs, given, strict=True))
        for node in body:
            output, place = node.outputs[0], f"{self.build.place}/{number}{str(node.name).removeprefix(self.build.place)}"
            inputs = [None if value is None else found.get(value, value) for value in node.inputs]
            dtype = output.dtype or ir.DataType.INT32
            found[output] = self.ctx.emit(
                node.op_type, inputs, output, dtype, name=place, output=place, attributes=node.attributes
            )
        return [found[output] for output in body.outputs]

    def _scan(
        self, body: ir.Graph, inputs: Sequence[ir.Value], scanned: int, backwards: bool
    ) -> tuple[ir.Value, ir.Value, ir.Value]:
        kind, names = ir.TensorType(ir.DataType.INT32), self.ctx.names
        results = [ir.Value(name=names.fresh(f"{self.build.place}_{what}"), type=kind) for what in ("h", "c", "all")]
        used = results if self.has_cell else [results[0], results[2]]
        attributes = [
            ir.AttrGraph("body", body),
            ir.AttrInt64("num_scan_inputs", scanned),
            ir.AttrInt64s("scan_input_directions", [int(backwards)] * scanned),
            ir.AttrInt64s("scan_output_directions", [int(backwards)]),
        ]
        name = names.fresh_node(f"{self.build.place}/scan")
        self.ctx.graph.insert_before(self.node, ir.Node("", "Scan", inputs, attributes, outputs=used, name=name))
        return results[2], results[0], results[1 if self.has_cell else 0]

    def _input(self, name: str, dtype: ir.DataType, width: int) -> ir.Value:
        found = self.ctx.names.fresh(f"{self.build.place}_{name}_before")
        return ir.Value(name=found, type=ir.TensorType(dtype), shape=ir.Shape([None, width]))

    # --- in front of the steps --------------------------------------------------------------------------------------------

    def _parts(self) -> ir.Value:
        """x W' + b of all steps, [steps, batch, gates hidden], raised; a bias that a reset gate weighs is not in it."""
        x = self.ctx.codes(self.node.inputs[0])
        codes, scale = self.quantized(self.weight)
        lows, highs = accumulator_bounds(codes, (0,), None, x.params)
        zero = self.ctx.initializer(x.params.zero_point.reshape(()), f"{self.build.place}_x_zero_point")
        matrix = self.ctx.initializer(codes, f"{self.build.place}_weight_quantized")
        like = ir.Value(shape=ir.Shape([None, None, len(self.weight)]))
        sums = self.build.emit("MatMulInteger", [x.value, matrix, zero], like, "sums_of_x")
        wide = Wide(sums, 1.0, 0.0, int(lows.min()), int(highs.max()))
        bias = self.own + self.other
        if self.weighs_late():
            bias = np.concatenate([bias[: 2 * self.hidden], self.own[2 * self.hidden :]])
        parts = self.in_steps(wide, float(x.params.scale) * scale, bias, like, "x")
        return self.build.emit("Add", [parts, self.build.constant(MIDDLE, "middle")], like, "parts")

    def _start(self, index: int, bits: int) -> ir.Value:
        """The state in front of the first step, [batch, hidden]."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        like = ir.Value(shape=ir.Shape([None, self.hidden]))
        build, name = self.build, f"{self.build.place}_{index}"
        if value is not None:
            place = self.ctx.initializer(np.asarray(self.number, np.int64), f"{name}_direction")
            codes = self.ctx.codes(value)
            own = build.emit("Gather", [build.of_codes(codes, f"state{index}").value, place], like, f"start{index}", axis=0)
            limits = np.iinfo(codes.params.int_type.dtype)
            zero = int(codes.params.zero_point)
            centered = build.emit("Sub", [own, build.constant(zero, f"zero{index}")], like, f"centered{index}")
            wide = Wide(centered, 1.0, 0.0, int(limits.min) - zero, int(limits.max) - zero)
            found = self.in_steps(wide, np.full(1, float(codes.params.scale)), np.zeros(1), like, f"state{index}", bits)
            largest = LARGEST_CELL if index == 6 else ONE
            own = build.clipped(Wide(found, 1.0, 0.0, -FARTHEST, FARTHEST), largest, f"bounded{index}").value
            lift = 0 if index == 6 else self.lift
            return build.emit("Add", [own, build.constant(lift, f"lift{index}")], like, f"lifted{index}") if lift else own
        x = self.ctx.codes(self.node.inputs[0]).value
        batch = self.ctx.emit(
            "Shape", [x], ir.Value(shape=ir.Shape([1])), ir.DataType.INT64, name=f"{name}/batch", output=f"{name}_batch",
            attributes={"start": 1, "end": 2},
        )  # fmt: skip
        width = self.ctx.initializer(np.asarray([self.hidden], np.int64), f"{name}_hidden")
        both = build.emit("Concat", [batch, width], ir.Value(shape=ir.Shape([2])), f"shape{index}", ir.DataType.INT64, axis=0)
        return build.emit("Expand", [build.constant(0 if index == 6 else self.lift, f"zero{index}"), both], like, f"start{index}")

    def _read(self) -> ir.Value:
        """Whether a sequence has a step, [steps, batch, 1]."""
        build, x = self.build, self.ctx.codes(self.node.inputs[0]).value
        vector, int64 = ir.Value(shape=ir.Shape([None])), ir.DataType.INT64
        count = self.ctx.emit(
            "Shape", [x], ir.Value(shape=ir.Shape([1])), int64, name=f"{build.place}/steps", output=f"{build.place}_steps",
            attributes={"start": 0, "end": 1},
        )  # fmt: skip
        ends = [self.ctx.initializer(np.asarray(number, np.int64), f"{build.place}_{number}") for number in (0, 1)]
        last = build.emit("Squeeze", [count], ir.Value(shape=ir.Shape([])), "count", int64)
        places = build.emit("Range", [ends[0], last, ends[1]], vector, "places", int64)
        narrow = build.emit("Cast", [places], vector, "narrow", to=int(ir.DataType.INT32))
        axes = [self.ctx.initializer(np.asarray(axes, np.int64), f"{build.place}_axes") for axes in ([1, 2], [0, 2])]
        cube = ir.Value(shape=ir.Shape([None, None, 1]))
        operands = [
            build.emit("Unsqueeze", [v, a], cube, f"cube{i}")
            for i, (v, a) in enumerate(zip((narrow, self.counts), axes, strict=True))
        ]
        return build.emit("Less", operands, cube, "read", ir.DataType.BOOL)

    def _step(self, given: Given) -> list[ir.Value]:
        """The states behind a step, and what it gives."""
        h, c = CELLS[self.node.op_type](self, given)
        result, build = h, self.build
        if given.read is not None:
            result = build.emit("Where", [given.read, h, build.constant(self.lift, "nothing")], h, "given")
            h = build.emit("Where", [given.read, h, given.h], h, "kept_h")
            c = None if c is None else build.emit("Where", [given.read, c, given.c], c, "kept_c")
        again = build.emit("Identity", [result], result, "result")
        return [h, *([] if c is None else [c]), again]
