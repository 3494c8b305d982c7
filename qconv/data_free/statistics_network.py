"""A network that yields the moments at its batch norms and the gradient of their gaps at its input, one sample at a time.

With u = t - M at the input t of a batch norm, a sample yields E u and E u^2 of each channel, over its positions. Given the
slopes (a, b) of the gaps over all samples (qconv/data_free/running_statistics.py), the same run also yields dL/dx of this
sample, from dL/dt = (a + b u) / positions (qconv/autodiff). The batch is never in memory at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from qconv.autodiff.gradient import append_gradient
from qconv.autodiff.rule import constant
from qconv.data_free.running_statistics import Gaps, Layer, Vector
from qconv.errors import ModelError
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.model.session import open_session, reason
from qconv.quant.types import FloatArray
from qconv.statistics.reductions import values_by_name

_STORED = 400  # multiplications in the time that an element takes on its way through memory, there and back

_A, _B = "qconv_slope_of_the_mean", "qconv_slope_of_the_variance"


class MomentNetwork:
    """The network of `model`, which has batch norms, for its input `name`; with `gradient` or without. Raises ModelError."""

    def __init__(self, model: ir.Model, name: str, layers: Sequence[Layer], *, gradient: bool = True) -> None:
        self._name, self._layers, self._model = name, layers, model
        graph, outputs, self.reaches_input = _with_gradient(model, name, layers, gradient)
        self._session = open_session(graph, outputs=outputs, threads=1)
        nothing = np.zeros(sum(len(layer.mean) for layer in layers))
        self.no_slopes = nothing, nothing

    def run(self, array: FloatArray, slopes: tuple[Vector, Vector]) -> tuple[Vector, Vector, FloatArray | None]:
        """E u and E u^2 by channel, and the gradient at the input; all of one sample. Raises ModelError."""
        feeds = {self._name: array, _A: slopes[0].astype(np.float32), _B: slopes[1].astype(np.float32)}
        try:
            first, second, *gradient = self._session.run(None, feeds)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise ModelError(f"the moments at the batch norms cannot be computed: {reason(error)}") from error
        return first.astype(np.float64), second.astype(np.float64), gradient[0] if gradient else None

    def work(self, array: FloatArray) -> int:
        """About what one run on such a sample costs: its multiplications, where an element that is stored counts for many."""
        session = open_session(self._model, outputs=[layer.tensor for layer in self._layers], threads=1)
        values = values_by_name(self._model.graph)
        total = 0
        for layer, output in zip(self._layers, session.run(None, {self._name: array}), strict=True):
            node = values[layer.tensor].producer()
            weight = const_array(node.inputs[1]) if node is not None and len(node.inputs) > 1 else None
            positions = output.size // len(layer.mean)
            total += _STORED * output.size + (0 if weight is None else positions * weight.size)
        return total

    def gaps(self, first: Vector, second: Vector) -> Gaps:
        """The gaps of moments that were taken over samples."""
        return Gaps(self._layers, first, second)


def _with_gradient(model: ir.Model, name: str, layers: Sequence[Layer], wanted: bool) -> tuple[ir.Model, list[str], bool]:
    copy, tape = model.clone(), Tape()
    values = values_by_name(copy.graph)
    lengths = constant(tape, [len(layer.mean) for layer in layers], np.int64)
    given = [ir.Value(name=wish, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([None])) for wish in (_A, _B)]
    slopes = [tape.op_multi_out("Split", [value, lengths], {"axis": 0}, num_outputs=len(layers)) for value in given]
    firsts, seconds = [], []
    seeds: dict[ir.Value, ir.Value] = {}
    for layer, a, b in zip(layers, *slopes, strict=True):
        value = values[layer.tensor]
        first, second, seed = _layer(tape, value, layer, a, b)
        firsts.append(first)
        seconds.append(second)
        seeds[value] = seed if value not in seeds else tape.op("Add", [seeds[value], seed])
    outputs = [tape.op("Concat", parts, {"axis": 0}) for parts in (firsts, seconds)]
    gradient = append_gradient(copy.graph, seeds, values[name], tape) if wanted else None
    if gradient is not None:
        outputs.append(gradient)
    copy.graph.inputs.extend(given)
    append_named(copy.graph, tape.nodes)
    return copy, [str(value.name) for value in outputs], gradient is not None


def _layer(tape: Tape, value: ir.Value, layer: Layer, a: ir.Value, b: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The outputs of one layer: E u, E u^2, and dL/dt."""
    rows = tape.op("Reshape", [value, constant(tape, [0, 0, -1], np.int64)])
    u = tape.op("Sub", [rows, constant(tape, layer.mean[:, None], np.float32)])
    axes = constant(tape, [0, 2], np.int64)
    first, second = (tape.op("ReduceMean", [x, axes], {"keepdims": 0}) for x in (u, tape.op("Mul", [u, u])))
    positions = tape.op("Div", [tape.op("Size", [value]), constant(tape, len(layer.mean), np.int64)])
    column = constant(tape, [-1, 1], np.int64)
    share = tape.op("Cast", [positions], {"to": ir.DataType.FLOAT})
    a, b = (tape.op("Div", [tape.op("Reshape", [x, column]), share]) for x in (a, b))
    seed = tape.op("Add", [tape.op("Mul", [b, u]), a])
    return first, second, tape.op("Reshape", [seed, tape.op("Shape", [value])])


def append_named(graph: ir.Graph, nodes: Sequence[ir.Node]) -> None:
    """Appends nodes under names that the graph has not."""
    names = Names(graph)
    for node in nodes:
        node.name = names.fresh_node("qconv_gradient")
        for output in node.outputs:
            output.name = names.fresh("qconv_gradient")
    graph.extend(nodes)
