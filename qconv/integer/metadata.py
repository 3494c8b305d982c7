"""The words in which an integer model's file says what its nodes mean: the only place that writes or reads them.

qconv.source        on a node: the float node that it comes from; left out where it has the same name
qconv.tensor        the float tensor that its codes stand for; left out for codes on the way. A Split has a list of them in JSON.
                    "=" is the name of the output, less its ending _quantized
qconv.scale         S, and
qconv.zero_point    Z of what it writes, 0 where it is left out; on a graph input or output of integer type they stand on the
                    value itself. Without S, a node with a tensor has the S and Z that it reads as inputs
qconv.axis          the axis of S where it has one for each channel, and that is not axis 1
qconv.m0, qconv.n   the multipliers M = m0 * 2^-(31 + n), in JSON: one, or one for each operand of a sum; long lists as in
                    packed_numbers.py. Without them, a node with a meaning has those that the scales of its inputs make
qconv.certificate   what is proved of them, in JSON: the fields of a Certificate in their order
qconv.version, qconv.model_sha256, qconv.calibration, qconv.settings      on the model: where it comes from
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ModelError
from qconv.integer.language.multipliers import SEVERAL, constant, multipliers_of
from qconv.integer.language.operands import layout_of
from qconv.integer.packed_numbers import packed, unpacked
from qconv.model.traits import Trait, has_trait
from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import INT8, INT16, UINT8, QuantParams

PREFIX = "qconv."
_SAME = "="  # as the node itself says
_CHANNELS = 1  # the axis that a scale for each channel mostly has
INT_TYPES = {ir.DataType.UINT8: UINT8, ir.DataType.INT8: INT8, ir.DataType.INT16: INT16}
_BY_NAME = {str(kind.numpy()): int_type for kind, int_type in INT_TYPES.items()}


@dataclass(frozen=True)
class Meaning:
    """What a node that writes codes stands for: its float node, a float tensor (or None) for each output, parameters, proof."""

    source: str
    tensors: tuple[str | None, ...]
    params: QuantParams | None
    multipliers: tuple[Multiplier, ...] = ()
    certificate: Certificate | None = None


@dataclass(frozen=True)
class Origin:
    """Where an integer model comes from: qconv's version, the float model's digest, its target, and what its ranges come from.

    `exact_on` names the processors that it gives the same codes on, `settings` what was asked for, by the names of the flags.
    """

    version: str | None = None
    model_sha256: str | None = None
    target: str | None = None
    exact_on: str | None = None
    calibration: Mapping[str, Any] | None = field(default=None)
    settings: Mapping[str, Any] | None = field(default=None)

    @property
    def mode(self) -> str:
        """How the model was quantized: static, weight-only or dynamic; static where it does not tell."""
        return str((self.settings or {}).get("mode", "static"))


def write_meaning(node: ir.Node, meaning: Meaning) -> None:
    """Writes a meaning into a node's metadata, in place of an older one."""
    assert meaning.params is not None
    words = {"source": meaning.source, **_params_to_words(meaning.params)}
    if len(meaning.tensors) > 1:
        words["tensor"] = _dumps(meaning.tensors)
    elif meaning.tensors[0] is not None:
        words["tensor"] = meaning.tensors[0]
    if meaning.multipliers:
        for key in ("m0", "n"):
            kind = {"m0": "m3", "n": "i1"}[key]
            numbers = [packed(plain(getattr(multiplier, key)), kind) for multiplier in meaning.multipliers]
            words[key] = _dumps(numbers[0] if len(numbers) == 1 else numbers)
    if meaning.certificate is not None:
        words["certificate"] = _dumps(dataclasses.astuple(meaning.certificate))
    _write(node.metadata_props, ("source", "tensor", "scale", "zero_point", "axis", "m0", "n", "certificate"), words)


def is_described(node: ir.Node) -> bool:
    """Whether qconv wrote what a node means."""
    return not node.metadata_props.keys().isdisjoint(f"{PREFIX}{key}" for key in ("source", "scale", "tensor"))


