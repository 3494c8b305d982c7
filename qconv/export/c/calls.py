"""The C statements of every operator of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qconv.errors import FloatNodesError
from qconv.export.c import kernels
from qconv.export.network import Network, Node, Tensor

C_TYPES = {"uint8": "uint8_t", "int8": "int8_t", "int32": "int32_t", "int64": "int64_t", "uint32": "uint32_t", "bool": "uint8_t"}
_LONGEST_SHIFT = 61
_LOOPS = "ijklmnpq"


@dataclass
class Writer:
    """What the statements need besides themselves: kernels, constants of their own, and the longest row of sums."""

    network: Network
    names: dict[str, str]
    offsets: Mapping[str, int]
    kernels: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    scratch: int = 0  # int32
    patch: int = 0  # int16

    def tensor(self, name: str) -> Tensor:
        """A tensor by its name in the network."""
        return self.network.tensors[name]

    def shares(self, a: str, b: str) -> bool:
        """Whether two tensors, one made of the other, lie at the same place."""
        return a in self.offsets and self.offsets[a] == self.offsets[b]

    def use(self, kernel: str, text: str, **types: str) -> str:
        """The name of a kernel for these types, which is written once."""
        for word, kind in types.items():
            low, high = ("0", "255") if kind == "uint8" else ("-128", "127")
            text = (
                text.replace(f"@{word}_T@", C_TYPES[kind])
                .replace(f"@{word}@", kind)
                .replace("@LOW@", low)
                .replace("@HIGH@", high)
            )
        name = "_".join([kernel, *types.values()])
        self.kernels.setdefault(name, text)
        return name

    def array(self, node: Node, what: str, values: Sequence[int], dtype: str) -> str:
        """A constant of a node's own."""
        name = f"{self.names[node.output]}_{what}"
        self.arrays[name] = dtype, np.asarray(values, dtype)
        return name


def statements(writer: Writer, node: Node) -> list[str]:
    """The C of one node. Raises FloatNodesError where C has no kernel for it."""
    rule = _RULES.get(node.op)
    if rule is None:
        raise refused(node, "there is no kernel for it")
    return rule(writer, node)


def refused(node: Node, why: str) -> FloatNodesError:
    """The sentence for what cannot be had in C."""
    return FloatNodesError(f"node {node.name} ({node.op}) cannot be had in C: {why}; use --to json, or the ONNX model")


def _dtype(writer: Writer, name: str) -> str:
    return str(writer.tensor(name).dtype)


def _rescale(writer: Writer, node: Node, index: int = 0) -> tuple[str, str]:
    """The constants with 24-bit mantissas and shifts of a rescaling."""
    record = node.rescales[index]
    mantissas, shifts = [m >> 7 for m in record.m0], [s - 7 for s in record.shift]
    if min(shifts) < 1:
        raise refused(node, "it multiplies by 2^23 and more")
    far = [s > _LONGEST_SHIFT for s in shifts]
    mantissas = [0 if beyond else m for m, beyond in zip(mantissas, far, strict=True)]
    shifts = [min(s, _LONGEST_SHIFT) for s in shifts]
    return writer.array(node, f"m{index}", mantissas, "int32"), writer.array(node, f"s{index}", shifts, "uint8")


def _pair(values: Sequence[int], missing: int) -> tuple[int, int]:
    """Two axes, the first of which a one-dimensional map lacks."""
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])


def _ints(node: Node, key: str) -> list[int]:
    value = node.attributes[key]
    assert isinstance(value, list)
    return value


