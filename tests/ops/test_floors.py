"""What lies below a floor does not count; in a graph and in an array alike."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx_ir as ir

from qconv.model.appender import Appender
from qconv.model.graph import is_float
from qconv.model.session import open_session
from qconv.ops.floors import LOWEST, REACH, Floors
from qconv.pipeline.prepared import load_prepared
from tests.lower.harness import normal, write_model

BODY = "s = Mul(x, x) z = Add(s, m) y = Softmax(z) r = Relu(x)"
TEXT = f"g (float[2,4,8] x, float[2,4,8] m) => (float[2,4,8] y, float[2,4,8] r) {{ {BODY} }}"


def graph(folder: Path) -> ir.Model:
    return load_prepared(write_model(folder / "m.onnx", TEXT, {})).ir


def test_rows_of_a_softmax_and_what_they_are_made_of_have_floors(tmp_path: Path) -> None:
    floors = Floors.of(graph(tmp_path).graph)
    assert dict(floors.rows) == {"z": (2, REACH + math.log(8))}
    assert floors.carriers == {"z", "s", "m", "x"}


def test_a_tensor_that_others_read_has_no_floor(tmp_path: Path) -> None:
    text = TEXT.replace("Relu(x)", "Relu(z)")
    model = load_prepared(write_model(tmp_path / "m.onnx", text, {})).ir
    assert not Floors.of(model.graph).rows


def test_the_graph_and_the_array_are_raised_alike(tmp_path: Path) -> None:
    model = graph(tmp_path)
    floors, appender = Floors.of(model.graph), Appender(model.graph)
    names = ("z", "m")
    values = {v.name: v for v in (*model.graph.inputs, *(o for n in model.graph for o in n.outputs)) if is_float(v)}
    raised = [str(floors.raised(values[name], appender).name) for name in names]
    mask = np.where(normal(2, 4, 8, seed=5) > 0, -np.inf, 0).astype(np.float32)
    mask[..., 0] = 0
    feeds = {"x": normal(2, 4, 8), "m": mask}
    plain = open_session(model, outputs=["z"]).run(None, feeds)[0]
    found = open_session(model, outputs=raised).run(None, feeds)
    assert np.array_equal(found[0], floors.raised_array("z", plain))
    assert np.array_equal(found[1], np.maximum(mask, np.float32(LOWEST)))
    assert np.isfinite(found[0]).all() and floors.raised_array("r", mask) is mask


def test_a_row_that_is_masked_as_a_whole_is_not_looked_at(tmp_path: Path) -> None:
    model = graph(tmp_path)
    floors, appender = Floors.of(model.graph), Appender(model.graph)
    z = next(o for n in model.graph for o in n.outputs if o.name == "z")
    raised = str(floors.raised(z, appender).name)
    feeds = {"x": normal(2, 4, 8), "m": np.zeros((2, 4, 8), np.float32)}
    feeds["m"][1, 2] = np.finfo(np.float32).min
    plain, found = open_session(model, outputs=["z", raised]).run(None, feeds)
    assert np.array_equal(found, floors.raised_array("z", plain))
    assert found.min() > -20 and found.max() == plain.max()
