"""Write out a Loop of a constant number of trips, and a Scan over a known number of elements, step by step.

    s, y = Loop(m, true, s0)      s1, y1 = body(0, s0)   s2, y2 = body(1, s1)   ...        y = [y1, y2, ...]
    s, y = Scan(s0, x)            s1, y1 = body(s0, x[0])   s2, y2 = body(s1, x[1])   ...

A body that may stop the loop before, or that has subgraphs itself, stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from qconv.model.edit import Editor
from qconv.model.graph import attr_int, attr_ints, const_array
from qconv.model.names import Names

from .simplify import infer_again, simplify
from .subgraphs import hand_over, take_constants

_MOST_TRIPS = 32
_MOST_NODES = 1024  # of all trips together: a model of more is slow to load and to check


def write_out_loops(model: ir.Model) -> int:
    """Write out every one of the main graph whose trips are few and known; returns their number."""
    if not any(_is_loop(node) for node in model.graph):
        return 0
    simplify(model)  # a number of trips may be computed from known sizes
    loops = [_Loop(model, node) for node in tuple(model.graph) if _is_loop(node)]
    count = sum(loop.write_out() for loop in loops)
    if count:
        infer_again(model)
    return count


def _is_loop(node: ir.Node) -> bool:
    return node.op_type in ("Loop", "Scan") and not node.domain


class _Loop:
    """A Loop or a Scan, and its parts: carried states, and for each step what it is given and what it gives."""

    def __init__(self, model: ir.Model, node: ir.Node) -> None:
        self.graph, self.node, self.body = model.graph, node, node.attributes["body"].as_graph()
        self.scans = node.op_type == "Scan"
        self.scanned = attr_int(node, "num_scan_inputs", 0) if self.scans else 0
        carried = node.inputs[: len(node.inputs) - self.scanned] if self.scans else node.inputs[2:]
        self.states, self.sources = list(carried), list(node.inputs[len(node.inputs) - self.scanned :] if self.scans else ())

    def write_out(self) -> int:
        """The number of changes: 1, or 0 where trips are many or not known."""
        trips = self._trips()
        states = [value for value in self.states if value is not None]
        if trips is None or not 0 < trips <= _MOST_TRIPS or trips * len(self.body) > _MOST_NODES or None in self.states:
            return 0
        if any(a.type == ir.AttributeType.GRAPH for inner in self.body for a in inner.attributes.values()):
            return 0
        outputs, rows = list(self.body.outputs)[0 if self.scans else 1 :], list[list[ir.Value]]()
        self.body.outputs.clear()  # one of them may be a constant
        take_constants(self.graph, self.node, self.body)
        editor, names = Editor(self.graph), Names(self.graph)
        for trip in range(trips):
            given = [*states, *self._elements(editor, trip, trips)] if self.scans else [*self._counter(editor, trip), *states]
            found = self._copied(names, dict(zip(self.body.inputs, given, strict=True)), trip)
            results = [found.get(value, value) for value in outputs]
            states = results[: len(states)]
            rows.append(results[len(states) :])
        joined = [self._joined(editor, list(of_trips), place) for place, of_trips in enumerate(zip(*rows, strict=True))]
        hand_over(self.graph, self.node, [*states, *joined])
        return 1

    def _trips(self) -> int | None:
        if self.scans:
            x, axes = self.sources[0] if self.sources else None, attr_ints(self.node, "scan_input_axes", [0])
            size = None if x is None or x.shape is None else x.shape[axes[0]]
            return size if isinstance(size, int) else None
        count, goes_on = self.node.inputs[:2]
        trips, always = const_array(count), const_array(goes_on)
        if trips is None or (goes_on is not None and (always is None or not always.all())) or not self._never_stops():
            return None
        return int(trips.reshape(()))

    def _never_stops(self) -> bool:
        """Whether the condition that a body gives is the one that it was given, or true."""
        value = self.body.outputs[0]
        while (maker := value.producer()) is not None and maker.op_type == "Identity" and maker.inputs[0] is not None:
            value = maker.inputs[0]
        constant = value.const_value  # of an initializer, or of a Constant where a body gives what it makes
        return value is self.body.inputs[1] or (constant is not None and bool(constant.numpy().all()))

    def _counter(self, editor: Editor, trip: int) -> list[ir.Value]:
        name = f"{self.node.name}/{trip}"
        return [editor.constant(name, np.asarray(trip, np.int64)), editor.constant(f"{name}/true", np.asarray(True))]

    def _elements(self, editor: Editor, trip: int, trips: int) -> list[ir.Value]:
        """What a Scan gives to its body in one step."""
        axes = attr_ints(self.node, "scan_input_axes", [0] * self.scanned)
        backwards = attr_ints(self.node, "scan_input_directions", [0] * self.scanned)
        found = []
        for number, (x, axis, back) in enumerate(zip(self.sources, axes, backwards, strict=True)):
            name = f"{self.node.name}/{trip}/element{number}"
            place = editor.constant(f"{name}/place", np.asarray(trips - 1 - trip if back else trip, np.int64))
            assert x is not None and x.dtype is not None
            found.append(editor.insert_before(self.node, "Gather", [x, place], {"axis": axis}, name=name, dtype=x.dtype))
        return found

    def _copied(self, names: Names, found: dict[ir.Value, ir.Value], trip: int) -> Mapping[ir.Value, ir.Value]:
        """The nodes of the body for one trip; returns what stands for each value of it."""
        for inner in self.body:
            place = f"{self.node.name}/{trip}"
            outputs = [ir.Value(name=names.fresh(f"{place}/{v.name}") if v.name else "", type=v.type) for v in inner.outputs]
            inputs = [None if value is None else found.get(value, value) for value in inner.inputs]
            name = names.fresh_node(f"{place}/{inner.name}")
            copy = ir.Node(inner.domain, inner.op_type, inputs, inner.attributes.values(), outputs=outputs, name=name)
            self.graph.insert_before(self.node, copy)
            found.update(zip(inner.outputs, outputs, strict=True))
        return found

    def _joined(self, editor: Editor, steps: Sequence[ir.Value], place: int) -> ir.Value:
        """What the steps give, along a new axis."""
        name, dtype = f"{self.node.name}/steps{place}", steps[0].dtype or ir.DataType.FLOAT
        axis = self._output("scan_output_axes", place)
        ordered = steps[::-1] if self._output("scan_output_directions", place) else steps
        along = editor.constant(f"{name}/axis", np.asarray([axis], np.int64))
        rows = [editor.insert_before(self.node, "Unsqueeze", [row, along], name=f"{name}/row", dtype=dtype) for row in ordered]
        return editor.insert_before(self.node, "Concat", rows, {"axis": axis}, name=name, dtype=dtype)

    def _output(self, attribute: str, place: int) -> int:
        given = attr_ints(self.node, attribute, [])
        return given[place] if place < len(given) else 0
