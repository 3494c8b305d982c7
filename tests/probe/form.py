"""A form of an op between two layers, or a pattern of several ops, as a graph, and what it is held against.

The body of a form computes y from h, the output of a first layer, and from g, that of another one beside it where it is named. A
last layer, which fits the shape of y, reads it. Constants stand in the body itself:

    $f(8,1,1)    normal numbers of a shape          $s(0.5)    a scalar          $v(1,1,2,2)    a vector of reals
    $i(0,-1)     a vector of int64                  $n(3)      an int64 scalar   $b(8,1,1)      truth values of a shape
    $p(8)        positive numbers of a shape        $h(4,4)    half as large ones
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.shape_inference import infer_shapes

from tests.lower.harness import Array

_CONSTANT = re.compile(r"\$([a-z])\(([^)]*)\)")
_SIZES = {"N": 2, "T": 6, "H": 8, "W": 8, "S": 5}
_KINDS = {"f": np.float32, "s": np.float32, "v": np.float32, "p": np.float32, "h": np.float32, "i": np.int64, "n": np.int64}
_TYPES = {"float": np.float32, "int64": np.int64, "int32": np.int32, "bool": np.bool_}


@dataclass(frozen=True)
class Layer:
    """The first layer: its input, its text, the shapes of its weights, and the shape of what it gives."""

    given: str
    text: str
    weights: tuple[tuple[int, ...], ...]
    shape: str


def _conv(given: str, weight: tuple[int, ...], shape: str) -> Layer:
    pads = ",".join("1" * 2 * (len(weight) - 2))
    return Layer(given, f"= Conv<pads=[{pads}]>(x, w, b)", (weight, weight[:1]), shape)


CONV = _conv("1,3,8,8", (8, 3, 3, 3), "1,8,8,8")
CONV_N = _conv("N,3,8,8", (8, 3, 3, 3), "N,8,8,8")
CONV_HW = _conv("N,3,H,W", (8, 3, 3, 3), "N,8,H,W")
CONV_1D = _conv("1,3,16", (8, 3, 3), "1,8,16")
CONV_3D = _conv("1,2,6,6,6", (4, 2, 3, 3, 3), "1,4,6,6,6")
ROWS = Layer("1,6,12", "= MatMul(x, w)", ((12, 16),), "1,6,16")
ROWS_N = Layer("N,T,12", "= MatMul(x, w)", ((12, 16),), "N,T,16")
DENSE = Layer("4,12", "= Gemm(x, w, b)", ((12, 16), (16,)), "4,16")
DENSE_N = Layer("N,12", "= Gemm(x, w, b)", ((12, 16), (16,)), "N,16")
STEPS = Layer("5,1,12", "= MatMul(x, w)", ((12, 16),), "5,1,16")
STEPS_N = Layer("5,N,12", "= MatMul(x, w)", ((12, 16),), "5,N,16")


@dataclass(frozen=True)
class Form:
    """One form. `inputs` are further inputs of the graph, whose integers are below `below`, and reals too where it is given;
    `shape` is that of y where onnx does not infer it. `opset` is the one that the form is written in.
    """

    op: str
    name: str
    first: Layer
    body: str
    inputs: str = ""
    below: int | None = None  # 4 for integers
    shape: str = ""
    opset: int = 21
    ends: bool = False  # y is the output, and no layer reads it
    before: str = ""  # what brings h and g into the domain of the op, and is not looked at

    def __str__(self) -> str:
        return f"{self.op} / {self.name}"

    def between(self) -> onnx.ModelProto:
        """The form between two layers."""
        layers, weights = [], {}
        for n, source in enumerate(self.sources):
            layers.append(f"{source} {self.first.text.replace('w', f'w_{source}').replace('b)', f'b_{source})')}")
            for m, (kind, shape) in enumerate(zip("wb", self.first.weights, strict=False)):
                fan = np.prod(shape[1:]) if m == 0 and len(shape) > 2 else shape[0]
                weights[f"{kind}_{source}"] = _normal(shape, n * 7 + m) / np.float32(np.sqrt(fan))
        body, constants = _read_constants(f"{self.before} {self.body}")
        model = self._model([f"float[{self.first.given}] x"], " ".join([*layers, body]), weights | constants, "y")
        return model if self.ends else _with_last_layer(model)

    def alone(self) -> onnx.ModelProto:
        """The body alone; its inputs have the shapes that onnx infers for them behind the layers."""
        body, constants = _read_constants(self.body)
        infos = {info.name: info.type.tensor_type for info in self.between().graph.value_info}
        sizes = {name: [dim.dim_param or str(dim.dim_value) for dim in infos[name].shape.dim] for name in self.read}
        return self._model([f"float[{','.join(sizes[name])}] {name}" for name in self.read], body, constants, "y")

    def layers(self) -> onnx.ModelProto:
        """What is in front of the body."""
        whole = self.between()
        del whole.graph.output[:]
        whole.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.read)
        return whole

    def feeds(self, count: int, seed: int = 0) -> list[dict[str, Array]]:
        """Samples for the form between two layers."""
        rng = np.random.default_rng(seed)
        texts = [f"float[{self.first.given}] x", *filter(None, self.inputs.split("; "))]
        return [dict(self._sample(text, rng) for text in texts) for _ in range(count)]

    def _sample(self, text: str, rng: np.random.Generator) -> tuple[str, Array]:
        kind, sizes, name = re.fullmatch(r"(\w+)\[([^\]]*)\] (\w+)", text).groups()  # type: ignore[union-attr]
        shape = [int(size) for size in _sized(sizes).split(",") if size]
        if kind == "float" and (self.below is None or name == "x"):
            return name, rng.normal(size=shape).astype(np.float32)
        return name, rng.integers(0, 2 if kind == "bool" else self.below or 4, shape).astype(_TYPES[kind])

    @property
    def sources(self) -> list[str]:
        """The names of the tensors that first layers give."""
        return ["h", "g"] if re.search(r"\bg\b", f"{self.before} {self.body}") else ["h"]

    @property
    def read(self) -> list[str]:
        """The names of the tensors in front of the body that it reads."""
        made = ["h", "g", *re.findall(r"(\w+) =", self.before)]
        return [name for name in made if re.search(rf"[(,]\s*{name}\s*[,)]", self.body)]

    def _model(self, inputs: list[str], text: str, constants: dict[str, Array], output: str) -> onnx.ModelProto:
        given = [*inputs, *filter(None, self.inputs.split("; "))]
        graph = parser.parse_graph(f"g ({', '.join(given)}) => () {{ {text} }}")
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
        for index, node in enumerate(graph.node):
            node.name = f"{node.op_type.lower()}{index}"
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        model = infer_shapes(model, data_prop=True)
        found = next((info for info in model.graph.value_info if info.name == output), None)
        if self.shape or found is None:
            dims = [int(size) if size.isdigit() else size for size in self.shape.split(",") if size]
            kind = TensorProto.FLOAT if found is None else found.type.tensor_type.elem_type
            found = helper.make_tensor_value_info(output, kind, dims)
        model.graph.output.append(found)
        return model


def _sized(sizes: str) -> str:
    return ",".join(str(_SIZES.get(size.strip(), size.strip())) for size in sizes.split(","))


def _normal(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _read_constants(body: str) -> tuple[str, dict[str, Array]]:
    """The body with names in the place of constants, and the constants."""
    found: dict[str, Array] = {}

    def replace_one(match: re.Match[str]) -> str:
        name = f"const{len(found)}"
        found[name] = _constant(match.group(1), match.group(2), len(found))
        return name

    return _CONSTANT.sub(replace_one, body), found


def _constant(kind: str, text: str, seed: int) -> Array:
    numbers = [float(part) for part in text.split(",") if part.strip()]
    if kind in "sn":
        return np.asarray(numbers[0], _KINDS[kind])
    if kind in "iv":
        return np.asarray(numbers, _KINDS[kind])
    shape = tuple(int(number) for number in numbers)
    values = _normal(shape, 100 + seed)
    match kind:
        case "b":
            return np.asarray(values > -0.4)
        case "p":
            return np.abs(values) + np.float32(0.5)
        case "h":
            return values * np.float32(0.5)
    return values


def _with_last_layer(model: onnx.ModelProto) -> onnx.ModelProto:
    """A layer behind y that fits its shape; a product with a constant where none does. The output is out."""
    output = model.graph.output[0]
    dims = [dim.dim_value for dim in output.type.tensor_type.shape.dim]
    if output.type.tensor_type.elem_type != TensorProto.FLOAT:
        return model
    weight: tuple[int, ...] = (1,)
    op = "Mul"
    if len(dims) > 3 and dims[1]:
        weight, op = (5, dims[1], *[3] * (len(dims) - 2)), "Conv"
    elif len(dims) in (2, 3) and dims[-1]:
        weight, op = (dims[-1], 5), "MatMul"
    elif len(dims) == 3 and dims[1]:
        weight, op = (5, dims[1], 3), "Conv"
    array = _normal(weight, 99) / np.float32(np.sqrt(np.prod(weight[1:]) or 1))
    model.graph.initializer.append(numpy_helper.from_array(array, "w_last"))
    last = helper.make_node(op, ["y", "w_last"], ["out"], name="last")
    if op == "Conv":
        last.attribute.append(helper.make_attribute("pads", [1] * 2 * (len(dims) - 2)))
    model.graph.node.append(last)
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_tensor_value_info("out", TensorProto.FLOAT, None if len(dims) < 2 else ["?"] * len(dims))
    )
    return model
