"""Steps of a random graph by rarer operators."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from .growing import Attribute, Growing


def pick_some(g: Growing) -> None:
    """Elements by their rank, by their own size, through an integer, or from a constant grid."""
    if (x := g.pick(3, 4)) is None:
        return
    shape = g.shapes[x]
    match g.rng.integers(0, 5):
        case 0:
            count = int(g.rng.integers(1, shape[-1] + 1))
            g.add("TopK", [x, g.constant(np.asarray([count], np.int64))], (*shape[:-1], count), spare=1)
        case 1:
            pads = [0] * len(shape) * 2
            pads[-1] = 1
            g.add("Pad", [x, g.constant(np.asarray(pads, np.int64))], (*shape[:-1], shape[-1] + 1), {"mode": "wrap"})
        case 2:
            whole = f"t{len(g.nodes)}"
            g.nodes.append(helper.make_node("Cast", [x], [whole], name=f"n{len(g.nodes)}_Cast", to=TensorProto.INT32))
            g.add("Cast", [whole], shape, {"to": TensorProto.FLOAT})
        case 3 if len(shape) == 4 and min(shape[2:]) > 1:
            grid = g.constant(g.rng.uniform(-1, 1, (shape[0], 3, 4, 2)).astype(np.float32))
            mode = str(g.rng.choice(["linear", "nearest"]))
            g.add("GridSample", [x, grid], (*shape[:2], 3, 4), {"mode": mode})
        case _ if len(shape) == 4 and not any(length % 2 for length in shape[2:]):
            size = (*shape[:2], *((length - 2) // 2 + 1 for length in shape[2:]))
            window: dict[str, Attribute] = {"kernel_shape": [2, 2], "strides": [2, 2]}
            g.add("MaxPool", [x], size, window, spare=1)
            pooled = next(reversed(g.shapes))
            g.add("MaxUnpool", [pooled, f"{pooled}_1"], (*shape[:2], *(2 * length for length in size[2:])), window)


def power(g: Growing) -> None:
    """A positive tensor to the power of another, of a vector, or the rest by one."""
    if (x := g.pick(2, 3, 4)) is None:
        return
    shape = g.shapes[x]
    g.add("Sigmoid", [x], shape)
    base = next(reversed(g.shapes))
    other = str(g.rng.choice([name for name, found in g.shapes.items() if found == shape]))
    if g.rng.random() < 0.5:
        other = g.constant(g.rng.uniform(0.3, 2, shape[-1:]).astype(np.float32))
        op = str(g.rng.choice(["Pow", "Mod"]))
        g.add(op, [base, other], shape, {"fmod": 1} if op == "Mod" else None)
        return
    g.add("Pow", [base, other], shape)


def recurrent(g: Growing) -> None:
    """A recurrent layer along the second axis, of which an odd form is a Scan."""
    if (x := g.pick(3)) is None:
        return
    batch, steps, width = g.shapes[x]
    op = str(g.rng.choice(["LSTM", "GRU", "RNN"]))
    gates, hidden = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], int(g.rng.integers(1, 5))
    g.add("Transpose", [x], (steps, batch, width), {"perm": [1, 0, 2]})
    turned = next(reversed(g.shapes))
    sizes = [(1, gates * hidden, width), (1, gates * hidden, hidden), (1, 2 * gates * hidden)]
    weights = [g.constant(g.rng.normal(0, 0.7, size).astype(np.float32)) for size in sizes]
    attributes: dict[str, Attribute] = {"hidden_size": hidden}
    if g.rng.random() < 0.6:
        attributes |= {"clip": 4.0, "direction": str(g.rng.choice(["forward", "reverse"]))}
    g.add(op, [turned, *weights], (steps, 1, batch, hidden), attributes)
