"""`QuantPlan`: what is decided about a graph, as data that a person can save, read, edit and give back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qconv.arguments import checks_arguments
from qconv.errors import ArtifactError
from qconv.model.near_paths import unreadable
from qconv.model.text_files import parse_json, read_text
from qconv.plan.remark import Remark
from qconv.quant.copies import fits_int8
from qconv.quant.types import FloatArray, IntArray, IntType, QuantParams

FORMAT = "qconv-plan-1"


@dataclass(frozen=True, eq=False)
class ChannelScales:
    """A factor k > 0 for each slice of a tensor along `axis`."""

    axis: int
    factors: FloatArray


@dataclass(frozen=True)
class QuantPlan:
    """Tensor name -> parameters, node name -> why it stays in float, and remarks for the report.

    `weight_codes` are codes of weights, in the layout of the float weight, where they are not the nearest ones; `biases` are
    biases, one for each output channel, that take the place of the float model's. Both go by the name of the weight. `apart` are
    the nodes behind the last codes that move or join reals, see apart.py; they compute nothing, and are no float nodes.
    `channel_scales` are factors k, one for each channel: the codes of such a tensor stand for k S (q - Z), and its parameters
    are those of the tensor divided by k (qconv/recover/channels). `wide` are the tensors that also stand in int32, for the
    sums and norms that read them (wide.py). `steep` are the nodes that read those tensors so, beside sums and norms: steep
    functions, and what leads to them (steep.py).
    """

    tensors: Mapping[str, QuantParams]
    float_nodes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Remark, ...] = ()
    model_sha256: str = ""
    weight_codes: Mapping[str, IntArray] = field(default_factory=dict)
    biases: Mapping[str, FloatArray] = field(default_factory=dict)
    apart: Mapping[str, str] = field(default_factory=dict)
    channel_scales: Mapping[str, ChannelScales] = field(default_factory=dict)
    wide: frozenset[str] = frozenset()
    steep: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<QuantPlan of {len(self.tensors)} tensors, {len(self.float_nodes)} nodes in float>"

    @property
    def aside(self) -> Mapping[str, str]:
        """The nodes at the borders that stay as they are and are no float nodes: `apart`, and products with channel scales."""
        return {**self.apart, **border_nodes(self.channel_scales)}

    @property
    def kept(self) -> Mapping[str, str]:
        """All nodes that stay as they are, in float or at the border."""
        return {**self.float_nodes, **self.aside}

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data; scales as the shortest decimals that give back the same float32."""
        return {
            "format": FORMAT,
            "model_sha256": self.model_sha256,
            "float_nodes": dict(self.float_nodes),
            "apart": dict(self.apart),
            "wide": sorted(self.wide),
            "steep": sorted(self.steep),
            "notes": [{"node": note.node, "text": note.text} for note in self.notes],
            "weight_codes": {name: _codes_to_json(codes) for name, codes in self.weight_codes.items()},
            "biases": {name: _decimals(bias) for name, bias in self.biases.items()},
            "channel_scales": {
                name: {"axis": scales.axis, "factors": _decimals(scales.factors)} for name, scales in self.channel_scales.items()
            },
            "tensors": {name: _params_to_json(params) for name, params in self.tensors.items()},
        }

    @classmethod
    def from_json(cls, data: Any) -> QuantPlan:
        """Raises ArtifactError where the data is not a plan; the message names the tensor."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ArtifactError(f"this is not a plan file ({FORMAT}); write one with `qconv quantize --save-plan`")
        tensors = data.get("tensors")
        if not isinstance(tensors, dict):
            raise ArtifactError("the plan file has no table of tensors; write it anew with `qconv quantize --save-plan`")
        return cls(
            {str(name): _params_from_json(str(name), entry) for name, entry in tensors.items()},
            {str(k): str(v) for k, v in _table(data, "float_nodes").items()},
            tuple(map(_note_from_json, _list(data, "notes"))),
            str(data.get("model_sha256", "")),
            {str(name): _codes_from_json(str(name), entry) for name, entry in _table(data, "weight_codes").items()},
            {str(name): _bias_from_json(str(name), entry) for name, entry in _table(data, "biases").items()},
            {str(k): str(v) for k, v in _table(data, "apart").items()},
            {str(name): _scales_from_json(str(name), entry) for name, entry in _table(data, "channel_scales").items()},
            frozenset(map(str, _list(data, "wide"))),
            frozenset(map(str, _list(data, "steep"))),
        )

    def dumps(self) -> str:
        """The text of the plan file: one line per tensor."""
        data = self.to_json()
        tables = ",\n".join(_table_text(key, data.pop(key)) for key in ("tensors", "channel_scales", "weight_codes", "biases"))
        head = json.dumps(data, indent=2)
        return f"{head[:-2]},\n{tables}\n}}\n"

    @classmethod
    @checks_arguments
    def load(cls, path: str | Path) -> QuantPlan:
        """Reads a plan file. Raises ArtifactError where it cannot be read."""
        try:
            return cls.from_json(parse_json(read_text(path)))
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(unreadable("plan", path, error)) from None
        except json.JSONDecodeError as error:
            raise ArtifactError(f"the plan {path} is not valid JSON (line {error.lineno}: {error.msg}); mend that line") from None
        except ValueError as error:  # nested too deeply, or a number of thousands of digits
            raise ArtifactError(f"the plan {path} is no plan ({error}); write one with `qconv quantize --save-plan`") from None


def border_of(tensor: str) -> str:
    """The name of an input or output of the graph less its channel scales, and of the node between the two."""
    return f"{tensor}/border"


def border_nodes(scales: Mapping[str, ChannelScales]) -> dict[str, str]:
    """The products that take channel scales from inputs of the graph and give them back to outputs, if there are any."""
    return {border_of(name): "its factors go into the scales of a QuantizeLinear or DequantizeLinear" for name in scales}


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    entries = data.get(key, [])
    if not isinstance(entries, list):
        raise ArtifactError(f"the plan's entry {key} is not a list; mend it or plan anew")
    return entries


def _note_from_json(entry: Any) -> Remark:
    """A remark; files of earlier versions have one string, the name of the node before its first colon."""
    if isinstance(entry, dict):
        return Remark(str(entry.get("node", "")), str(entry.get("text", "")))
    if not isinstance(entry, str):
        raise ArtifactError(f"the plan's entry notes holds {entry!r}, which is no note; mend it or plan anew")
    node, _, text = entry.partition(": ")
    return Remark(node, text)


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise ArtifactError(f"the plan's entry {key} is not a table; mend it or plan anew")
    return table


def _table_text(key: str, table: Mapping[str, Any]) -> str:
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in table.items())
    return f'  "{key}": {{\n{rows}\n  }}' if table else f'  "{key}": {{}}'


def _codes_to_json(codes: IntArray) -> dict[str, Any]:
    """The shape, and the bytes of the codes in base64: int8, or int16 in little-endian order."""
    kind, layout = ("int8", "<i1") if fits_int8(codes) else ("int16", "<i2")
    return {"shape": list(codes.shape), kind: base64.b64encode(np.ascontiguousarray(codes, layout).tobytes()).decode()}


def _codes_from_json(name: str, entry: Any) -> IntArray:
    try:
        kind, layout = ("int8", "<i1") if "int8" in entry else ("int16", "<i2")
        raw = base64.b64decode(entry[kind], validate=True)
        return np.frombuffer(raw, layout).astype(kind).reshape([int(size) for size in entry["shape"]])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ArtifactError(f"the plan's codes of weight {name} are damaged ({error}); leave them out or plan anew") from None


def _decimals(numbers: FloatArray) -> list[float]:
    """Numbers as the shortest decimals that give back the same float32."""
    return [float(str(number)) for number in numbers]


def _scales_from_json(name: str, entry: Any) -> ChannelScales:
    try:
        axis, factors = entry["axis"], np.asarray(entry["factors"], np.float32)
        if type(axis) is int and axis >= 0 and factors.ndim == 1 and np.isfinite(factors).all() and (factors > 0).all():
            return ChannelScales(axis, factors)
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise ArtifactError(f"the plan's channel scales of tensor {name} are no axis and positive factors; leave out all of them")


def _bias_from_json(name: str, entry: Any) -> FloatArray:
    try:
        bias = np.asarray(entry, np.float32)
        if bias.ndim == 1 and np.isfinite(bias).all():
            return bias
    except (TypeError, ValueError, OverflowError):
        pass
    raise ArtifactError(f"the plan's bias for weight {name} is not a list of numbers; leave it out or plan anew")


def _params_to_json(params: QuantParams) -> dict[str, Any]:
    scale = [float(str(s)) for s in np.atleast_1d(params.scale)]
    zero_point = [int(z) for z in np.atleast_1d(params.zero_point)]
    entry: dict[str, Any] = {"type": str(params.int_type)}
    if params.int_type.narrow:
        entry["narrow"] = True
    if params.axis is None:
        return entry | {"scale": scale[0], "zero_point": zero_point[0]}
    same = len(set(zero_point)) == 1
    return entry | {"axis": params.axis, "scale": scale, "zero_point": zero_point[0] if same else zero_point}


def _params_from_json(name: str, entry: Any) -> QuantParams:
    try:
        kind = str(entry["type"])
        signed = not kind.startswith("u")
        int_type = IntType(int(kind.removeprefix("u").removeprefix("int")), signed, bool(entry.get("narrow", False)))
        axis = entry.get("axis")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which QuantParams refuses
            scale = np.asarray(entry["scale"], np.float32)
        zero_point = np.asarray(entry["zero_point"], np.int64)
        return QuantParams(scale, np.broadcast_to(zero_point, scale.shape), int_type, axis)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ArtifactError(f"the plan's entry for tensor {name} is damaged ({error}); mend it or plan anew") from None
