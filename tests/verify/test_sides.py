from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from qconv.errors import DataError, ModelError
from qconv.integer.program import Program
from qconv.verify.measure.compare import compare
from qconv.verify.measure.sides import Side
from tests.verify.twins import INTEGER, integer_twin, samples, twins

# The same network with codes at its borders.
CODES = (
    INTEGER.replace("net (float[1, 2, 6, 6] x) => (float[1, 2, 6, 6] y)", "net (uint8[1, 2, 6, 6] x) => (uint8[1, 2, 6, 6] y)")
    .replace("  [quantize] x_quantized = QuantizeLinear (x, xs, xz)\n", "")
    .replace("x_quantized", "x")
    .replace("  [dequantize] y = DequantizeLinear (y_quantized, os, oz)\n", "")
    .replace("y_quantized", "y")
)


def border(folder: Path, described: bool = True) -> tuple[Path, Program]:
    model = integer_twin(CODES)
    if described:
        model.graph.inputs[0].metadata_props.update({"qconv.scale": "0.5", "qconv.zero_point": "128"})
        model.graph.outputs[0].metadata_props.update({"qconv.scale": "2.0", "qconv.zero_point": "60"})
    path = folder / "codes.onnx"
    ir.save(model, path)
    return path, Program.read(ir.load(path))


def test_codes_at_the_borders_are_reals_outside(tmp_path: Path) -> None:
    models = twins(tmp_path)
    found = compare(Side(models.integer_path, models.program), Side(*border(tmp_path)), samples(2))
    assert found.outputs[0].similarity.exact


def test_codes_are_fed_as_they_are(tmp_path: Path) -> None:
    side = Side(*border(tmp_path))
    codes = np.full((1, 2, 6, 6), 7, np.uint8)
    assert side.feeds({"x": codes})["x"] is codes


def test_borders_without_a_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no qconv\.scale"):
        Side(*border(tmp_path, described=False))


def test_floats_take_the_type_of_the_input(tmp_path: Path) -> None:
    side = Side(twins(tmp_path).float_path)
    assert side.feeds({"x": np.zeros((1, 2, 6, 6), np.float64)})["x"].dtype == np.float32


def test_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="input x"):
        Side(twins(tmp_path).float_path).feeds({})