def _conv(writer: Writer, node: Node) -> list[str]:
    x, weight, *bias = node.inputs
    shape, taps, out = writer.tensor(x).shape, writer.tensor(weight).shape, writer.tensor(node.output).shape
    if len(shape) not in (3, 4):
        raise refused(node, "it has three spatial axes")
    m, s = _rescale(writer, node)
    writer.kernels.setdefault("conv_shape", kernels.CONV)
    by_rows = taps[1] == 1
    kernel = ("rows", kernels.DEPTHWISE) if by_rows else ("conv", kernels.DENSE)
    writer.use(*kernel, X=_dtype(writer, x), W=_dtype(writer, weight))
    name = f"{kernel[0]}_{_dtype(writer, x)}"
    (height, width), (out_height, out_width) = _pair(shape[2:], 1), _pair(out[2:], 1)
    pairs = [
        *_pair(taps[2:], 1), *_pair(_ints(node, "strides"), 1), *_pair(_ints(node, "dilations"), 1),
        *_pair(_ints(node, "pads"), 0),
    ]  # fmt: skip
    if by_rows:
        writer.scratch = max(writer.scratch, out_width)
    else:
        writer.patch = max(writer.patch, math.prod(taps[1:]))
    a = node.attributes
    per_channel = int(len(node.rescales[0].m0) > 1)
    fields = [
        shape[1],
        height,
        width,
        out[1],
        out_height,
        out_width,
        a["group"],
        *pairs,
        a["x_zero_point"],
        a["y_zero_point"],
        per_channel,
    ]
    listed = ", ".join(map(str, fields))
    given = writer.names[bias[0]] if bias else "0"
    calls = []
    for sample in range(shape[0]):
        before, after = sample * math.prod(shape[1:]), sample * math.prod(out[1:])
        calls.append(
            f"{name}({writer.names[x]} + {before}, {writer.names[weight]}, {given}, {m}, {s}, "
            f"{writer.names[node.output]} + {after}, {'sums' if by_rows else 'patch'}, &shape);"
        )
    return [f"static const conv_shape shape = {{{listed}}};", *calls]


def _matmul(writer: Writer, node: Node) -> list[str]:
    a, b, *bias = node.inputs
    left, right, out = writer.tensor(a), writer.tensor(b), writer.tensor(node.output)
    types = {"A": _dtype(writer, a), "B": _dtype(writer, b)}
    name = writer.use("row", kernels.MATMUL, **types)
    left_shape = (1, *left.shape) if len(left.shape) == 1 else left.shape
    right_shape = (*right.shape, 1) if len(right.shape) == 1 else right.shape
    (rows, inner), columns = left_shape[-2:], right_shape[-1]
    batch = np.broadcast_shapes(left_shape[:-2], right_shape[:-2])
    sizes = math.prod(batch)
    count = [math.prod(shape[:-2]) for shape in (left_shape, right_shape)]
    if any(number not in (1, sizes) for number in count):
        raise refused(node, "its batches broadcast along several axes")
    writer.scratch = max(writer.scratch, columns)
    steps = [f"p * {rows * inner}" if count[0] > 1 else "0", f"p * {inner * columns}" if count[1] > 1 else "0"]
    given = writer.names[bias[0]] if bias else "0"
    z = node.attributes
    operands = f"{writer.names[a]} + {steps[0]} + r * {inner}, {writer.names[b]} + {steps[1]}"
    row = f"{name}({operands}, {given}, sums, {inner}, {columns}, {z['a_zero_point']}, {z['b_zero_point']});"
    target = f"{writer.names[node.output]}[(p * {rows} + r) * {columns} + n]"
    if node.rescales:
        m, s = _rescale(writer, node)
        at = "n" if len(node.rescales[0].m0) > 1 else "0"
        low, high = _limits(out)
        code = f"rescale((int64_t)sums[n] * {m}[{at}], {s}[{at}]) + {z['y_zero_point']}"
        made = f"({C_TYPES[str(out.dtype)]})clamp({code}, {low}, {high})"
    else:
        made = "sums[n]"
    return [
        f"for (int32_t p = 0; p < {sizes}; p++)",
        f"    for (int32_t r = 0; r < {rows}; r++) {{",
        f"        {row}",
        f"        for (int32_t n = 0; n < {columns}; n++) {target} = {made};",
        "    }",
    ]


def _limits(tensor: Tensor) -> tuple[int, int]:
    info = np.iinfo(tensor.dtype)
    return int(info.min), int(info.max)


