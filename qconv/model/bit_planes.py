"""Weights of 1 to 6 bits in a file: bit planes and a list of levels, which a function of the model puts together.

Bit i of code number e is bit (e mod 8) of bits[i, e / 8]; the code is the place of a level. All that the function reads are
constants, so that onnxruntime folds it on loading and computes with int8 as ever. It stands in the file once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qconv.quant.types import IntArray

DOMAIN, NAME, OPSET = "qconv", "Unpack", 21
MOST_BITS = 6
BYTES_OF_NODE, BYTES_OF_FUNCTION = 80, 800  # in a file, at most


def bits_for(codes: IntArray) -> int:
    """How many bits tell the values of some codes apart; at least one."""
    return max(1, int(len(np.unique(codes)) - 1).bit_length())


def planes_of(codes: IntArray) -> tuple[NDArray[np.uint8], IntArray]:
    """The bit planes [bits, bytes] of int8 codes, and their levels."""
    levels, places = np.unique(codes, return_inverse=True)
    bits = (places.reshape(-1).astype(np.uint8)[None, :] >> np.arange(bits_for(codes), dtype=np.uint8)[:, None]) & 1
    return np.packbits(bits, axis=1, bitorder="little"), levels


def codes_of(planes: NDArray[np.uint8], levels: IntArray, shape: NDArray[np.int64]) -> IntArray:
    """The inverse of `planes_of`."""
    bits = np.unpackbits(planes, axis=1, bitorder="little").astype(np.int64)
    places = (bits << np.arange(len(planes))[:, None]).sum(axis=0)[: int(np.prod(shape))]
    return np.asarray(levels[places].reshape([int(size) for size in shape]))


def function() -> onnx.FunctionProto:
    """Unpack(bits, levels, shape) -> codes, in ops of the standard."""
    constants: dict[str, NDArray[np.generic]] = {
        "none": np.asarray([0], np.int64), "last": np.asarray([2], np.int64), "flat": np.asarray([-1], np.int64),
        "shifts": np.arange(8, dtype=np.uint8), "one": np.asarray([1], np.uint8),
        "places": (1 << np.arange(MOST_BITS, dtype=np.int32)).reshape(-1, 1, 1),
    }  # fmt: skip
    make = helper.make_node
    nodes = [make("Constant", [], [name], value=numpy_helper.from_array(array)) for name, array in constants.items()]
    nodes += [
        make("Unsqueeze", ["bits", "last"], ["a"]),
        make("BitShift", ["a", "shifts"], ["b"], direction="RIGHT"),
        make("BitwiseAnd", ["b", "one"], ["c"]),
        make("Cast", ["c"], ["d"], to=onnx.TensorProto.INT32),
        make("Shape", ["bits"], ["e"], end=1),
        make("Slice", ["places", "none", "e", "none"], ["f"]),
        make("Mul", ["d", "f"], ["g"]),
        make("ReduceSum", ["g", "none"], ["h"], keepdims=0),
        make("Reshape", ["h", "flat"], ["i"]),
        make("ReduceProd", ["shape"], ["j"], keepdims=1),
        make("Slice", ["i", "none", "j", "none"], ["k"]),
        make("Gather", ["levels", "k"], ["l"]),
        make("Reshape", ["l", "shape"], ["codes"]),
    ]
    inputs = ["bits", "levels", "shape"]
    return helper.make_function(DOMAIN, NAME, inputs, ["codes"], nodes, [helper.make_opsetid("", OPSET)])


def fold(proto: onnx.ModelProto, folder: Path) -> None:
    """Puts the codes themselves, in place, where a graph calls the function on constants. `folder` has external data."""
    ours = [index for index, known in enumerate(proto.functions) if (known.domain, known.name) == (DOMAIN, NAME)]
    if not ours:
        return
    graph, kept = proto.graph, list[onnx.NodeProto]()
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    used: set[str] = set()
    for node in graph.node:
        if (node.domain, node.op_type) != (DOMAIN, NAME) or not all(name in tensors for name in node.input):
            kept.append(node)
            continue
        used.update(node.input)
        codes = codes_of(*(numpy_helper.to_array(tensors[name], base_dir=str(folder)) for name in node.input))
        graph.initializer.append(numpy_helper.from_array(codes, node.output[0]))
    if len(kept) == len(graph.node):
        return
    del graph.node[:]
    graph.node.extend(kept)
    used -= {name for node in kept for name in node.input}
    remaining = [tensor for tensor in graph.initializer if tensor.name not in used]
    del graph.initializer[:]
    graph.initializer.extend(remaining)
    if not any((node.domain, node.op_type) == (DOMAIN, NAME) for node in kept):
        del proto.functions[ours[0]]
