"""Every model of the zoo either loads, and computes what the original does, or is refused in one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qconv.errors import ModelError
from qconv.model.load import load

from .files import Shapes, assert_same

ZOO = Path(os.environ.get("QCONV_ZOO", Path(__file__).parents[2] / ".." / "shared" / "zoo"))
FILES = sorted(ZOO.glob("*/*.onnx"))
REFUSED = {
    "o2t_If_p2_11": "If",
    "pt_test_BatchNorm3d_eval": "BatchNormalization",
    "pt_test_PReLU_2d_multiparam": "PRelu",
}
SHAPES: dict[str, Shapes] = {
    "ppocr_v3_det": {"x": (1, 3, 64, 64)},
    "silero_vad_16k_op15": {"input": (1, 576), "state": (2, 1, 128)},
}


@pytest.mark.parametrize("path", [path for path in FILES if path.stem not in REFUSED], ids=lambda path: path.stem)
def test_it_loads_and_computes_the_same(path: Path) -> None:
    model = load(path).ir
    assert (model.ir_version, model.opset_imports[""]) == (10, 21)
    assert not model.functions
    assert not set(model.graph.initializers.values()) & set(model.graph.inputs)
    nodes = list(model.graph.all_nodes())
    assert all(node.op_type != "Constant" for node in nodes)
    assert len({node.name for node in nodes}) == len(nodes)
    assert_same(path, model, SHAPES.get(path.stem))


@pytest.mark.parametrize("path", [path for path in FILES if path.stem in REFUSED], ids=lambda path: path.stem)
def test_what_onnxruntime_cannot_run_is_refused(path: Path) -> None:
    with pytest.raises(ModelError, match=rf"onnxruntime cannot run {path.name}: .*{REFUSED[path.stem]}") as refusal:
        load(path)
    assert "\n" not in str(refusal.value)


def test_the_zoo_is_complete(zoo: Path) -> None:
    assert {path.stem for path in zoo.glob("*/*.onnx")} >= set(REFUSED) | set(SHAPES)
    assert len(FILES) > 40