def _loops(writer: Writer, node: Node, made: Callable[..., str], names: Sequence[str] | None = None) -> list[str]:
    """Nested loops over the broadcast output; `made` gives the expression of one element from those of the inputs."""
    names = node.inputs if names is None else names
    shape = writer.tensor(node.output).shape
    axes = _merged([shape, *(_aligned(writer.tensor(name).shape, len(shape)) for name in names)])
    sizes = [axis[0] for axis in axes]
    terms = []
    for place in range(len(names)):
        strides, step = [0] * len(axes), 1
        for index in range(len(axes) - 1, -1, -1):
            own = axes[index][place + 1]
            strides[index] = step if own > 1 else 0
            step *= own
        offset = " + ".join(f"{_LOOPS[i]} * {s}" if s > 1 else _LOOPS[i] for i, s in enumerate(strides) if s) or "0"
        terms.append(f"{writer.names[names[place]]}[{offset}]")
    out = " + ".join(
        f"{_LOOPS[i]} * {math.prod(sizes[i + 1 :])}" if math.prod(sizes[i + 1 :]) > 1 else _LOOPS[i] for i in range(len(sizes))
    )
    lines = [f"{'    ' * i}for (int32_t {_LOOPS[i]} = 0; {_LOOPS[i]} < {size}; {_LOOPS[i]}++)" for i, size in enumerate(sizes)]
    return [*lines, f"{'    ' * len(sizes)}{writer.names[node.output]}[{out}] = {made(*terms)};"]


