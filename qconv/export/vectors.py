"""Test vectors, and memories for simulators of hardware: hexadecimal words that `$readmemh` reads, and a header of widths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.export.network import Network

Array = NDArray[Any]


def hex_words(array: Array) -> str:
    """One element in each line, in two's complement, with as many digits as its type has."""
    flat = np.ascontiguousarray(array).reshape(-1)
    unsigned = flat.astype(np.uint8) if flat.dtype == np.bool_ else flat.view(f"u{flat.dtype.itemsize}")
    digits = 2 * unsigned.dtype.itemsize
    return "".join(f"{int(word):0{digits}x}\n" for word in unsigned)


def file_name(name: str, taken: set[str]) -> str:
    """A name that every file system takes, and that no earlier one has."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._")[:80] or "tensor"
    wish, count = plain, 1
    while wish.lower() in taken:
        count += 1
        wish = f"{plain}_{count}"
    taken.add(wish.lower())
    return wish


def vector_files(values: Mapping[str, Array], sample: int, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The tensors of one sample as .hex files: name and text."""
    for name, label in names.items():
        yield f"sample{sample}_{label}.hex", hex_words(values[name])


def memory_files(network: Network) -> Iterator[tuple[str, str]]:
    """Weights, biases, tables, mantissas and shifts as .hex files, and network.vh with their widths and depths."""
    taken: set[str] = set()
    lines = ["// Made by qconv: widths and depths of the memories, and what every node is made of."]
    for node in network.all_nodes():
        label = file_name(node.name, taken)
        found = {f"{label}_in{i}": network.tensors[name].data for i, name in enumerate(node.inputs)}
        arrays: dict[str, Array] = {name: data for name, data in found.items() if data is not None}
        for index, record in enumerate(node.rescales):
            arrays[f"{label}_m{index}"] = np.asarray(record.m0, np.uint32)
            arrays[f"{label}_shift{index}"] = np.asarray(record.shift, np.uint8)
        shape = "x".join(map(str, network.tensors[node.output].shape))
        lines.append(f"// {label}: {node.op} -> {shape} of {network.tensors[node.output].dtype}; {_attributes(node.attributes)}")
        for name, array in arrays.items():
            macro = re.sub(r"[^A-Za-z0-9]", "_", name).upper()
            lines += [f"`define {macro}_WIDTH {8 * array.dtype.itemsize}", f"`define {macro}_DEPTH {max(array.size, 1)}"]
            yield f"{name}.hex", hex_words(array)
    yield "network.vh", "\n".join([*lines, ""])


def _attributes(attributes: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in attributes.items())
