"""Every op in every form that the opsets of onnx have had for it: converted to opset 21 it computes what onnxruntime did before.

A form is the call of an op that holds from an opset on; an op without an entry in `FORMS` is called with random tensors. What
onnxruntime itself has no kernel for says nothing. A conversion may be refused with a sentence; it may not change a number.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import defs, helper, numpy_helper, parser

from qconv.errors import ModelError
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.prepare import prepare

from .files import Array, run

_FIRST, _LAST = 7, defs.onnx_opset_version()
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
_AXES_INPUT = {"Sum": 13}  # the opset from which a reduction's axes are an input; 18 of all others
_IMAGE = "float[1, 1, 2, 3] x"
_POOL, _SPACE = "<kernel_shape = [2, 2], strides = [2, 2]>", "float[1, 4, 6, 6] x"

# Op -> the opset that a form holds from, inputs, call, and constants; the forms of one opset count separately.
FORMS: dict[str, list[tuple[int, str, str]]] = {
    "ArgMax": [(1, "float[2, 3, 4] x", "ArgMax <axis = 1, keepdims = 0> (x)"), (13, "float[2, 3] x", "ArgMax <axis = -1> (x)")],
    "ArgMin": [(1, "float[2, 3, 4] x", "ArgMin <axis = 1> (x)")],
    "AveragePool": [
        (1, _SPACE, f"AveragePool {_POOL} (x)"),
        (7, _SPACE, "AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1> (x)"),
        (10, _SPACE, "AveragePool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x)"),
        (19, _SPACE, "AveragePool <kernel_shape = [2, 2], dilations = [2, 2]> (x)"),
    ],
    "BatchNormalization": [
        (7, "float[2, 3, 4] x, float[3] a, float[3] b, float[3] m", "BatchNormalization <epsilon = 0.1> (x, a, b, m, one3)")
    ],
    "Cast": [(6, "float[2, 3] x", "Cast <to = 6> (x)")],
    "Celu": [(12, "float[2, 3] x", "Celu <alpha = 0.5> (x)")],
    "Clip": [
        (6, "float[2, 3] x", "Clip <min = -0.5, max = 0.25> (x)"),
        (11, "float[2, 3] x", "Clip(x, low)"),
        (11, "float[2, 3] x", "Clip(x, , half)"),
    ],
    "Concat": [(4, "float[2, 3] x, float[2, 1] z", "Concat <axis = 1> (x, z)"), (11, "float[2] x", "Concat <axis = -1> (x, x)")],
    "Conv": [
        (1, "float[1, 2, 6, 6] x, float[4, 1, 3, 3] w", "Conv <group = 2, strides = [2, 1], auto_pad = \"SAME_UPPER\"> (x, w)"),
    ],
    "ConvTranspose": [
        (1, "float[1, 2, 4, 4] x, float[2, 3, 3, 3] w", "ConvTranspose <strides = [2, 2], output_padding = [1, 1]> (x, w)"),
    ],
    "CumSum": [(11, "float[2, 3] x", "CumSum <exclusive = 1, reverse = 1> (x, axis1)")],
    "DepthToSpace": [
        (1, "float[1, 8, 2, 3] x", "DepthToSpace <blocksize = 2> (x)"),
        (11, "float[1, 8, 2, 3] x", "DepthToSpace <blocksize = 2, mode = \"CRD\"> (x)"),
    ],
    "Einsum": [(12, "float[2, 3] x, float[3, 4] z", "Einsum <equation = \"ab,bc->ca\"> (x, z)")],
    "Elu": [(6, "float[2, 3] x", "Elu <alpha = 0.5> (x)")],
    "Expand": [(8, "float[2, 1] x", "Expand(x, shape23)")],
    "Flatten": [(1, "float[2, 3, 4] x", "Flatten <axis = 2> (x)"), (11, "float[2, 3, 4] x", "Flatten <axis = -1> (x)")],
    "Gather": [(1, "float[2, 3] x", "Gather <axis = 1> (x, pick)"), (11, "float[2, 3] x", "Gather(x, minus)")],
    "GatherElements": [(11, "float[2, 3] x", "GatherElements <axis = 1> (x, places)")],
    "GatherND": [(11, "float[2, 3] x", "GatherND(x, places)"), (12, "float[2, 2, 3] x", "GatherND <batch_dims = 1> (x, places)")],
    "Gelu": [(20, "float[2, 3] x", "Gelu <approximate = \"tanh\"> (x)")],
    "Gemm": [
        (7, "float[3, 2] x, float[4, 3] z, float[4] c", "Gemm <transA = 1, transB = 1, alpha = 0.5, beta = 2.0> (x, z, c)"),
        (11, "float[2, 3] x, float[3, 4] z", "Gemm(x, z)"),
    ],
    "GlobalAveragePool": [(1, _SPACE, "GlobalAveragePool(x)")],
    "GlobalLpPool": [(2, _SPACE, "GlobalLpPool <p = 3> (x)")],
    "GlobalMaxPool": [(1, _SPACE, "GlobalMaxPool(x)")],
    "GridSample": [
        (16, "float[1, 1, 4, 4] x, float[1, 2, 2, 2] g", "GridSample <mode = \"bilinear\", padding_mode = \"border\"> (x, g)"),
        (20, "float[1, 1, 4, 4] x, float[1, 2, 2, 2] g", "GridSample <mode = \"cubic\", align_corners = 1> (x, g)"),
    ],
    "GroupNormalization": [
        (18, "float[1, 4, 3] x, float[2] s, float[2] b", "GroupNormalization <num_groups = 2> (x, s, b)"),
        (21, "float[1, 4, 3] x, float[4] s, float[4] b", "GroupNormalization <num_groups = 2> (x, s, b)"),
    ],
    "HardSigmoid": [(6, "float[2, 3] x", "HardSigmoid <alpha = 0.5, beta = 0.25> (x)")],
    "Hardmax": [
        (1, "float[2, 3, 4] x", "Hardmax(x)"), (1, "float[2, 3, 4] x", "Hardmax <axis = 2> (x)"),
        (13, "float[2, 3, 4] x", "Hardmax <axis = 1> (x)"),
    ],
    "InstanceNormalization": [(6, "float[2, 3, 4] x, float[3] s, float[3] b", "InstanceNormalization(x, s, b)")],
    "LRN": [(1, _SPACE, "LRN <size = 3, alpha = 0.1> (x)")],
    "LayerNormalization": [(17, "float[2, 3, 4] x, float[4] s, float[4] b", "LayerNormalization(x, s, b)")],
    "LeakyRelu": [(6, "float[2, 3] x", "LeakyRelu <alpha = 0.3> (x)")],
    "LogSoftmax": [
        (1, "float[2, 3, 4] x", "LogSoftmax(x)"), (1, "float[2, 3, 4] x", "LogSoftmax <axis = 2> (x)"),
        (13, "float[2, 3, 4] x", "LogSoftmax <axis = 1> (x)"),
    ],
    "LpNormalization": [(1, "float[2, 3] x", "LpNormalization <axis = 1, p = 1> (x)")],
    "LpPool": [(2, _SPACE, f"LpPool {_POOL} (x)")],
    "MatMul": [(1, "float[2, 3] x, float[3, 4] z", "MatMul(x, z)")],
    "MaxPool": [
        (1, _SPACE, f"MaxPool {_POOL} (x)"),
        (10, _SPACE, "MaxPool <kernel_shape = [3, 3], strides = [2, 2], dilations = [1, 2], ceil_mode = 1> (x)"),
    ],
    "Mod": [(10, "float[2, 3] x, float[2, 3] z", "Mod <fmod = 1> (x, z)")],
    "NonMaxSuppression": [(10, "float[1, 5, 4] x, float[1, 1, 5] s", "NonMaxSuppression(x, s, three)")],
    "OneHot": [
        (9, "int64[3] x", "OneHot <axis = 0> (x, three, ends)"), (11, "int64[3] x", "OneHot <axis = -1> (x, three, ends)"),
    ],
    "PRelu": [(7, "float[2, 3] x, float[3] s", "PRelu(x, s)")],
    "Pad": [
        (2, "float[2, 3] x", "Pad <pads = [0, 1, 1, 2], value = 1.5> (x)"),
        (2, "float[2, 3] x", "Pad <pads = [0, 1, 0, 2], mode = \"reflect\"> (x)"),
        (11, "float[2, 3] x", "Pad(x, pads, half)"),
        (18, "float[2, 3] x", "Pad(x, shape23, half, minus)"),
        (19, "float[2, 3] x", "Pad <mode = \"wrap\"> (x, pads)"),
    ],
    "Range": [(11, "float x", "Range(zero, half, step)")],
    "Reshape": [(5, "float[2, 3] x", "Reshape(x, flat)"), (14, "float[2, 3] x", "Reshape <allowzero = 1> (x, shape32)")],
    "Resize": [
        (10, "float[1, 1, 2, 3] x", "Resize(x, twice)"),
        (10, "float[1, 1, 2, 3] x", "Resize <mode = \"linear\"> (x, twice)"),
        (11, _IMAGE, "Resize <mode = \"cubic\", coordinate_transformation_mode = \"align_corners\"> (x, none, twice)"),
        (11, _IMAGE, "Resize <mode = \"linear\", coordinate_transformation_mode = \"half_pixel\"> (x, none, none, sizes)"),
        (11, "float[1, 1, 2, 3] x", "Resize <mode = \"nearest\", nearest_mode = \"ceil\"> (x, none, twice)"),
        (18, "float[1, 1, 4, 6] x", "Resize <mode = \"linear\", antialias = 1, axes = [2, 3]> (x, , halves)"),
    ],
    "RoiAlign": [
        (10, "float[1, 2, 6, 6] x", "RoiAlign <output_height = 2, output_width = 2, sampling_ratio = 2> (x, boxes, batch)"),
        (16, "float[1, 2, 6, 6] x", "RoiAlign <coordinate_transformation_mode = \"output_half_pixel\"> (x, boxes, batch)"),
    ],
    "Scatter": [(9, "float[2, 3] x", "Scatter <axis = 1> (x, places, updates)")],
    "ScatterElements": [
        (11, "float[2, 3] x", "ScatterElements <axis = 1> (x, places, updates)"),
        (18, "float[2, 3] x", "ScatterElements <axis = 1, reduction = \"max\"> (x, places, updates)"),
    ],
    "ScatterND": [
        (11, "float[2, 3] x", "ScatterND(x, places, two)"),
        (16, "float[2, 3] x", "ScatterND <reduction = \"add\"> (x, places, two)"),
    ],
    "Shape": [(1, "float[2, 3] x", "Shape(x)"), (15, "float[2, 3, 4] x", "Shape <start = 1, end = -1> (x)")],
    "Slice": [
        (1, "float[2, 3, 4] x", "Slice <axes = [1, 2], starts = [0, -2], ends = [2, 100]> (x)"),
        (10, "float[2, 3, 4] x", "Slice(x, starts, ends_of, axes12, steps)"),
    ],
    "Softmax": [
        (1, "float[2, 3, 4] x", "Softmax(x)"), (1, "float[2, 3, 4] x", "Softmax <axis = 0> (x)"),
        (13, "float[2, 3, 4] x", "Softmax <axis = 1> (x)"),
    ],
    "SpaceToDepth": [(1, _SPACE, "SpaceToDepth <blocksize = 2> (x)")],
    "Split": [
        (2, "float[2, 4] x", "Split <axis = 1, split = [1, 3]> (x)"), (13, "float[2, 4] x", "Split <axis = 1> (x, parts)"),
        (18, "float[2, 5] x", "Split <axis = 1, num_outputs = 2> (x)"),
    ],
    "Squeeze": [(1, "float[2, 1, 3] x", "Squeeze <axes = [1]> (x)"), (13, "float[2, 1, 3] x", "Squeeze(x, axis1v)")],
    "ThresholdedRelu": [(10, "float[2, 3] x", "ThresholdedRelu <alpha = 0.3> (x)")],
    "Tile": [(6, "float[2, 3] x", "Tile(x, shape23)")],
    "TopK": [
        (1, "float[2, 4] x", "TopK <axis = 1, k = 2> (x)"), (10, "float[2, 4] x", "TopK <axis = 0> (x, one)"),
        (11, "float[2, 4] x", "TopK <largest = 0, axis = -1> (x, one)"),
    ],
    "Transpose": [(1, "float[2, 3, 4] x", "Transpose <perm = [2, 0, 1]> (x)")],
    "Trilu": [(14, "float[3, 3] x", "Trilu <upper = 0> (x)")],
    "Unsqueeze": [(1, "float[2, 3] x", "Unsqueeze <axes = [0, 3]> (x)"), (13, "float[2, 3] x", "Unsqueeze(x, axis1v)")],
    "Upsample": [
        (7, "float[1, 1, 2, 3] x", "Upsample <scales = [1.0, 1.0, 2.0, 3.0]> (x)"),
        (7, "float[1, 1, 2, 3] x", "Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = \"linear\"> (x)"),
        (9, "float[1, 1, 2, 3] x", "Upsample <mode = \"linear\"> (x, twice)"),
    ],
    "Where": [(9, "bool[2, 3] c, float[2, 3] x, float[2, 3] z", "Where(c, x, z)")],
}  # fmt: skip
for _name in _REDUCTIONS:
    _since = _AXES_INPUT.get(_name, 18)
    FORMS[f"Reduce{_name}"] = [
        (1, "float[2, 3, 4] x", f"Reduce{_name} <axes = [1], keepdims = 0> (x)"),
        (1, "float[2, 3, 4] x", f"Reduce{_name}(x)"),
        (_since, "float[2, 3, 4] x", f"Reduce{_name}(x, axis1v)"),
        (_since, "float[2, 3, 4] x", f"Reduce{_name} <noop_with_empty_axes = 1> (x)"),
    ]
for _name, _gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
    _shapes = f"float[3, 2, 4] x, float[1, {5 * _gates}, 4] w, float[1, {5 * _gates}, 5] r, float[1, {10 * _gates}] b"
    FORMS[_name] = [(7, _shapes, f"{_name} <hidden_size = 5> (x, w, r, b)")]

_INTEGERS = {
    "axis1": 1, "three": [3], "axis1v": [1], "shape23": [2, 3], "shape32": [3, 2], "pick": [[2, 0]], "minus": [-1],
    "flat": [-1, 0],
    "places": [[1, 0], [0, 1]], "pads": [0, 1, 1, 2], "parts": [1, 3], "one": [1], "sizes": [1, 1, 5, 4], "batch": [0],
    "starts": [-1, 0], "ends_of": [-10, 3], "axes12": [1, 2], "steps": [-1, 2],
}  # fmt: skip
_REALS = {
    "low": -0.5, "half": 0.25, "ends": [-1.0, 2.0], "zero": -1.0, "step": 0.5, "twice": [1.0, 1.0, 2.0, 2.0],
    "halves": [0.5, 0.5],
    "updates": [[1.0, 2.0], [3.0, 4.0]], "two": [5.0, 6.0], "one3": [1.0, 2.0, 3.0], "none": [], "boxes": [[0.5, 0.5, 4.0, 5.0]],
}  # fmt: skip
_CONSTANTS: dict[str, NDArray[np.generic]] = {
    **{name: np.asarray(value, np.int64) for name, value in _INTEGERS.items()},
    **{name: np.asarray(value, np.float32) for name, value in _REALS.items()},
}
_RANDOM = {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def versions() -> dict[str, list[int]]:
    """The opsets from 7 on that each op of the standard has changed in; before 7, it stands for all of them."""
    found: dict[str, set[int]] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "" and not schema.deprecated:
            found.setdefault(schema.name, set()).add(max(schema.since_version, _FIRST))
    return {name: sorted(numbers) for name, numbers in found.items() if name not in _RANDOM}


VERSIONS = versions()


def forms_of(op: str, opset: int) -> Iterator[tuple[str, str]]:
    """Inputs and call of the forms that an op has at an opset."""
    known = [form for form in FORMS.get(op, []) if form[0] <= opset]
    if not known:
        schema = defs.get_schema(op, opset)
        kinds = [_kind(schema, value.type_str) for value in schema.inputs[: max(schema.min_input, 1)]]
        if None not in kinds:
            yield (
                ", ".join(f"{kind}[2, 3] x{i}" for i, kind in enumerate(kinds)),
                f"{op}({', '.join(f'x{i}' for i in range(len(kinds)))})",
            )
    for _, inputs, call in known:
        yield inputs, call


def _kind(schema: defs.OpSchema, type_str: str) -> str | None:
    allowed = next((set(c.allowed_type_strs) for c in schema.type_constraints if c.type_param_str == type_str), {type_str})
    return next((kind for kind in ("float", "int64", "bool", "uint8") if f"tensor({kind})" in allowed), None)


def model_of(op: str, opset: int, inputs: str, call: str) -> onnx.ModelProto:
    """A graph of one node, whose outputs are those of the op that have to be there."""
    outputs = [f"y{i}" for i in range(2 if op in ("Split", "TopK") else 1)]
    ends = ", ".join(f"float {name}" for name in outputs)
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({ends}) {{ {", ".join(outputs)} = {call} }}'
    proto = parser.parse_model(text)
    for name in proto.graph.node[0].input:
        if name in _CONSTANTS:
            proto.graph.initializer.append(numpy_helper.from_array(_CONSTANTS[name], name))
    for value in proto.graph.output:
        value.ClearField("type")
    return proto


def compared(path: Path, proto: onnx.ModelProto) -> str:
    """'same' or 'refused', or 'unknown' where onnxruntime does not run the model; AssertionError where numbers change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            proto = onnx.shape_inference.infer_shapes(proto)
            path.write_bytes(proto.SerializeToString())
            feeds = _feeds(proto)
            before = run(path, feeds)
            assert all(isinstance(array, np.ndarray) for array in before)  # sequences are no tensors
        except Exception:  # noqa: BLE001 - forms that an opset does not have, and ops without a kernel
            return "unknown"
        try:
            model = load(path).ir
            prepare(model)
        except ModelError:
            return "refused"
        after = list(open_session(model, threads=1).run(None, feeds))
    for wanted, found in zip(before, after, strict=True):
        assert wanted.dtype == found.dtype and wanted.shape == found.shape
        # Preparation sums in another order: a few ulps of float32.
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-5, equal_nan=True)
    return "same"


def _feeds(proto: onnx.ModelProto) -> dict[str, Array]:
    random = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for value in proto.graph.input:
        shape = [size.dim_value for size in value.type.tensor_type.shape.dim]
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        real = kind == np.float32
        feeds[value.name] = random.standard_normal(shape, np.float32) if real else random.integers(0, 2, shape).astype(kind)
    return feeds


def outcomes(folder: Path, op: str) -> list[str]:
    """What became of all forms of an op, at each opset that changed it and at the last one before the next change."""
    found, numbers = [], [*VERSIONS[op], _LAST + 1]
    for first, following in pairwise(numbers):
        for opset in {first, following - 1} - {21}:
            for inputs, call in forms_of(op, opset):
                found.append(compared(folder / "m.onnx", model_of(op, opset, inputs, call)))
    return found


@pytest.mark.parametrize("op", VERSIONS)
def test_an_op_keeps_its_meaning(tmp_path: Path, op: str) -> None:
    found = outcomes(tmp_path, op)
    if op in FORMS:
        assert "same" in found  # so that the forms above are not all unknown by a slip