def _aligned(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape


def _merged(shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The axes of several shapes that broadcast to the first, neighbours that behave alike joined."""
    axes: list[tuple[int, ...]] = []
    for sizes in zip(*shapes, strict=True):
        if all(size == 1 for size in sizes):
            continue
        alike = axes and all((a > 1) == (b > 1) for a, b in zip(axes[-1], sizes, strict=True))
        if alike:
            axes[-1] = tuple(a * b for a, b in zip(axes[-1], sizes, strict=True))
        else:
            axes.append(sizes)
    return axes or [tuple(1 for _ in shapes)]


def _add(writer: Writer, node: Node) -> list[str]:
    z, out = node.attributes, writer.tensor(node.output)
    shifts = [record.shift[0] - 7 for record in node.rescales]
    mantissas = [record.m0[0] >> 7 for record in node.rescales]
    shift = max(*shifts, 1)
    if max(9 + 24 + shift - min(shifts), 9 + shift) > _LONGEST_SHIFT:
        raise refused(node, "one of its operands is more than 2^27 times as large as the other")
    low, high = _limits(out)

    def made(a: str, b: str) -> str:
        terms = [
            f"(int64_t)((int32_t){x} - {z[key]}) * INT64_C({m << (shift - own)})"
            for x, key, m, own in zip((a, b), ("a_zero_point", "b_zero_point"), mantissas, shifts, strict=True)
        ]
        base = f"INT64_C({int(str(z['y_zero_point'])) << shift})"
        return f"({C_TYPES[str(out.dtype)]})clamp(rescale({terms[0]} + {terms[1]} + {base}, {shift}), {low}, {high})"

    return _loops(writer, node, made)


def _mul(writer: Writer, node: Node) -> list[str]:
    z, out = node.attributes, writer.tensor(node.output)
    mantissa, shift = node.rescales[0].m0[0] >> 7, node.rescales[0].shift[0] - 7
    low, high = _limits(out)
    if shift < 1:
        raise refused(node, "it multiplies by 2^23 and more")
    if shift > 52:
        return _loops(writer, node, lambda a, b: str(z["y_zero_point"]))

    def made(a: str, b: str) -> str:
        product = f"(int64_t)(((int32_t){a} - {z['a_zero_point']}) * ((int32_t){b} - {z['b_zero_point']})) * {mantissa}"
        base = f"INT64_C({int(str(z['y_zero_point'])) << shift})"
        return f"({C_TYPES[str(out.dtype)]})clamp(rescale({product} + {base}, {shift}), {low}, {high})"

    return _loops(writer, node, made)


def _lookup(writer: Writer, node: Node) -> list[str]:
    x, table = node.inputs
    return _loops(writer, node, lambda a: f"{writer.names[table]}[(uint8_t){a}]", [x])


def _cast(writer: Writer, node: Node) -> list[str]:
    kind = str(writer.tensor(node.output).dtype)
    test = " != 0" if kind == "bool" else ""
    return _loops(writer, node, lambda a: f"({C_TYPES[kind]})({a}{test})")


def _clip(writer: Writer, node: Node) -> list[str]:
    out = writer.tensor(node.output)
    kind, low, high = C_TYPES[str(out.dtype)], int(str(node.attributes["low"])), int(str(node.attributes["high"]))
    least, most = _limits(out)

    def made(a: str) -> str:
        upper = a if high >= most else f"({a} > {high} ? {high} : {a})"
        return f"({kind})({upper if low <= least else f'({a} < {low} ? {low} : {upper})'})"

    return _loops(writer, node, made)


def _infix(sign: str) -> Callable[[Writer, Node], list[str]]:
    def rule(writer: Writer, node: Node) -> list[str]:
        kind = C_TYPES[_dtype(writer, node.output)]
        return _loops(writer, node, lambda a, b: f"({kind})({a} {sign} {b})")

    return rule


def _extreme(sign: str) -> Callable[[Writer, Node], list[str]]:
    def rule(writer: Writer, node: Node) -> list[str]:
        kind = C_TYPES[_dtype(writer, node.output)]
        return _loops(writer, node, lambda a, b: f"({kind})({a} {sign} {b} ? {a} : {b})")

    return rule


def _where(writer: Writer, node: Node) -> list[str]:
    return _loops(writer, node, lambda c, a, b: f"{c} ? {a} : {b}")


def _move(writer: Writer, node: Node) -> list[str]:
    sizes, strides, offset = _ints(node, "sizes"), _ints(node, "strides"), node.attributes["offset"]
    sizes, strides = (sizes, strides) if sizes else ([1], [0])
    source = " + ".join([str(offset), *(f"{_LOOPS[i]} * {stride}" for i, stride in enumerate(strides) if stride)])
    target = " + ".join(f"{_LOOPS[i]} * {math.prod(sizes[i + 1 :])}" for i in range(len(sizes)))
    lines = [f"{'    ' * i}for (int32_t {_LOOPS[i]} = 0; {_LOOPS[i]} < {size}; {_LOOPS[i]}++)" for i, size in enumerate(sizes)]
    return [*lines, f"{'    ' * len(sizes)}{writer.names[node.output]}[{target}] = {writer.names[node.inputs[0]]}[{source}];"]


def _gather(writer: Writer, node: Node) -> list[str]:
    x, places = node.inputs
    size = writer.tensor(node.output).size
    line = f"{writer.names[node.output]}[i] = {writer.names[x]}[{writer.names[places]}[i]];"
    return [f"for (int32_t i = 0; i < {size}; i++) {line}"]


def _take(writer: Writer, node: Node) -> list[str]:
    x, index = node.inputs
    shape, count, axis = writer.tensor(x).shape, writer.tensor(index).size, int(str(node.attributes["axis"]))
    outer, inner, size = math.prod(shape[:axis]), math.prod(shape[axis + 1 :]), shape[axis]
    at = f"{writer.names[index]}[j]"
    place = f"({at} < 0 ? {at} + {size} : {at})"
    return [
        f"for (int32_t i = 0; i < {outer}; i++)",
        f"    for (int32_t j = 0; j < {count}; j++)",
        f"        for (int32_t k = 0; k < {inner}; k++)",
        f"            {writer.names[node.output]}[(i * {count} + j) * {inner} + k] = "
        f"{writer.names[x]}[(i * {size} + {place}) * {inner} + k];",
    ]


def _concat(writer: Writer, node: Node) -> list[str]:
    out, axis = writer.tensor(node.output), int(str(node.attributes["axis"]))
    outer, whole = math.prod(out.shape[:axis]), math.prod(out.shape[axis:])
    lines, start = [f"for (int32_t i = 0; i < {outer}; i++) {{"], 0
    for name in node.inputs:
        size = math.prod(writer.tensor(name).shape[axis:])
        target = f"{writer.names[node.output]} + i * {whole} + {start}"
        lines.append(f"    memcpy({target}, {writer.names[name]} + i * {size}, {size * out.dtype.itemsize});")
        start += size
    return [*lines, "}"]


def _reshape(writer: Writer, node: Node) -> list[str]:
    if writer.shares(node.inputs[0], node.output):
        return ["/* nothing moves */"]
    return [f"memcpy({writer.names[node.output]}, {writer.names[node.inputs[0]]}, {writer.tensor(node.output).bytes});"]


def _pad(writer: Writer, node: Node) -> list[str]:
    x, before = writer.tensor(node.inputs[0]), _ints(node, "before")
    out = writer.tensor(node.output)
    axes = range(len(out.shape))
    lines = [f"{'    ' * i}for (int32_t {_LOOPS[i]} = 0; {_LOOPS[i]} < {out.shape[i]}; {_LOOPS[i]}++)" for i in axes]
    padded = [i for i in axes if out.shape[i] != x.shape[i] or before[i]]
    tests = " && ".join(f"{_LOOPS[i]} >= {before[i]} && {_LOOPS[i]} < {before[i] + x.shape[i]}" for i in padded)
    source = " + ".join(f"({_LOOPS[i]} - {before[i]}) * {math.prod(x.shape[i + 1 :])}" for i in axes)
    target = " + ".join(f"{_LOOPS[i]} * {math.prod(out.shape[i + 1 :])}" for i in axes)
    made = f"({tests or '1'}) ? {writer.names[node.inputs[0]]}[{source}] : {node.attributes['value']}"
    kind = C_TYPES[str(out.dtype)]
    return [*lines, f"{'    ' * len(out.shape)}{writer.names[node.output]}[{target}] = ({kind})({made});"]


def _softmax(writer: Writer, node: Node) -> list[str]:
    x, table = node.inputs
    shape, axis = writer.tensor(x).shape, int(str(node.attributes["axis"]))
    writer.use("softmax", kernels.SOFTMAX, X=_dtype(writer, x))
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    numbers = f"{outer}, {shape[axis]}, {inner}, {node.attributes['steps']}, {node.attributes['y_zero_point']}"
    return [f"softmax_{_dtype(writer, x)}({writer.names[x]}, {writer.names[table]}, {writer.names[node.output]}, {numbers});"]


def _pool(kernel: str) -> Callable[[Writer, Node], list[str]]:
    def rule(writer: Writer, node: Node) -> list[str]:
        x, out, a = writer.tensor(node.inputs[0]), writer.tensor(node.output), node.attributes
        if len(x.shape) not in (3, 4):
            raise refused(node, "it has three spatial axes")
        writer.use("max_pool", kernels.POOL, X=str(x.dtype))
        if kernel == "average_pool":
            writer.use(kernel, kernels.AVERAGE, X=str(x.dtype))
        pairs = [
            *_pair(_ints(node, "kernel"), 1), *_pair(_ints(node, "strides"), 1), *_pair(_ints(node, "dilations"), 1),
            *_pair(_ints(node, "pads"), 0),
        ]  # fmt: skip
        fields = [math.prod(x.shape[:2]), *_pair(x.shape[2:], 1), *_pair(out.shape[2:], 1), *pairs, a.get("x_zero_point", 0)]
        listed = ", ".join(map(str, [*fields, a.get("counts_padding", 0)]))
        call = f"{kernel}_{x.dtype}({writer.names[node.inputs[0]]}, {writer.names[node.output]}, &shape);"
        return [f"static const pool_shape shape = {{{listed}}};", call]

    return rule


def _global_average(writer: Writer, node: Node) -> list[str]:
    x, out, z = writer.tensor(node.inputs[0]), writer.tensor(node.output), node.attributes
    m, s = _rescale(writer, node)
    maps, size = math.prod(x.shape[:2]), math.prod(x.shape[2:])
    low, high = _limits(out)
    kind = C_TYPES[str(out.dtype)]
    return [
        f"for (int32_t i = 0; i < {maps}; i++) {{",
        f"    int32_t sum = {-int(str(z['x_zero_point'])) * size};",
        f"    for (int32_t j = 0; j < {size}; j++) sum += {writer.names[node.inputs[0]]}[i * {size} + j];",
        f"    {writer.names[node.output]}[i] = "
        f"({kind})clamp(rescale((int64_t)sum * {m}[0], {s}[0]) + {z['y_zero_point']}, {low}, {high});",
        "}",
    ]


def _reduce(start: str, step: str, end: str = "total") -> Callable[[Writer, Node], list[str]]:
    def rule(writer: Writer, node: Node) -> list[str]:
        x, out, axes = writer.tensor(node.inputs[0]), writer.tensor(node.output), _ints(node, "axes")
        outer, size, inner = _around(x.shape, axes, node)
        kind = "int64_t" if str(x.dtype) == "int64" else "int32_t"
        first = f"{writer.names[node.inputs[0]]}[i * {size * inner} + k]"
        value = f"{writer.names[node.inputs[0]]}[(i * {size} + j) * {inner} + k]"
        return [
            f"for (int32_t i = 0; i < {outer}; i++)",
            f"    for (int32_t k = 0; k < {inner}; k++) {{",
            f"        {kind} total = {start.format(first=first)};",
            f"        for (int32_t j = 0; j < {size}; j++) {{ const {kind} value = {value}; {step} }}",
            f"        {writer.names[node.output]}[i * {inner} + k] = ({C_TYPES[str(out.dtype)]})({end.format(size=size)});",
            "    }",
        ]

    return rule


def _around(shape: tuple[int, ...], axes: list[int], node: Node) -> tuple[int, int, int]:
    """The number of elements before, along and behind axes that are neighbours."""
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise refused(node, "the axes that it reduces are no neighbours")
    return math.prod(shape[: axes[0]]), math.prod(shape[axes[0] : axes[-1] + 1]), math.prod(shape[axes[-1] + 1 :])


def _arg(sign: str) -> Callable[[Writer, Node], list[str]]:
    def rule(writer: Writer, node: Node) -> list[str]:
        x = writer.tensor(node.inputs[0])
        outer, size, inner = _around(x.shape, [int(str(node.attributes["axis"]))], node)
        sign_ = f"{sign}=" if node.attributes["last"] else sign
        name = writer.names[node.inputs[0]]
        return [
            f"for (int32_t i = 0; i < {outer}; i++)",
            f"    for (int32_t k = 0; k < {inner}; k++) {{",
            "        int32_t best = 0;",
            f"        for (int32_t j = 1; j < {size}; j++)",
            f"            if ({name}[(i * {size} + j) * {inner} + k] {sign_} {name}[(i * {size} + best) * {inner} + k])",
            "                best = j;",
            f"        {writer.names[node.output]}[i * {inner} + k] = best;",
            "    }",
        ]

    return rule


_RULES: dict[str, Callable[[Writer, Node], list[str]]] = {
    "conv": _conv,
    "matmul": _matmul,
    "add": _add,
    "mul": _mul,
    "lookup": _lookup,
    "take": _take,
    "gather": _gather,
    "concat": _concat,
    "reshape": _reshape,
    "move": _move,
    "pad": _pad,
    "clip": _clip,
    "cast": _cast,
    "plus": _infix("+"),
    "minus": _infix("-"),
    "times": _infix("*"),
    "divide": _infix("/"),
    "xor": _infix("^"),
    "at_least": _infix(">="),
    "above": _infix(">"),
    "below": _infix("<"),
    "at_most": _infix("<="),
    "equal": _infix("=="),
    "and": _infix("&&"),
    "or": _infix("||"),
    "max": _extreme(">"),
    "min": _extreme("<"),
    "where": _where,
    "softmax": _softmax,
    "max_pool": _pool("max_pool"),
    "average_pool": _pool("average_pool"),
    "global_average": _global_average,
    "reduce_sum": _reduce("0", "total += value;"),
    "reduce_mean": _reduce("0", "total += value;", "total / {size}"),
    "reduce_max": _reduce("{first}", "total = value > total ? value : total;"),
    "reduce_min": _reduce("{first}", "total = value < total ? value : total;"),
    "argmax": _arg(">"),
    "argmin": _arg("<"),
}
