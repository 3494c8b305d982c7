"""What the C statements of operators are made with: names, constants, loops over broadcast shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qconv.errors import FloatNodesError
from qconv.export.network import Network, Node, Tensor

C_TYPES = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t",
    "uint32": "uint32_t", "uint64": "uint64_t", "bool": "uint8_t",
}  # fmt: skip
LONGEST_SHIFT = 61
LOOPS = "ijklmnpq"


@dataclass
class Writer:
    """What the statements need besides themselves: kernels, constants of their own, and the longest row of sums."""

    network: Network
    names: dict[str, str]
    offsets: Mapping[str, int]
    prefix: str  # of what other files see
    kernels: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)
    scratch: int = 0  # int32
    patch: int = 0  # int16
    bits: int = 0  # uint64

    def tensor(self, name: str) -> Tensor:
        """Returns a tensor by its name in the network."""
        return self.network.tensors[name]

    def shares(self, a: str, b: str) -> bool:
        """Tells whether two tensors, one made of the other, lie at the same place."""
        return a in self.offsets and self.offsets[a] == self.offsets[b]

    def use(self, kernel: str, text: str, **types: str) -> str:
        """Returns the name of a kernel for these types, which is written once."""
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
        """Adds a constant of a node's own, and returns its name."""
        name = f"{self.prefix}_{self.names[node.output]}_{what}"
        self.arrays[name] = dtype, np.asarray(values, dtype)
        return name


def refused(node: Node, why: str) -> FloatNodesError:
    """Returns the error for what cannot be had in C."""
    return FloatNodesError(f"node {node.name} ({node.op}) cannot be had in C: {why}; use --to json, or the ONNX model")


def dtype(writer: Writer, name: str) -> str:
    """Returns the type of a tensor by its name in the network."""
    return str(writer.tensor(name).dtype)


def rescale(writer: Writer, node: Node, index: int = 0) -> tuple[str, str]:
    """Returns the names of the constants with 24-bit mantissas and shifts of a rescaling."""
    record = node.rescales[index]
    mantissas, shifts = [m >> 7 for m in record.m0], [s - 7 for s in record.shift]
    if min(shifts) < 1:
        raise refused(node, "it multiplies by 2^23 and more")
    far = [s > LONGEST_SHIFT for s in shifts]
    mantissas = [0 if beyond else m for m, beyond in zip(mantissas, far, strict=True)]
    shifts = [min(s, LONGEST_SHIFT) for s in shifts]
    return writer.array(node, f"m{index}", mantissas, "int32"), writer.array(node, f"s{index}", shifts, "uint8")


def pair(values: Sequence[int], missing: int) -> tuple[int, int]:
    """Returns two axes, the first of which is `missing` for a map of one axis."""
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])


def ints(node: Node, key: str) -> list[int]:
    """Returns an attribute that is a list."""
    value = node.attributes[key]
    assert isinstance(value, list)
    return value


def limits(tensor: Tensor) -> tuple[int, int]:
    """Returns the least and the greatest number that a tensor of integers can hold."""
    info = np.iinfo(tensor.dtype)
    return int(info.min), int(info.max)


def loops(writer: Writer, node: Node, made: Callable[..., str], names: Sequence[str] | None = None) -> list[str]:
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
        offset = " + ".join(f"{LOOPS[i]} * {s}" if s > 1 else LOOPS[i] for i, s in enumerate(strides) if s) or "0"
        terms.append(f"{writer.names[names[place]]}[{offset}]")
    out = " + ".join(
        f"{LOOPS[i]} * {math.prod(sizes[i + 1 :])}" if math.prod(sizes[i + 1 :]) > 1 else LOOPS[i] for i in range(len(sizes))
    )
    lines = [f"{'    ' * i}for (int32_t {LOOPS[i]} = 0; {LOOPS[i]} < {size}; {LOOPS[i]}++)" for i, size in enumerate(sizes)]
    return [*lines, f"{'    ' * len(sizes)}{writer.names[node.output]}[{out}] = {made(*terms)};"]


def _aligned(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape


def _merged(shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Returns the axes of several shapes that broadcast to the first; neighbours that behave alike are joined."""
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
