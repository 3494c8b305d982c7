"""Random float graphs from a seed: ops of the table and others, in shapes and orders that nobody thought of.

A graph grows from its inputs: each step takes tensors that are there and adds an op that fits their shapes. What nothing reads in
the end is an output. Every shape is fixed and small.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .branching import LATER_STEPS
from .further import compare, layer, resize, scatter, steep, take
from .growing import Array, Attribute, Growing
from .rarer import pick_some, power, recurrent

SAMPLES = 3
UNARY = (
    "Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "HardSwish", "Elu", "Softplus", "Softsign", "Erf", "Abs", "Neg", "Sin",
    "Floor", "Gelu", "Identity", "Exp", "Atan", "Mish", "Selu",
)  # fmt: skip


def unary(g: Growing) -> None:
    """Any function of one element."""
    if (x := g.pick(2, 3, 4)) is not None:
        g.add(str(g.rng.choice(UNARY)), [x], g.shapes[x])


def binary(g: Growing) -> None:
    """Two tensors of one shape, or a tensor and a constant."""
    x = g.pick(2, 3, 4)
    if x is None:
        return
    shape = g.shapes[x]
    alike = [name for name, other in g.shapes.items() if other == shape]
    other = str(g.rng.choice(alike))
    if g.rng.random() < 0.4:
        other = g.constant(g.rng.normal(0, 1, shape[1:] if g.rng.random() < 0.5 else (1,)).astype(np.float32))
    g.add(str(g.rng.choice(["Add", "Sub", "Mul", "Max", "Min", "Mean"])), [x, other], shape)


def conv(g: Growing) -> None:
    """A convolution: any stride, padding and grouping."""
    if (x := g.pick(4)) is None:
        return
    n, channels, height, width = g.shapes[x]
    kernel, stride, pad = int(g.rng.integers(1, 4)), int(g.rng.integers(1, 3)), int(g.rng.integers(0, 2))
    group = channels if g.rng.random() < 0.3 else 1
    outputs = channels * int(g.rng.integers(1, 3)) if group > 1 else int(g.rng.integers(1, 9))
    inputs = [x, g.weight(outputs, channels // group, kernel, kernel)]
    if g.rng.random() < 0.7:
        inputs.append(g.constant(g.rng.normal(0, 0.5, outputs).astype(np.float32)))
    size = [(length + 2 * pad - kernel) // stride + 1 for length in (height, width)]
    if min(size) > 0:
        attributes: dict[str, Attribute] = {
            "group": group,
            "strides": [stride] * 2,
            "pads": [pad] * 4,
            "kernel_shape": [kernel] * 2,
        }
        g.add("Conv", inputs, (n, outputs, *size), attributes)


def transposed(g: Growing) -> None:
    """A transposed convolution, sometimes in groups."""
    if (x := g.pick(4)) is None:
        return
    n, channels, height, width = g.shapes[x]
    kernel, stride = int(g.rng.integers(1, 4)), int(g.rng.integers(1, 3))
    group = channels if g.rng.random() < 0.3 else 1
    per_group = int(g.rng.integers(1, 4))
    size = [(length - 1) * stride + kernel for length in (height, width)]
    attributes: dict[str, Attribute] = {"group": group, "strides": [stride] * 2, "kernel_shape": [kernel] * 2}
    g.add("ConvTranspose", [x, g.weight(channels, per_group, kernel, kernel)], (n, per_group * group, *size), attributes)


def pool(g: Growing) -> None:
    """A pool with padding and ceil_mode, whose shape ONNX tells as below."""
    if (x := g.pick(4)) is None:
        return
    n, channels, height, width = g.shapes[x]
    if g.rng.random() < 0.25:
        g.add(str(g.rng.choice(["GlobalAveragePool", "GlobalMaxPool"])), [x], (n, channels, 1, 1))
        return
    kernel, stride = int(g.rng.integers(2, 4)), int(g.rng.integers(1, 3))
    size = [(length - kernel) // stride + 1 for length in (height, width)]
    if min(size) > 0:
        op = str(g.rng.choice(["AveragePool", "MaxPool"]))
        g.add(op, [x], (n, channels, *size), {"kernel_shape": [kernel] * 2, "strides": [stride] * 2})


def matmul(g: Growing) -> None:
    """A product with a constant, with or without a bias, or with its own transpose."""
    if (x := g.pick(2, 3)) is None:
        return
    *lead, inner = g.shapes[x]
    if g.rng.random() < 0.3 and len(lead) == 2:
        turned = f"t{len(g.nodes)}"
        g.add("Transpose", [x], (lead[0], inner, lead[1]), {"perm": [0, 2, 1]})
        if turned in g.shapes:
            g.add("MatMul", [x, turned], (lead[0], lead[1], lead[1]))
        return
    columns = int(g.rng.integers(1, 9))
    g.add("MatMul", [x, g.weight(inner, columns)], (*lead, columns))


def softmax(g: Growing) -> None:
    """Along any axis."""
    if (x := g.pick(2, 3, 4)) is not None:
        g.add("Softmax", [x], g.shapes[x], {"axis": int(g.rng.integers(0, len(g.shapes[x])))})


def concat(g: Growing) -> None:
    """A tensor with itself or another of its shape."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = list(g.shapes[x])
    other = str(g.rng.choice([name for name, found in g.shapes.items() if list(found) == shape]))
    axis = int(g.rng.integers(1, len(shape)))
    shape[axis] *= 2
    g.add("Concat", [x, other], tuple(shape), {"axis": axis})


