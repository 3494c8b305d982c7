"""From an integer ONNX model to a `Network`: one run gives all sizes, and what does not depend on the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from qconv.errors import FloatNodesError
from qconv.export.moves import view_of
from qconv.export.network import Array, Attribute, Network, Node, Rescale, Tensor
from qconv.integer.execution.executor import Executor
from qconv.integer.execution.kernels.requantize import requantize_table
from qconv.integer.execution.kernels.softmax import exponentials
from qconv.integer.execution.kernels.tables import sigmoid_table
from qconv.integer.execution.kernels.windows import Window
from qconv.integer.language.audit import audit
from qconv.integer.language.multipliers import constant, leaky, mean, product, ratio
from qconv.integer.language.operands import Triple, layout_of
from qconv.integer.program import Program, Step
from qconv.model.traits import Trait, has_trait
from qconv.quant.types import QuantParams


def network_of(model: ir.Model) -> Network:
    """The network of an integer model, for one sample.

    Raises FloatNodesError for one with float nodes, and for an operator that has no place in a network.
    """
    left = audit(model).float_nodes
    if left:
        listed = ", ".join(f"{node.name} ({node.op_type})" for node in left[:5])
        raise FloatNodesError(f"{len(left)} nodes are in float and have no form outside onnxruntime: {listed}")
    return _Tracer(model).network()


@dataclass
class _Tracer:
    model: ir.Model
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    reals: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def network(self) -> Network:
        program = Program.read(self.model)
        feeds = {str(v.name): np.zeros(_sample_shape(v), _numpy(v)) for v in self.model.graph.inputs}
        self.arrays = Executor(self.model).run(feeds)
        self.arrays |= {n: v.const_value.numpy() for n, v in self.model.graph.initializers.items() if v.const_value is not None}
        self.dynamic = _depends_on_data(self.model.graph)
        inputs, outputs = list[str](), list[str]()
        for operand in program.inputs:
            if operand.value.dtype not in (ir.DataType.FLOAT,):
                inputs.append(self.add(operand.value, operand.params))
        for step in program.steps:
            if not any(v in self.dynamic for v in step.node.outputs):
                continue
            if step.op == "QuantizeLinear":
                name = self.add(step.node.outputs[0], step.writes[0].params)
                inputs.append(name)
                self.reals[name] = _name(step.node.inputs[0])
            elif step.op == "DequantizeLinear":
                name = self.name(step.node.inputs[0])
                outputs.append(name)
                self.reals[name] = str(step.node.outputs[0].name)
            else:
                self.step(step)
        for output in self.model.graph.outputs:
            maker = output.producer()
            if maker is None or maker.op_type != "DequantizeLinear":
                outputs.append(self.name(output))
        return Network(self.tensors, self.nodes, inputs, list(dict.fromkeys(outputs)), self.reals)

    # --- tensors ----------------------------------------------------------------------------------------------------------

    def add(self, value: ir.Value, params: QuantParams | None = None) -> str:
        """A tensor of the model under its own name."""
        name = str(value.name)
        array = self.arrays[name]
        self.tensors[name] = Tensor(name, array.dtype, array.shape, params)
        return name

    def constant(self, name: str, array: Array, params: QuantParams | None = None) -> str:
        """A tensor that has values."""
        self.tensors[name] = Tensor(name, array.dtype, array.shape, params, np.ascontiguousarray(array))
        return name

    def name(self, value: ir.Value | None) -> str:
        """The tensor that a node reads; one that does not depend on the data becomes a constant."""
        assert value is not None
        name = str(value.name)
        if name not in self.tensors:
            self.constant(name, self.arrays[name])
        return name

    def emit(
        self, step: Step, op: str, inputs: list[str], attributes: dict[str, Attribute] | None = None,
        rescales: tuple[Rescale, ...] = (), output: str | None = None,
    ) -> str:  # fmt: skip
        """A node that makes the output of a step, or `output` on the way to it."""
        final = output is None
        name = self.add(step.node.outputs[0], step.writes[0].params) if output is None else output
        certificate = step.certificate if final else None
        label = step.name if final else name
        self.nodes.append(Node(label, op, tuple(inputs), name, attributes or {}, rescales, certificate))
        return name

    # --- operators --------------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """One node of the model."""
        node = step.node
        if has_trait(node, Trait.RESHAPES):
            self.emit(step, "reshape", [self.name(node.inputs[0])])
        elif has_trait(node, Trait.MOVES) and _indices_known(node, self.dynamic):
            self.move(step)
        elif (rule := _RULES.get(step.op)) is not None:
            rule(self, step)
        else:
            raise _no_form(step)

    def move(self, step: Step) -> None:
        """Where the elements of the output come from, by moving numbers that count them."""
        node = step.node
        x = _array(self, node.inputs[0])
        others = [None if v is None else self.arrays[str(v.name)] for v in node.inputs[1:]]
        places = Executor(self.model).run_node(node, [np.arange(x.size, dtype=np.int32).reshape(x.shape), *others])
        for output, place in zip(node.outputs, places, strict=True):
            if not output.uses() and not output.is_graph_output():
                continue
            view = view_of(place.astype(np.int64))
            name = self.add(output, step.writes[0].params)
            if view is None:
                index = self.constant(f"{name}/places", place.reshape(-1).astype(np.int32))
                self.nodes.append(Node(step.name, "gather", (self.name(node.inputs[0]), index), name))
            else:
                attributes: dict[str, Attribute] = {
                    "offset": view.offset, "sizes": list(view.sizes), "strides": list(view.strides),
                }  # fmt: skip
                self.nodes.append(Node(step.name, "move", (self.name(node.inputs[0]),), name, attributes))


def _no_form(step: Step) -> FloatNodesError:
    return FloatNodesError(f"node {step.name} ({step.op}) has no form outside onnxruntime yet; keep the ONNX model for it")


def _name(value: ir.Value | None) -> str:
    return "" if value is None else str(value.name)


def _sample_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape of an input with 1 for what is not known."""
    assert value.shape is not None
    return tuple(size if isinstance(size, int) else 1 for size in value.shape)


