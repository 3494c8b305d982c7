"""Test vectors in C: inputs, outputs, and the hash of every tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qconv.export.c.text import c_type, comment, rows
from qconv.export.network import Network

Array = NDArray[Any]
_BASIS, _PRIME, _WORD = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


@dataclass(frozen=True)
class Sample:
    """The codes of all tensors for one input."""

    values: Mapping[str, Array]


def fnv(array: Array) -> int:
    """Returns the hash of the bytes of an array, as the test in C computes it."""
    found = _BASIS
    for byte in np.ascontiguousarray(array).tobytes():
        found = ((found ^ byte) * _PRIME) & _WORD
    return found


def _hash(sample: Sample, name: str) -> str:
    """The hash of a tensor; 0 for one that the integer model does not have."""
    return f"UINT64_C({fnv(sample.values[name]) if name in sample.values else 0})"


def vectors(network: Network, names: Mapping[str, str], samples: Sequence[Sample], prefix: str) -> str:
    """Returns the text of vectors.h."""
    nodes = f"{prefix.upper()}_NODES"
    lines = ["/* Made by qconv: inputs, outputs and the hash of every tensor. */", "#include <stdint.h>", ""]
    lines += [f"#define SAMPLES {len(samples)}", ""]
    for kind, tensors in (("vector_", network.inputs), ("expected", network.outputs)):
        for index, name in enumerate(tensors):
            tensor = network.tensors[name]
            label = f"{kind}{names[name]}" if kind == "vector_" else f"{kind}{index}"
            lines.append(f"static const {c_type(tensor)} {label}[SAMPLES][{tensor.size}] = {{")
            for sample in samples:
                lines += ["  {", *rows(sample.values[name], str(tensor.dtype)), "  },"]
            lines.append("};")
    lines += ["", "#ifdef MODEL_TRACE", f"static const uint64_t hashes[SAMPLES][{nodes}] = {{"]
    for sample in samples:
        hashes = [_hash(sample, name) for _, name in network.results]
        lines.append("  {" + ", ".join(hashes) + "},")
    quoted = ['"' + comment(node.name).replace("\\", "\\\\").replace('"', "'") + '"' for node, _ in network.results]
    lines += ["};", f"static const char *const node_names[{nodes}] = {{{', '.join(quoted)}}};", "#endif", ""]
    return "\n".join(lines)