def shorten(node: ir.Node) -> None:
    """Leaves out, in place, what a node's metadata says and the node itself says too."""
    words = node.metadata_props
    if f"{PREFIX}scale" not in words:
        return
    if read_multipliers(node) == tuple(multipliers_of(node)):
        _leave_out(words, "m0", "n")
    if words.get(f"{PREFIX}source") == node.name:
        _leave_out(words, "source")
    if len(node.outputs) == 1 and words.get(f"{PREFIX}tensor") == _named_after(node):
        words[f"{PREFIX}tensor"] = _SAME
    if words.get(f"{PREFIX}zero_point") == "0":
        _leave_out(words, "zero_point")
    own = _params_of(node)
    if f"{PREFIX}tensor" in words and own is not None and _params_from_words(words, own.int_type) == own:
        _leave_out(words, "scale", "zero_point", "axis")


def _params_of(node: ir.Node) -> QuantParams | None:
    """The parameters of what a node writes, one scale for all, that it has as inputs."""
    layout = layout_of(node)
    reads = (1, 2) if layout is None else (layout.writes.scale, layout.writes.zero_point)
    if layout is None and not (has_trait(node, Trait.QUANTIZES) or has_trait(node, Trait.DEQUANTIZES)):
        return None
    scale, zero_point = (constant(node, index) for index in reads)
    if scale is None or zero_point is None or scale.ndim or zero_point.ndim or zero_point.dtype.name not in _BY_NAME:
        return None
    return QuantParams(scale, zero_point, _BY_NAME[zero_point.dtype.name])


def _named_after(node: ir.Node) -> str:
    """The float tensor that an output is named after."""
    return str(node.outputs[0].name).removesuffix("_quantized")