def _numpy(value: ir.Value) -> np.dtype[np.generic]:
    assert value.dtype is not None
    return np.dtype(value.dtype.numpy())


def _depends_on_data(graph: ir.Graph) -> set[ir.Value]:
    """The values that the elements of an input reach; shapes and constants are not among them."""
    found = {value for value in graph.inputs if not value.is_initializer()}
    for node in graph:
        if not has_trait(node, Trait.MEASURES) and any(value in found for value in node.inputs if value is not None):
            found.update(node.outputs)
    return found


def _indices_known(node: ir.Node, dynamic: set[ir.Value]) -> bool:
    return not any(value in dynamic for value in node.inputs[1:] if value is not None)


# --- one function for each operator that computes -----------------------------------------------------------------------


def _zero(step: Step, index: int) -> int:
    params = step.reads[index].params
    return 0 if params is None else int(params.zero_point.reshape(-1)[0])


def _scale(step: Step, index: int) -> Array:
    params = step.reads[index].params
    assert params is not None
    return np.asarray(params.scale)


def _of_output(step: Step, place: Callable[[Triple], int]) -> Array:
    """What the node itself has for its output: channel scales are taken off there, and a clamp may stand behind it."""
    layout = layout_of(step.node)
    assert layout is not None
    found = constant(step.node, place(layout.writes))
    assert found is not None
    return found


def _y_scale(step: Step) -> Array:
    return _of_output(step, lambda triple: triple.scale)


def _y_zero(step: Step) -> int:
    return int(_of_output(step, lambda triple: triple.zero_point).reshape(-1)[0])


def _array(trace: _Tracer, value: ir.Value | None) -> Array:
    """The values of a tensor in the run."""
    assert value is not None
    return trace.arrays[str(value.name)]


def _conv(trace: _Tracer, step: Step) -> None:
    x = trace.arrays[step.reads[0].name]
    weight = trace.arrays[step.reads[1].name]
    window = Window.of(step.node, list(weight.shape[2:]), x.shape[2:])
    attributes: dict[str, Attribute] = {
        "strides": list(window.strides), "dilations": list(window.dilations), "pads": list(window.before),
        "group": step.node.attributes.get_int("group", 1), "x_zero_point": _zero(step, 0), "y_zero_point": _y_zero(step),
    }  # fmt: skip
    inputs = [trace.name(operand.value) for operand in step.reads] + ([] if step.bias is None else [trace.name(step.bias)])
    multiplier = product(_scale(step, 0), _scale(step, 1), _y_scale(step))
    trace.emit(step, "conv", inputs, attributes, (Rescale.of(multiplier, 1),))


