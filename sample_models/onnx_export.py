"""Writes a torch network as ONNX layer by layer, so that batch norms stay nodes and names stay those of the modules."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, fx, nn

OPSET = 17
IR_VERSION = 8
INPUT = "image"
OUTPUT = "logits"

Attributes = Mapping[str, int | float | Sequence[int]]
_NONE: Attributes = {}


def to_onnx(network: nn.Module, name: str, input_shape: Sequence[int], classes: int) -> onnx.ModelProto:
    """The network in evaluation mode as a checked model: input `image` [batch, *input_shape], output `logits` [batch, classes].

    Raises KeyError on a layer without a rule in `_LAYERS` or `_FUNCTIONS`.
    """
    writer = _Writer()
    modules = dict(network.named_modules())
    for node in fx.symbolic_trace(network).graph.nodes:
        _export_node(node, modules, writer)
    graph = helper.make_graph(
        writer.nodes,
        name,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *input_shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", classes])],
        writer.initializers,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset], producer_name="qconv sample_models")
    onnx.checker.check_model(model, full_check=True)
    return model


@dataclass
class _Writer:
    """Nodes and initializers so far, and the ONNX value that holds each fx node's result."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    values: dict[fx.Node, str] = field(default_factory=dict)

    def constant(self, name: str, value: Tensor | float) -> str:
        array = value.detach().numpy() if isinstance(value, Tensor) else np.float32(value)
        self.initializers.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def node(self, op: str, name: str, inputs: Sequence[str], attributes: Attributes = _NONE) -> str:
        output = f"{name}.out"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output

    def finish(self, value: str) -> None:
        """Gives the last value the name of the graph's output."""
        assert self.nodes[-1].output[0] == value
        self.nodes[-1].output[0] = OUTPUT


def _export_node(node: fx.Node, modules: dict[str, nn.Module], writer: _Writer) -> None:
    inputs = [writer.values[source] for source in node.all_input_nodes]
    match node.op:
        case "placeholder":
            writer.values[node] = INPUT
        case "call_module":
            layer = modules[str(node.target)]
            writer.values[node] = _LAYERS[type(layer)](writer, str(node.target), layer, inputs[0])
        case "call_function":
            op = _FUNCTIONS[node.target]
            owner = list(node.meta["nn_module_stack"])[-1]
            writer.values[node] = writer.node(op, f"{owner}.{op.lower()}", inputs)
        case "output":
            writer.finish(inputs[0])


def _conv(writer: _Writer, name: str, layer: nn.Conv2d, x: str) -> str:
    inputs = [x, writer.constant(f"{name}.weight", layer.weight)]
    if layer.bias is not None:
        inputs.append(writer.constant(f"{name}.bias", layer.bias))
    top, left = (int(side) for side in layer.padding)
    pads = [top, left, top, left]
    sizes: Attributes = {"kernel_shape": layer.kernel_size, "strides": layer.stride, "pads": pads, "group": layer.groups}
    return writer.node("Conv", name, inputs, sizes)


def _batch_norm(writer: _Writer, name: str, layer: nn.BatchNorm1d | nn.BatchNorm2d, x: str) -> str:
    parameters = ["weight", "bias", "running_mean", "running_var"]
    inputs = [x, *(writer.constant(f"{name}.{parameter}", getattr(layer, parameter)) for parameter in parameters)]
    return writer.node("BatchNormalization", name, inputs, {"epsilon": layer.eps})


def _dense(writer: _Writer, name: str, layer: nn.Linear, x: str) -> str:
    if layer.bias is None:
        return writer.node("MatMul", name, [x, writer.constant(f"{name}.weight", layer.weight.T)])
    inputs = [x, writer.constant(f"{name}.weight", layer.weight), writer.constant(f"{name}.bias", layer.bias)]
    return writer.node("Gemm", name, inputs, {"transB": 1})


def _relu6(writer: _Writer, name: str, _layer: nn.ReLU6, x: str) -> str:
    return writer.node("Clip", name, [x, writer.constant(f"{name}.min", 0.0), writer.constant(f"{name}.max", 6.0)])


def _max_pool(writer: _Writer, name: str, layer: nn.MaxPool2d, x: str) -> str:
    return writer.node("MaxPool", name, [x], {"kernel_shape": [layer.kernel_size] * 2, "strides": [layer.stride] * 2})


def _plain(op: str, attributes: Attributes = _NONE) -> Callable[[_Writer, str, nn.Module, str], str]:
    """The rule of a layer that is one node without parameters."""
    return lambda writer, name, _layer, x: writer.node(op, name, [x], attributes)


_LAYERS: dict[type[nn.Module], Callable[[_Writer, str, Any, str], str]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Linear: _dense,
    nn.ReLU6: _relu6,
    nn.MaxPool2d: _max_pool,
    nn.AdaptiveAvgPool2d: _plain("GlobalAveragePool"),  # only ever to 1x1 here
    nn.Flatten: _plain("Flatten", {"axis": 1}),
    nn.ReLU: _plain("Relu"),
    nn.Hardswish: _plain("HardSwish"),
    nn.Hardsigmoid: _plain("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),  # torch: clamp(x / 6 + 1 / 2, 0, 1)
}

_FUNCTIONS: dict[Any, str] = {operator.add: "Add", operator.mul: "Mul"}
