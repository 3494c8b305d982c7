"""Steps of a random graph: steep functions, tests, scatters, sizes, and whatever else the table knows."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from .growing import Array, Growing

_CURVES = ("Asinh", "Ceil", "Celu", "Cos", "Cosh", "Round", "Shrink", "Sign", "Sinh", "ThresholdedRelu")


def steep(g: Growing) -> None:
    """What varies fast near zero, of squares and their sums; what varies fast everywhere; and a quotient."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = g.shapes[x]
    match g.rng.integers(0, 4):
        case 0:
            g.add(str(g.rng.choice(_CURVES)), [x], shape)
        case 1:
            g.add("Mul", [x, g.constant(np.asarray(g.rng.uniform(5, 300), np.float32))], shape)
            g.add(str(g.rng.choice(["Sin", "Cos"])), [g.last], shape)
        case _:
            g.add("Mul", [x, x], shape)
            if len(shape) < 4 and g.rng.random() < 0.5:
                columns = int(g.rng.integers(1, 6))
                g.add("MatMul", [g.last, g.constant(g.rng.random((shape[-1], columns), np.float32))], (*shape[:-1], columns))
            size = g.shapes[g.last]
            g.add("Add", [g.last, g.constant(np.asarray(10.0 ** g.rng.uniform(-4, 0), np.float32))], size)
            energies = g.last
            g.add(str(g.rng.choice(["Log", "Sqrt", "Reciprocal"])), [energies], size)
            if g.rng.random() < 0.3:
                g.add("Div", [g.last, energies], size)


def compare(g: Growing) -> None:
    """Elements of two tensors by a test of them, or the place of the greatest as a real."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = g.shapes[x]
    other = str(g.rng.choice([name for name, found in g.shapes.items() if found == shape]))
    if g.rng.random() < 0.2:
        place = g.hidden(str(g.rng.choice(["ArgMax", "ArgMin"])), [x], axis=1)
        g.add("Cast", [place], (shape[0], 1, *shape[2:]), {"to": TensorProto.FLOAT})
        return
    limit = g.constant(np.asarray(g.rng.normal(), np.float32))
    test = g.hidden(str(g.rng.choice(["Greater", "GreaterOrEqual", "Less", "LessOrEqual"])), [x, limit])
    g.add("Where", [test, x, other], shape)


def scatter(g: Growing) -> None:
    """Some elements of a tensor replaced."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = g.shapes[x]
    if g.rng.random() < 0.5:
        places = g.rng.integers(0, shape[-1], (*shape[:-1], 1))
        updates = g.constant(g.rng.normal(0, 1, places.shape).astype(np.float32))
        g.add("ScatterElements", [x, g.constant(places), updates], shape, {"axis": len(shape) - 1})
        return
    updates = g.constant(g.rng.normal(0, 1, (1, *shape[1:])).astype(np.float32))
    g.add("ScatterND", [x, g.constant(np.zeros((1, 1), np.int64)), updates], shape)


def take(g: Growing) -> None:
    """Elements chosen, repeated or put elsewhere by constants."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    last = len(shape) - 1
    match g.rng.integers(0, 8):
        case 0:
            g.add("Tile", [x, g.ints(*[1] * last, 2)], (*shape[:-1], 2 * shape[-1]))
        case 1:
            places = g.rng.integers(0, shape[-1], 3)
            g.add("Gather", [x, g.constant(places)], (*shape[:-1], 3), {"axis": last})
        case 2:
            places = g.rng.integers(0, shape[-1], (*shape[:-1], 2))
            g.add("GatherElements", [x, g.constant(places)], (*shape[:-1], 2), {"axis": last})
        case 3:
            places = g.rng.integers(0, shape[1], (shape[0], 2, 1))
            g.add("GatherND", [x, g.constant(places)], (shape[0], 2, *shape[2:]), {"batch_dims": 1})
        case 4:
            mask = np.arange(shape[-1]) % 2 == 0
            g.add("Compress", [x, g.constant(mask)], (*shape[:-1], int(mask.sum())), {"axis": last})
        case 5 if len(shape) == 4 and shape[1] % 4 == 0:
            mode = str(g.rng.choice(["DCR", "CRD"]))
            g.add("DepthToSpace", [x], (shape[0], shape[1] // 4, 2 * shape[2], 2 * shape[3]), {"blocksize": 2, "mode": mode})
        case 6 if shape[-1] > 1:
            parts = [1, shape[-1] - 1]
            names = [f"t{len(g.nodes)}", f"t{len(g.nodes)}_1"]
            split = helper.make_node("Split", [x, g.ints(*parts)], names, name=f"n{len(g.nodes)}_Split", axis=last)
            g.nodes.append(split)
            g.shapes |= {name: (*shape[:-1], size) for name, size in zip(names, parts, strict=True)}
        case _:
            wide = g.hidden("Unsqueeze", [x, g.ints(1)])
            grown = g.hidden("Expand", [wide, g.ints(shape[0], 2, *shape[1:])])
            g.add("Reshape", [grown, g.ints(shape[0], 2 * shape[1], *shape[2:])], (shape[0], 2 * shape[1], *shape[2:]))


def resize(g: Growing) -> None:
    """A picture in another size."""
    if (x := g.pick(4)) is None:
        return
    shape = g.shapes[x]
    mode = str(g.rng.choice(["nearest", "linear", "cubic"]))
    sizes = (*shape[:2], *(int(size) for size in g.rng.integers(1, 10, 2)))
    g.add("Resize", [x, "", "", g.ints(*sizes)], sizes, {"mode": mode})


def layer(g: Growing) -> None:
    """Norms by channel, slopes by channel, bounds, sums of several tensors, and products written as letters."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    channels = shape[1]

    def by_channel(mean: float) -> str:
        return g.constant(np.abs(g.rng.normal(mean, 0.3, channels)).astype(np.float32) + np.float32(0.1))

    match g.rng.integers(0, 8):
        case 0:
            g.add("BatchNormalization", [x, *(by_channel(1) for _ in range(4))], shape)
        case 1:
            g.add("GroupNormalization", [x, by_channel(1), by_channel(0)], shape, {"num_groups": 1})
        case 2:
            slopes: Array = g.rng.normal(0, 0.5, (channels, *[1] * (len(shape) - 2))).astype(np.float32)
            g.add("PRelu", [x, g.constant(slopes)], shape)
        case 3:
            ends = np.sort(g.rng.normal(0, 1, 2)).astype(np.float32)
            g.add("Clip", [x, *(g.constant(end) for end in ends)], shape)
        case 4:
            g.add("Sum", [x, x, by_channel(0)] if shape[-1] == channels else [x, x], shape)
        case 5 if len(shape) == 3:
            weight = g.weight(shape[2], 3)
            g.add("Einsum", [x, weight], (shape[0], 3, shape[1]), {"equation": "abc,cd->adb"})
        case 6:
            g.add(str(g.rng.choice(["LogSoftmax", "Hardmax"])), [x], shape, {"axis": int(g.rng.integers(1, len(shape)))})
        case _:
            op = str(g.rng.choice(["ReduceSumSquare", "ReduceL1", "ReduceProd"]))
            g.add(op, [x, g.ints(1)], (shape[0], 1, *shape[2:]), {"keepdims": 1})
