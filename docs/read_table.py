"""Runs a network from its complete table: numpy, and nothing of qconv.

    python read_table.py model.table.json input.npz      prints a digest of every output and writes them to output.npz

docs/table.md says what every operator computes; this file does the same in Python.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np


def load(path):
    """The table, with the values of its constants."""
    table = json.loads(Path(path).read_text(encoding="utf-8"))
    data = (Path(path).parent / table["data"]).read_bytes()
    for tensor in table["tensors"].values():
        if "offset" in tensor:
            dtype = np.dtype(tensor["dtype"]).newbyteorder("<")
            count = int(np.prod(tensor["shape"], dtype=np.int64))
            tensor["values"] = np.frombuffer(data, dtype, count, tensor["offset"]).reshape(tensor["shape"])
    return table


def run(table, inputs):
    """All tensors by name; `inputs` are codes by the name of the tensor."""
    values = {name: tensor["values"] for name, tensor in table["tensors"].items() if "values" in tensor}
    values.update({name: np.asarray(array) for name, array in inputs.items()})
    compute(table, table["nodes"], values)
    return values


def compute(table, nodes, values):
    """Adds what nodes make to the tensors by name."""
    for node in nodes:
        if "body" in node:
            repeat(table, node["body"], values)
            continue
        tensor = table["tensors"][node["output"]]
        inputs = [values[name] for name in node["inputs"]]
        found = PLAIN[node["op"]](*inputs) if node["op"] in PLAIN else OPERATORS[node["op"]](node, inputs, tensor)
        values[node["output"]] = found.reshape(tensor["shape"]).astype(tensor["dtype"])


def repeat(table, body, values):
    """A body, once for each row of what it reads; `states` go from round to round."""
    states, kept = [values[state["initial"]] for state in body["states"]], []
    for t in range(body["count"]):
        values.update({state["before"]: found for state, found in zip(body["states"], states)})
        values.update({s["row"]: values[s["whole"]][-1 - t if s["backwards"] else t] for s in body["slices"]})
        compute(table, body["nodes"], values)
        states = [values[state["after"]] for state in body["states"]]
        kept.append([values[stack["row"]] for stack in body["stacks"]])
    values.update({state["final"]: found for state, found in zip(body["states"], states)})
    for stack, *rows in zip(body["stacks"], *kept):
        values[stack["whole"]] = np.stack(rows[::-1] if stack["backwards"] else rows)


def quantize(table, name, reals):
    """The codes of reals: clamp(round(real / S) + Z), in float32."""
    tensor = table["tensors"][name]
    scale = np.asarray(tensor["scale"], np.float32)
    if "axis" in tensor:
        scale = scale.reshape([-1 if axis == tensor["axis"] else 1 for axis in range(len(tensor["shape"]))])
    codes = np.rint(np.asarray(reals, np.float32) / scale) + np.float32(tensor["zero_point"])
    return np.clip(codes, *tensor["limits"]).astype(tensor["dtype"])


def divide_half_even(numerator, denominator):
    """round(numerator / denominator) of Python or int64 integers, halves to even; the denominator is positive."""
    floor = numerator // denominator
    twice = 2 * (numerator - floor * denominator)
    return floor + ((twice > denominator) | ((twice == denominator) & (floor % 2 == 1)))


def multipliers(rescale, shape):
    """24-bit mantissas and shifts: acc m0 2^-shift, as arrays that broadcast over the output."""
    m0, shift = (np.atleast_1d(np.asarray(rescale[key], np.int64)) for key in ("m0", "shift"))
    form = [1] * len(shape)
    if "axis" in rescale:
        form[rescale["axis"]] = -1
    return (m0 >> 7).reshape(form), (shift - 7).reshape(form)


def rescaled(acc, node, tensor, zero_point, inside=False):
    """clamp(round(acc m0 2^-shift) + Z); the zero point stands inside the rounding where `inside`."""
    mantissa, shift = multipliers(node["rescales"][0], acc.shape)
    product = acc.astype(np.int64) * mantissa
    small = np.clip(shift, 0, 61)
    kept = np.where(shift > 61, 0, product)  # a product of 56 bits over 2^62 is below a half
    if inside:
        codes = divide_half_even(kept + (np.int64(zero_point) << small), np.int64(1) << small)
    else:
        codes = divide_half_even(kept, np.int64(1) << small) + zero_point
    codes = np.where(shift < 0, np.sign(product) * (np.abs(product) << np.clip(-shift, 0, 7)) + zero_point, codes)
    return clamp(codes, tensor)


def clamp(codes, tensor):
    """Saturated in the type of a tensor."""
    limits = np.iinfo(tensor["dtype"])
    return np.clip(codes, limits.min, limits.max)


def windows(x, kernel, attributes, output, fill):
    """[..., kernel positions, outputs]: for each kernel position a map of what it meets, with `fill` outside."""
    spatial = x.shape[2:]
    padded = x
    for axis, (size, k) in enumerate(zip(spatial, kernel)):
        before = attributes["pads"][axis]
        reach = (output[axis] - 1) * attributes["strides"][axis] + (k - 1) * attributes["dilations"][axis] + 1
        padded = np.take(padded, range(max(-before, 0), size), axis + 2)
        widths = [(0, 0)] * padded.ndim
        widths[axis + 2] = (max(before, 0), max(0, reach - size - before))
        padded = np.pad(padded, widths, constant_values=fill)
    maps = []
    for place in np.ndindex(*kernel):
        cut = [slice(None), slice(None)]
        for axis, at in enumerate(place):
            start = at * attributes["dilations"][axis]
            stride = attributes["strides"][axis]
            cut.append(slice(start, start + (output[axis] - 1) * stride + 1, stride))
        maps.append(padded[tuple(cut)])
    return np.stack(maps)


def conv(node, inputs, tensor):
    x, weight, *bias = inputs
    a, group = node["attributes"], node["attributes"]["group"]
    kernel, output = weight.shape[2:], tensor["shape"][2:]
    maps = windows(x.astype(np.int64) - a["x_zero_point"], kernel, a, output, 0)
    maps = maps.reshape(len(maps), x.shape[0], group, weight.shape[1], -1)  # positions, samples, groups, channels, outputs
    taps = weight.astype(np.int64).reshape(group, -1, weight.shape[1], len(maps))
    acc = np.einsum("kngcp,gock->ngop", maps.astype(np.float64), taps.astype(np.float64))  # exact below 2^53
    acc = acc.astype(np.int64).reshape(x.shape[0], weight.shape[0], *output)
    if bias:
        acc = acc + bias[0].astype(np.int64).reshape(1, -1, *[1] * len(output))
    return rescaled(acc, node, tensor, a["y_zero_point"])


def matmul(node, inputs, tensor):
    a, b, *bias = inputs
    zero = node["attributes"]
    left = (a.astype(np.int64) - zero["a_zero_point"]).astype(np.float64)
    acc = np.matmul(left, (b.astype(np.int64) - zero["b_zero_point"]).astype(np.float64)).astype(np.int64)
    acc = (acc + (bias[0] if bias else 0)).reshape(tensor["shape"])
    return rescaled(acc, node, tensor, zero["y_zero_point"]) if "rescales" in node else acc


def add(node, inputs, tensor):
    a = node["attributes"]
    terms, shifts = [], []
    for x, key, rescale in zip(inputs, ("a_zero_point", "b_zero_point"), node["rescales"]):
        shifts.append(rescale["shift"] - 7)
        terms.append((x.astype(object) - a[key]) * (rescale["m0"] >> 7))
    shift = max(*shifts, 0)
    total = sum(term * 2 ** (shift - own) for term, own in zip(terms, shifts)) + a["y_zero_point"] * 2**shift
    codes = divide_half_even(total, 2**shift)
    limits = np.iinfo(tensor["dtype"])
    return np.minimum(np.maximum(codes, limits.min), limits.max)


def mul(node, inputs, tensor):
    a = node["attributes"]
    product = (inputs[0].astype(np.int64) - a["a_zero_point"]) * (inputs[1].astype(np.int64) - a["b_zero_point"])
    return rescaled(product, node, tensor, a["y_zero_point"], inside=True)


def global_average(node, inputs, tensor):
    a = node["attributes"]
    centered = inputs[0].astype(np.int64) - a["x_zero_point"]
    return rescaled(centered.reshape(*centered.shape[:2], -1).sum(-1).reshape(tensor["shape"]), node, tensor, a["y_zero_point"])


def average_pool(node, inputs, tensor):
    """The mean of what lies inside; the zero point is that of input and output, and stands inside the rounding."""
    a, x = node["attributes"], inputs[0].astype(np.int64)
    output = tensor["shape"][2:]
    sums = windows(x - a["x_zero_point"], a["kernel"], a, output, 0).sum(0)
    inside = windows(np.ones_like(x), a["kernel"], a, output, int(a["counts_padding"])).sum(0)
    return clamp(divide_half_even(sums + a["x_zero_point"] * inside, inside), tensor)


def max_pool(node, inputs, tensor):
    a, lowest = node["attributes"], np.iinfo(inputs[0].dtype).min
    return windows(inputs[0], a["kernel"], a, tensor["shape"][2:], lowest).max(0)


def softmax(node, inputs, tensor):
    """Sums in float32, in the order of the elements; the table holds the bits of 256 exponentials."""
    a, x = node["attributes"], np.moveaxis(inputs[0], node["attributes"]["axis"], -1)
    codes = x.astype(np.int64) - np.iinfo(x.dtype).min
    terms = np.ascontiguousarray(inputs[1]).view(np.float32)[codes + 255 - codes.max(-1, keepdims=True)]
    total = np.add.accumulate(terms, axis=-1, dtype=np.float32)[..., -1:]
    found = np.rint(terms.astype(np.float64) * a["steps"] / total) + a["y_zero_point"]
    return np.moveaxis(np.minimum(found, np.iinfo(x.dtype).max), -1, a["axis"])


def move(node, inputs, tensor):
    """out[i, j, ...] = in[offset + i s_i + j s_j ...]."""
    a, place = node["attributes"], np.asarray(node["attributes"]["offset"])
    for size, stride in zip(a["sizes"], a["strides"]):
        place = place[..., None] + np.arange(size) * stride
    return inputs[0].reshape(-1)[place.reshape(-1)]


def pad(node, inputs, tensor):
    a, x = node["attributes"], inputs[0]
    for axis, (before, after) in enumerate(zip(a["before"], a["after"])):
        x = np.take(x, range(max(-before, 0), x.shape[axis] - max(-after, 0)), axis)
    widths = [(max(b, 0), max(e, 0)) for b, e in zip(a["before"], a["after"])]
    return np.pad(x, widths, constant_values=a["value"])


def truncated(a, b):
    """a / b toward zero."""
    quotient = np.abs(a.astype(np.int64)) // np.abs(b.astype(np.int64))
    return np.where((a < 0) != (b < 0), -quotient, quotient)


def reduce_mean(node, inputs, tensor):
    axes = tuple(node["attributes"]["axes"])
    total = inputs[0].sum(axes, dtype=np.int64)
    return truncated(total, np.asarray(inputs[0].size // max(total.size, 1)))


def over(fold):
    """A reduction along axes."""
    return lambda node, inputs, tensor: fold(inputs[0], axis=tuple(node["attributes"]["axes"]))


def arg(fold):
    """The first, or the last, place of an extreme along an axis."""

    def kernel(node, inputs, tensor):
        axis = node["attributes"]["axis"]
        if not node["attributes"]["last"]:
            return fold(inputs[0], axis)
        return inputs[0].shape[axis] - 1 - fold(np.flip(inputs[0], axis), axis)

    return kernel


def top(node, inputs, tensor):
    a, keys = node["attributes"], inputs[0].astype(np.int64)
    return np.argsort(-keys if a["largest"] else keys, axis=a["axis"], kind="stable").take(range(a["k"]), a["axis"])


def put(node, inputs, tensor):
    found = inputs[0].copy()
    axis = node["attributes"]["axis"]
    for place, index in np.ndenumerate(inputs[1]):
        found[(*place[:axis], index, *place[axis + 1 :])] = inputs[2][place]
    return found


PLAIN = {
    "plus": np.add, "minus": np.subtract, "times": np.multiply, "divide": truncated, "max": np.maximum, "min": np.minimum,
    "xor": np.bitwise_xor, "and": np.bitwise_and, "or": np.bitwise_or, "at_least": np.greater_equal, "above": np.greater,
    "below": np.less, "at_most": np.less_equal, "equal": np.equal, "where": np.where, "reshape": np.array, "cast": np.array,
    "lookup": lambda x, entries: entries[x.view(np.uint8)],
    "gather": lambda x, places: x.reshape(-1)[places],
}  # fmt: skip
OPERATORS = {
    "conv": conv, "matmul": matmul, "add": add, "mul": mul, "softmax": softmax, "global_average": global_average,
    "average_pool": average_pool, "max_pool": max_pool, "move": move, "pad": pad, "top": top, "put": put,
    "take": lambda node, inputs, tensor: np.take(inputs[0], inputs[1], node["attributes"]["axis"]),
    "pick": lambda node, inputs, tensor: np.take_along_axis(inputs[0], inputs[1], node["attributes"]["axis"]),
    "concat": lambda node, inputs, tensor: np.concatenate(inputs, node["attributes"]["axis"]),
    "clip": lambda node, inputs, tensor: np.clip(inputs[0], node["attributes"]["low"], node["attributes"]["high"]),
    "reduce_sum": over(np.sum), "reduce_max": over(np.max), "reduce_min": over(np.min), "reduce_mean": reduce_mean,
    "argmax": arg(np.argmax), "argmin": arg(np.argmin),
}  # fmt: skip


def main():
    table = load(sys.argv[1])
    given = np.load(sys.argv[2])
    inputs = {}
    for entry in table["inputs"]:
        name = entry["tensor"]
        array = given[name] if name in given else given[entry["of"]]
        inputs[name] = quantize(table, name, array) if array.dtype.kind == "f" else array
    values = run(table, inputs)
    outputs = {entry["of"] or entry["tensor"]: values[entry["tensor"]] for entry in table["outputs"]}
    for name, codes in outputs.items():
        print(name, codes.dtype, codes.shape, hashlib.sha256(codes.tobytes()).hexdigest()[:16])
    np.savez("output.npz", **outputs)


if __name__ == "__main__":
    main()