def _matmul(trace: _Tracer, step: Step) -> None:
    a, b = (trace.name(operand.value) for operand in step.reads[:2])
    if step.node.attributes.get_int("transB", 0):
        turned = f"{b}/transposed"
        b = turned if turned in trace.tensors else trace.constant(turned, trace.arrays[b].T)
    inputs = [a, b] + ([] if step.bias is None else [trace.name(step.bias)])
    attributes: dict[str, Attribute] = {
        "a_zero_point": _zero(step, 0), "b_zero_point": _zero(step, 1), "y_zero_point": _y_zero(step),
    }  # fmt: skip
    rank = len(_array(trace, step.node.outputs[0]).shape)
    multiplier = product(_scale(step, 0), _scale(step, 1), _y_scale(step))
    trace.emit(step, "matmul", inputs, attributes, (Rescale.of(multiplier, rank - 1),))


def _matmul_integer(trace: _Tracer, step: Step) -> None:
    zeros = [_array(trace, v) if v is not None else np.zeros(1) for v in (*step.node.inputs[2:], None, None)][:2]
    attributes: dict[str, Attribute] = {
        "a_zero_point": int(zeros[0].reshape(-1)[0]), "b_zero_point": int(zeros[1].reshape(-1)[0]), "y_zero_point": 0,
    }  # fmt: skip
    trace.emit(step, "matmul", [trace.name(v) for v in step.node.inputs[:2]], attributes)


def _binary(op: str) -> Callable[[_Tracer, Step], None]:
    def rule(trace: _Tracer, step: Step) -> None:
        attributes: dict[str, Attribute] = {
            "a_zero_point": _zero(step, 0), "b_zero_point": _zero(step, 1), "y_zero_point": _y_zero(step),
        }  # fmt: skip
        if op == "add":
            multipliers = [ratio(_scale(step, index), _y_scale(step)) for index in (0, 1)]
        else:
            multipliers = [product(_scale(step, 0), _scale(step, 1), _y_scale(step))]
        inputs = [trace.name(operand.value) for operand in step.reads]
        trace.emit(
            step, op, inputs, attributes, tuple(Rescale.of(m.__class__(m.m0.reshape(()), m.n.reshape(()))) for m in multipliers)
        )

    return rule


def _lookup(trace: _Tracer, step: Step, table: Array, x: str | None = None, output: str | None = None) -> str:
    """A table of 256 codes, ordered by bit pattern."""
    source = trace.name(step.reads[0].value) if x is None else x
    name = trace.constant(f"{output or step.node.outputs[0].name}/table", table)
    return trace.emit(step, "lookup", [source, name], output=output)


def _leaky_relu(trace: _Tracer, step: Step) -> None:
    dtype, zero = trace.arrays[step.reads[0].name].dtype, _zero(step, 0)
    above, below = leaky(_scale(step, 0), _y_scale(step), step.node.attributes.get_float("alpha", 0.01))
    tables = [requantize_table(m, zero, _y_zero(step), dtype) for m in (above, below)]
    values = np.arange(256, dtype=np.uint8).view(dtype).astype(np.int64)
    _lookup(trace, step, np.where(values >= zero, *tables))


def _sigmoid(trace: _Tracer, step: Step) -> None:
    dtype = trace.arrays[step.reads[0].name].dtype
    scales = float(_scale(step, 0).reshape(())), float(_y_scale(step).reshape(()))
    _lookup(trace, step, sigmoid_table(scales[0], _zero(step, 0), scales[1], _y_zero(step), dtype))


def _concat_codes(trace: _Tracer, step: Step) -> None:
    axis = step.node.attributes.get_int("axis")
    y_scale, y_zero = _y_scale(step), _y_zero(step)
    parts = list[str]()
    alone = len(step.reads) == 1
    for index, operand in enumerate(step.reads):
        scale, zero, name = _scale(step, index), _zero(step, index), trace.name(operand.value)
        if np.array_equal(scale.reshape(()), y_scale.reshape(())) and zero == y_zero:
            parts.append(name)
            continue
        array = trace.arrays[operand.name]
        table = requantize_table(ratio(scale.reshape(()), y_scale.reshape(())), zero, y_zero, array.dtype)
        if alone:
            _lookup(trace, step, table)
            return
        part = f"{step.node.outputs[0].name}/part{index}"
        trace.tensors[part] = Tensor(part, array.dtype, array.shape, step.writes[0].params)
        parts.append(_lookup(trace, step, table, name, part))
    if alone:
        trace.emit(step, "reshape", parts)
    else:
        trace.emit(step, "concat", parts, {"axis": axis % len(trace.arrays[step.reads[0].name].shape)})


