from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper, parser

from qconv.errors import ModelError
from qconv.model.load import load

from .files import external, linear, write


@pytest.mark.parametrize(("bad", "kind"), [(np.nan, "NaN"), (np.inf, "an infinity"), (-np.inf, "an infinity")])
def test_weights_that_are_no_numbers_are_named(tmp_path: Path, bad: float, kind: str) -> None:
    weight = np.ones((1 << 20, 2), np.float32)
    weight[-1, 1] = bad
    proto = linear()
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 20
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    with pytest.raises(ModelError, match=f"weight 'w' holds {kind}"):
        load(write(tmp_path, proto))


def test_external_weights_are_looked_at_too(tmp_path: Path) -> None:
    weight = np.full((3, 2), np.nan, np.float32)
    (tmp_path / "w.bin").write_bytes(weight.tobytes())
    proto = linear()
    proto.graph.initializer[0].CopyFrom(external("w", weight, "w.bin"))
    with pytest.raises(ModelError, match="weight 'w' holds NaN"):
        load(write(tmp_path, proto))


def test_infinite_bounds_and_masks_are_allowed(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
    g (float[2] x, bool[2] c) => (float[2] y) { a = Clip(x, , top)  y = Where(c, a, low) }"""
    proto = parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(np.inf, np.float32), "top"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(-np.inf, np.float32), "low"))
    assert sorted(load(write(tmp_path, proto)).ir.graph.initializers) == ["low", "top"]