def read_meaning(node: ir.Node) -> Meaning | None:
    """The meaning that a node's metadata tells, None where there is none. Raises ModelError where it is damaged."""
    words = node.metadata_props
    if not is_described(node):
        return None
    try:
        params = _params_from_words(words, _int_type_of(node)) if f"{PREFIX}scale" in words else _params_of(node)
        if params is None:
            return None
        tensor = words.get(f"{PREFIX}tensor")
        tensor = _named_after(node) if tensor == _SAME else tensor
        tensors = (tensor,) if len(node.outputs) == 1 or tensor is None else tuple(json.loads(tensor))
        certificate = words.get(f"{PREFIX}certificate")
        return Meaning(
            words.get(f"{PREFIX}source", str(node.name)),
            (*tensors, *(None,) * len(node.outputs))[: len(node.outputs)],
            params,
            read_multipliers(node),
            None if certificate is None else _certificate(json.loads(certificate)),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(f"node {node.name}", error) from None


def read_multipliers(node: ir.Node) -> tuple[Multiplier, ...]:
    """The multipliers that a node's metadata tells, or else its scales. Raises ValueError where they are damaged."""
    words = node.metadata_props
    if words.get(f"{PREFIX}m0", _SAME) == _SAME and f"{PREFIX}n" not in words:
        return tuple(multipliers_of(node))
    m0, n = (json.loads(words.get(f"{PREFIX}{key}", "null")) for key in ("m0", "n"))
    several = node.op_type in SEVERAL and isinstance(m0, list)
    pairs = zip(m0, n, strict=True) if several else [(m0, n)]
    return tuple(Multiplier(np.asarray(unpacked(a)), np.asarray(unpacked(b))) for a, b in pairs)


def write_params(value: ir.Value, params: QuantParams) -> None:
    """Writes the scale and the zero point of an integer input or output where its reader looks for them."""
    _write(value.metadata_props, ("scale", "zero_point"), _params_to_words(params))


def read_params(value: ir.Value) -> QuantParams | None:
    """The parameters of an integer input or output; None where it holds no codes, or does not say what they mean.

    Raises ModelError where they are damaged.
    """
    int_type = INT_TYPES.get(value.dtype) if value.dtype is not None else None
    if int_type is None or f"{PREFIX}scale" not in value.metadata_props:
        return None
    try:
        return _params_from_words(value.metadata_props, int_type)
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged(f"tensor {value.name}", error) from None


_ORIGIN = ("version", "model_sha256", "target", "exact_on")
_TABLES = ("calibration", "settings")


def write_origin(model: ir.Model, origin: Origin) -> None:
    """Writes where a model comes from."""
    words = {key: getattr(origin, key) for key in _ORIGIN}
    for key in _TABLES:
        words[key] = None if getattr(origin, key) is None else json.dumps(getattr(origin, key))
    known = {key: text for key, text in words.items() if text is not None}
    _write(model.metadata_props, (*_ORIGIN, *_TABLES), known)


def read_origin(model: ir.Model) -> Origin:
    """Where a model comes from, as far as it tells. Raises ModelError where that is damaged."""
    words = model.metadata_props
    try:
        tables = [json.loads(words.get(f"{PREFIX}{key}", "null")) for key in _TABLES]
    except ValueError as error:
        raise _damaged("the model", error) from None
    version, digest, target, exact_on = (words.get(f"{PREFIX}{key}") for key in _ORIGIN)
    return Origin(version, digest, target, exact_on, *tables)


def certificate_to_json(certificate: Certificate) -> dict[str, Any]:
    """A certificate as plain data, by the names of its fields."""
    return dataclasses.asdict(certificate)


def _certificate(entries: Sequence[Any]) -> Certificate:
    """The certificate whose fields stand in a list. Raises TypeError or ValueError for another list."""
    fields = [field.name for field in dataclasses.fields(Certificate)]
    found = dict(zip(fields, entries, strict=True))
    why = str(found.pop("why"))
    return Certificate(**{name: int(number) for name, number in found.items()}, why=why)


def plain(array: NDArray[Any]) -> Any:
    """Numbers for JSON; a float32 as the shortest decimal that gives it back."""
    values = [float(str(x)) if isinstance(x, np.floating) else int(x) for x in np.atleast_1d(array)]
    return values[0] if array.ndim == 0 else values


def _params_to_words(params: QuantParams) -> dict[str, str]:
    words = {"scale": _dumps(packed(plain(params.scale), "f4")), "zero_point": _dumps(shortest(plain(params.zero_point)))}
    return words | ({} if params.axis in (None, _CHANNELS) else {"axis": str(params.axis)})


def shortest(numbers: Any) -> Any:
    """One number where all of a list are equal."""
    return numbers[0] if isinstance(numbers, list) and len(set(numbers)) == 1 else numbers


def _params_from_words(words: Mapping[str, str], int_type: Any) -> QuantParams:
    scale, zero_point = unpacked(json.loads(words[f"{PREFIX}scale"])), json.loads(words.get(f"{PREFIX}zero_point", "0"))
    axis = None if np.ndim(scale) == 0 else int(words.get(f"{PREFIX}axis", _CHANNELS))
    scales = np.asarray(scale, np.float32)
    return QuantParams(scales, np.broadcast_to(np.asarray(zero_point), scales.shape), int_type, axis)


def _int_type_of(node: ir.Node) -> Any:
    """The type of the codes that a node writes, or reads where it writes reals."""
    value = node.inputs[0] if has_trait(node, Trait.DEQUANTIZES) else node.outputs[0]
    dtype = None if value is None else value.dtype
    return UINT8 if dtype is None else INT_TYPES.get(dtype, UINT8)


def _leave_out(words: dict[str, str] | Any, *keys: str) -> None:
    for key in keys:
        words.pop(f"{PREFIX}{key}", None)


def _write(words: dict[str, str] | Any, keys: tuple[str, ...], texts: Mapping[str, str]) -> None:
    _leave_out(words, *keys)
    words.update({f"{PREFIX}{key}": text for key, text in texts.items()})


def _dumps(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"))


def _damaged(place: str, error: Exception) -> ModelError:
    return ModelError(f"the metadata of {place} is damaged ({error}); quantize the model again")