def _concat(trace: _Tracer, step: Step) -> None:
    parts = [trace.name(v) for v in step.node.inputs]
    rank = len(_array(trace, step.node.outputs[0]).shape)
    trace.emit(step, "concat", parts, {"axis": step.node.attributes.get_int("axis") % rank})


def _softmax(trace: _Tracer, step: Step) -> None:
    array = trace.arrays[step.reads[0].name]
    axis = step.node.attributes.get_int("axis", -1) % array.ndim
    table = exponentials(float(_scale(step, 0).reshape(())), array.shape[axis]).view(np.uint32)
    name = trace.constant(f"{step.node.outputs[0].name}/exponentials", table)
    steps = int(np.floor(np.float32(1) / np.float32(_y_scale(step).reshape(()))))
    attributes: dict[str, Attribute] = {"axis": axis, "steps": steps, "y_zero_point": _y_zero(step)}
    trace.emit(step, "softmax", [trace.name(step.reads[0].value), name], attributes)


def _global_average(trace: _Tracer, step: Step) -> None:
    array = trace.arrays[step.reads[0].name]
    multiplier = mean(_scale(step, 0).reshape(()), _y_scale(step).reshape(()), int(np.prod(array.shape[2:])))
    attributes: dict[str, Attribute] = {"x_zero_point": _zero(step, 0), "y_zero_point": _y_zero(step)}
    trace.emit(step, "global_average", [trace.name(step.reads[0].value)], attributes, (Rescale.of(multiplier),))


def _pool(op: str) -> Callable[[_Tracer, Step], None]:
    def rule(trace: _Tracer, step: Step) -> None:
        value = step.node.inputs[0]
        x = _array(trace, value)
        kernel = list(step.node.attributes.get_ints("kernel_shape"))
        window = Window.of(step.node, kernel, x.shape[2:], pool=True)
        attributes: dict[str, Attribute] = {
            "kernel": kernel, "strides": list(window.strides), "dilations": list(window.dilations), "pads": list(window.before),
        }  # fmt: skip
        if op == "average_pool":
            attributes["x_zero_point"] = _zero(step, 0)
            attributes["counts_padding"] = step.node.attributes.get_int("count_include_pad", 0)
        trace.emit(step, op, [trace.name(value)], attributes)

    return rule


def _pad(trace: _Tracer, step: Step) -> None:
    node = step.node
    x, others = (
        _array(trace, node.inputs[0]),
        [None if v is None else _array(trace, v) for v in node.inputs[1:]],
    )
    if node.attributes.get_string("mode", "constant") != "constant":
        trace.move(step)
        return
    pads = others[0]
    assert pads is not None
    value = others[1] if len(others) > 1 and others[1] is not None else np.zeros(())
    axes = range(x.ndim) if len(others) < 3 or others[2] is None else [int(a) % x.ndim for a in others[2]]
    before, after = [0] * x.ndim, [0] * x.ndim
    for place, axis in enumerate(axes):
        before[axis], after[axis] = int(pads[place]), int(pads[place + len(list(axes))])
    trace.emit(step, "pad", [trace.name(node.inputs[0])], {"before": before, "after": after, "value": int(value.reshape(-1)[0])})


def _scatter(trace: _Tracer, step: Step) -> None:
    """The data, then the updates, and where each element of the output lies in the two."""
    node, parts, start = step.node, list[str](), 0
    if node.inputs[1] in trace.dynamic:
        raise _no_form(step)
    numbered: list[Array] = []
    for index in (0, 2):
        array = _array(trace, node.inputs[index])
        flat = f"{_name(node.outputs[0])}/flat{index}"
        trace.tensors[flat] = Tensor(flat, array.dtype, (array.size,), step.writes[0].params)
        parts.append(trace.emit(step, "reshape", [trace.name(node.inputs[index])], output=flat))
        numbered.append(np.arange(start, start + array.size, dtype=np.int32).reshape(array.shape))
        start += array.size
    (places,) = Executor(trace.model).run_node(node, [numbered[0], _array(trace, node.inputs[1]), numbered[1]])
    both = f"{_name(node.outputs[0])}/both"
    trace.tensors[both] = Tensor(both, trace.tensors[parts[0]].dtype, (start,), step.writes[0].params)
    trace.emit(step, "concat", parts, {"axis": 0}, output=both)
    table = trace.constant(f"{_name(node.outputs[0])}/places", places.reshape(-1).astype(np.int32))
    trace.emit(step, "gather", [both, table])


