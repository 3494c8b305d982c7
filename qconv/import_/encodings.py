"""Ranges and scales from a JSON file: what AIMET exports, in its three forms, and a form of our own.

{"tensors": {"conv1_out": {"min": -1.0, "max": 3.0}, "conv1.weight": {"scale": [0.1, 0.2], "axis": 0, "bits": 4, "signed": true}}}

A tensor has a scale and a zero_point, or a min and a max; bits (8), signed (false; true for weights) and an axis may be added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ArtifactError, UsageError
from qconv.model.graph import const_array
from qconv.model.near_paths import unreadable
from qconv.model.text_files import read_json
from qconv.quant.params import params_of_range
from qconv.quant.pins import PinnedWeight, Pins
from qconv.quant.types import IntType, QuantParams, Scheme

_MOST_BITS = 8
_OURS = "qconv-"  # how the format of each file of ours begins
_FLAGS = ("plan", "calibration")  # the kinds that quantize takes by a flag of that name


@dataclass(frozen=True)
class _Entry:
    """What a file says of one tensor; `offset` is the zero point, None for the middle."""

    scale: NDArray[np.float32] | None
    offset: NDArray[np.int64]
    ends: tuple[float, float] | None
    bits: int
    signed: bool
    axis: int | None

    def params(self, where: str) -> QuantParams:
        """Raises ArtifactError where the numbers make no sense."""
        try:
            if self.bits > _MOST_BITS:
                raise ValueError(f"an integer type has 2 to {_MOST_BITS} bits, not {self.bits}")
            int_type = IntType(self.bits, self.signed)
            if self.scale is None:
                assert self.ends is not None
                return params_of_range(*self.ends, Scheme(int_type))
            axis = self.axis if self.scale.size > 1 else None
            shape = (-1,) if axis is not None else ()
            zero = np.broadcast_to(self.offset, self.scale.shape)
            return QuantParams(self.scale.reshape(shape), zero.reshape(shape), int_type, axis)
        except ValueError as error:
            raise ArtifactError(f"{where}: {error}; mend that entry") from None


def read_encodings(path: str | Path, graph: ir.Graph) -> Pins:
    """The parameters in a file, those of constants of the graph as weights.

    Raises UsageError where the file cannot be read, ArtifactError where an entry makes no sense.
    """
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(unreadable("file of encodings", path, error, "give a JSON file")) from None
    if not isinstance(data, dict):
        raise ArtifactError(f"the encodings {path} are no JSON object; see docs/import.md for the forms")
    if str(data.get("format", "")).startswith(_OURS):
        kind = str(data["format"]).removeprefix(_OURS).rpartition("-")[0]
        instead = f"; give it with --{kind}" if kind in _FLAGS else ""
        raise ArtifactError(f"{path} is a {kind} file of qconv, and no file of encodings{instead}")
    activations, weights = {}, []
    for name, entry in _entries(data, str(path)):
        value = graph.initializers.get(name)
        array = None if value is None else const_array(value)
        params = entry.params(f"the encodings {path}, tensor {name}")
        if array is None:
            activations[name] = params
        elif array.ndim > 1:
            weights.append(PinnedWeight(name, np.asarray(array, np.float32), _symmetric(params, name, path)))
    known = {str(value.name) for node in graph.all_nodes() for value in (*node.inputs, *node.outputs) if value is not None}
    if not weights and not activations.keys() & known:
        raise ArtifactError(f"the encodings {path} name no tensor of the model; see docs/import.md for the forms")
    return Pins(activations, tuple(weights))


def _symmetric(params: QuantParams, name: str, path: str | Path) -> QuantParams:
    """The parameters of a weight as signed codes around zero. Raises ArtifactError for others."""
    own = params.int_type
    middle = 0 if own.signed else 1 << (own.bits - 1)
    if (params.zero_point.astype(int) != middle).any():
        raise ArtifactError(f"the encodings {path} have the weight {name} with a zero point of its own; make it symmetric")
    return QuantParams(params.scale, np.zeros(params.scale.shape, np.int8), IntType(own.bits, signed=True), params.axis)


def _entries(data: Mapping[str, Any], path: str) -> Iterator[tuple[str, _Entry]]:
    try:
        if "tensors" in data:
            yield from ((name, _own(entry)) for name, entry in data["tensors"].items())
        elif isinstance(data.get("encodings"), list):
            yield from ((entry["name"], _aimet2(entry)) for entry in data["encodings"] if entry.get("y_scale") is not None)
        else:
            for part, weights in (("activation_encodings", False), ("param_encodings", True)):
                yield from _aimet(data.get(part, {}), weights=weights)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ArtifactError(f"the encodings {path} have an entry of an unknown form ({error!r}); see docs/import.md") from None


def _own(entry: Mapping[str, Any]) -> _Entry:
    ends = (float(entry["min"]), float(entry["max"])) if "scale" not in entry else None
    scale = None if ends is not None else np.asarray(entry["scale"], np.float32)
    bits, signed = int(entry.get("bits", 8)), bool(entry.get("signed", "axis" in entry))
    axis = entry.get("axis")
    return _Entry(
        scale, np.asarray(entry.get("zero_point", 0), np.int64), ends, bits, signed, None if axis is None else int(axis)
    )


def _aimet2(entry: Mapping[str, Any]) -> _Entry:
    """Encodings of version 2: the operands of a QuantizeLinear."""
    kind = str(entry["output_dtype"])
    scale = np.asarray(entry["y_scale"], np.float32)
    zero, axis = entry.get("y_zero_point"), entry.get("axis")
    offset = np.asarray(0 if zero is None else zero, np.int64)
    bits, signed = int(kind.removeprefix("u").removeprefix("int")), not kind.startswith("u")
    return _Entry(scale, offset, None, bits, signed, None if axis is None else int(axis))


def _aimet(part: Any, *, weights: bool) -> Iterator[tuple[str, _Entry]]:
    """Versions 0 and 1: real = scale (q + offset), codes unsigned; those of weights have one entry, or one scale, a channel."""
    if isinstance(part, dict):
        for name, channels in part.items():
            if all(str(channel.get("dtype", "int")).lower() == "int" for channel in channels):
                scales = np.asarray([channel["scale"] for channel in channels], np.float32)
                offsets = -np.asarray([channel["offset"] for channel in channels], np.int64)
                yield name, _Entry(scales, offsets, None, int(channels[0]["bitwidth"]), False, 0 if weights else None)
        return
    for entry in part:
        if str(entry.get("dtype", "INT")).upper() == "INT":
            scales, offsets = np.asarray(entry["scale"], np.float32), -np.asarray(entry["offset"], np.int64)
            yield entry["name"], _Entry(scales, offsets, None, int(entry["bw"]), False, 0 if weights else None)