def move(g: Growing) -> None:
    """Transpose, Reshape, Slice or Pad."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = list(g.shapes[x])
    match g.rng.integers(0, 4):
        case 0:
            order = [0, *(1 + g.rng.permutation(len(shape) - 1)).tolist()]
            g.add("Transpose", [x], tuple(shape[axis] for axis in order), {"perm": order})
        case 1:
            flat = (shape[0], shape[1], int(np.prod(shape[2:])))
            g.add("Reshape", [x, g.constant(np.asarray(flat, np.int64))], flat)
        case 2:
            axis = int(g.rng.integers(1, len(shape)))
            bounds = [g.constant(np.asarray([number], np.int64)) for number in (0, (shape[axis] + 1) // 2, axis)]
            shape[axis] = (shape[axis] + 1) // 2
            g.add("Slice", [x, *bounds], tuple(shape))
        case _:
            pads = [0] * len(shape) * 2
            pads[-1] = 1
            value = g.constant(np.asarray(g.rng.normal(), np.float32))
            shape[-1] += 1
            g.add("Pad", [x, g.constant(np.asarray(pads, np.int64)), value], tuple(shape))


def norm(g: Growing) -> None:
    """A norm along the last axis, along the channels of a picture, or over its positions."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    scale, shift = (g.constant(g.rng.normal(1, 0.3, shape[-1]).astype(np.float32)) for _ in range(2))
    match g.rng.integers(0, 5):
        case 0:
            g.add("LayerNormalization", [x, scale, shift], shape, {"axis": -1})
        case 1:
            g.add("LayerNormalization", [x, g.constant(np.ones(shape[1:], np.float32))], shape, {"axis": 1})
        case 2:
            by_channel = [g.constant(g.rng.normal(1, 0.3, shape[1]).astype(np.float32)) for _ in range(2)]
            g.add("InstanceNormalization", [x, *by_channel], shape)
        case 3:
            g.add("LpNormalization", [x], shape, {"axis": int(g.rng.integers(1, len(shape))), "p": 2})
        case _ if len(shape) == 4:
            g.add("LRN", [x], shape, {"size": 3, "alpha": 0.1})


def reduce(g: Growing) -> None:
    """A sum, mean or extreme along an axis, and what is left of the tensor by it.

    Not ReduceLogSumExp, nor what a mean leaves: both give 0 the second time, and of rounding alone no check can tell anything.
    """
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = list(g.shapes[x])
    axis = int(g.rng.integers(1, len(shape)))
    shape[axis] = 1
    op = str(g.rng.choice(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"]))
    total = f"t{len(g.nodes)}"
    g.add(op, [x, g.constant(np.asarray([axis], np.int64))], tuple(shape), {"keepdims": 1})
    if total in g.shapes and op != "ReduceMean" and g.rng.random() < 0.5:
        g.add("Sub", [x, total], g.shapes[x])


def choose(g: Growing) -> None:
    """Elements by a constant mask, above a diagonal, or summed up step by step."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    match g.rng.integers(0, 3):
        case 0:
            mask = g.constant(g.rng.random(shape[1:]) < 0.7)
            other = g.constant(np.asarray(g.rng.normal(), np.float32))
            g.add("Where", [mask, x, other], shape)
        case 1:
            g.add("Trilu", [x], shape, {"upper": int(g.rng.integers(0, 2))})
        case _:
            g.add("CumSum", [x, g.constant(np.asarray(g.rng.integers(1, len(shape)), np.int64))], shape)


STEPS: tuple[Callable[[Growing], None], ...] = (
    *(unary, unary, binary, binary, conv, conv),
    *(transposed, pool, matmul, softmax, concat, move, norm, reduce, choose),
    *(pick_some, power, recurrent),
    *(steep, steep, compare, scatter, take, resize, layer, layer),
)


ALL_STEPS_FROM = 1_000_000  # earlier seeds know the steps of STEPS alone, so that what they once found is still in them


def random_graph(seed: int) -> tuple[onnx.ModelProto, list[dict[str, Array]]]:
    """A model and samples for it."""
    rng = np.random.default_rng(seed)
    g = Growing(rng)
    shapes = [(1, int(rng.integers(1, 7)), 6, 7), (1, int(rng.integers(2, 6)), int(rng.integers(2, 9)))]
    inputs = {f"x{n}": shape for n, shape in enumerate(shapes[: 1 + int(rng.random() < 0.4)])}
    g.shapes.update(inputs)
    steps = STEPS if seed < ALL_STEPS_FROM else STEPS + LATER_STEPS
    for _ in range(int(rng.integers(1, 12))):
        steps[rng.integers(0, len(steps))](g)
    read = {name for node in g.nodes for name in node.input}
    outputs = [name for name in g.shapes if name not in read and name not in inputs]
    if not outputs:
        g.add("Relu", ["x0"], inputs["x0"])
        outputs = [next(reversed(g.shapes))]
    read |= {*outputs, *(name for node in g.nodes for name in node.input)}
    given = {name: shape for name, shape in inputs.items() if name in read}
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in given.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(g.shapes[name])) for name in outputs]
    weights = [numpy_helper.from_array(array, name) for name, array in g.constants.items()]
    graph = helper.make_graph(g.nodes, f"seed{seed}", infos, ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    feeds: list[dict[str, Array]] = [
        {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in given.items()} for _ in range(SAMPLES)
    ]
    return model, feeds