def _elementwise(op: str) -> Callable[[_Tracer, Step], None]:
    def rule(trace: _Tracer, step: Step) -> None:
        names = [trace.name(v) for v in step.node.inputs if v is not None]
        while len(names) > 2 and op != "where":
            part = f"{step.node.outputs[0].name}/{len(names)}"
            shape = np.broadcast_shapes(*(trace.tensors[name].shape for name in names[:2]))
            trace.tensors[part] = Tensor(part, trace.tensors[names[0]].dtype, shape)
            trace.emit(step, op, names[:2], output=part)
            names = [part, *names[2:]]
        trace.emit(step, op, names)

    return rule


def _clip(trace: _Tracer, step: Step) -> None:
    limits = np.iinfo(_array(trace, step.node.outputs[0]).dtype)
    bounds = [int(limits.min), int(limits.max)]
    for place, value in enumerate(step.node.inputs[1:3]):
        if value is not None:
            bounds[place] = int(_array(trace, value).reshape(()))
    trace.emit(step, "clip", [trace.name(step.node.inputs[0])], {"low": bounds[0], "high": bounds[1]})


def _cast(trace: _Tracer, step: Step) -> None:
    trace.emit(step, "cast", [trace.name(step.node.inputs[0])])


def _gather(trace: _Tracer, step: Step) -> None:
    """Rows of a constant by computed indices along an axis."""
    rank = len(_array(trace, step.node.inputs[0]).shape)
    names = [trace.name(v) for v in step.node.inputs]
    trace.emit(step, "take", names, {"axis": step.node.attributes.get_int("axis", 0) % rank})


def _gather_elements(trace: _Tracer, step: Step) -> None:
    table = _array(trace, step.node.inputs[0])
    if table.ndim != 1:
        raise FloatNodesError(
            f"node {step.name} (GatherElements) has no form outside onnxruntime yet; keep the ONNX model for it"
        )
    trace.emit(step, "take", [trace.name(v) for v in step.node.inputs], {"axis": 0})


def _reduce(op: str) -> Callable[[_Tracer, Step], None]:
    def rule(trace: _Tracer, step: Step) -> None:
        value = step.node.inputs[0]
        x = _array(trace, value)
        given = step.node.inputs[1] if len(step.node.inputs) > 1 else None
        axes = list(range(x.ndim)) if given is None else [int(a) % x.ndim for a in _array(trace, given).reshape(-1)]
        trace.emit(step, op, [trace.name(value)], {"axes": sorted(axes)})

    return rule


def _arg(op: str) -> Callable[[_Tracer, Step], None]:
    def rule(trace: _Tracer, step: Step) -> None:
        value, attributes = step.node.inputs[0], step.node.attributes
        rank = len(_array(trace, value).shape)
        found: dict[str, Attribute] = {
            "axis": attributes.get_int("axis", 0) % rank,
            "last": attributes.get_int("select_last_index", 0),
        }
        trace.emit(step, op, [trace.name(value)], found)

    return rule


_ELEMENTWISE = {
    "Add": "plus", "Sub": "minus", "Mul": "times", "Div": "divide", "Max": "max", "Min": "min", "BitwiseXor": "xor",
    "GreaterOrEqual": "at_least", "Greater": "above", "Less": "below", "LessOrEqual": "at_most", "Equal": "equal",
    "And": "and", "Or": "or",
}  # fmt: skip
_RULES: dict[str, Callable[[_Tracer, Step], None]] = {
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
    "QGemm": _matmul,
    "MatMulInteger": _matmul_integer,
    "QLinearAdd": _binary("add"),
    "QLinearMul": _binary("mul"),
    "QLinearLeakyRelu": _leaky_relu,
    "QLinearSigmoid": _sigmoid,
    "QLinearConcat": _concat_codes,
    "QLinearSoftmax": _softmax,
    "QLinearGlobalAveragePool": _global_average,
    "QLinearAveragePool": _pool("average_pool"),
    "MaxPool": _pool("max_pool"),
    "Concat": _concat,
    "Pad": _pad,
    "Clip": _clip,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Resize": lambda trace, step: trace.move(step),
    "Cast": _cast,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "ArgMax": _arg("argmax"),
    "ArgMin": _arg("argmin"),
    "Where": _elementwise("where"),
    **{name: _elementwise(op) for name, op in _ELEMENTWISE.items()},
    **{f"Reduce{name}": _reduce(f"reduce_{name.lower()}") for name in ("Sum", "Mean", "Max", "Min")},
}  # fmt: skip
