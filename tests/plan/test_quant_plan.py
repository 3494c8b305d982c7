"""A plan survives its file, and a damaged file names the place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qconv.errors import ArtifactError
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.remark import Remark
from qconv.quant.types import UINT8, IntType, QuantParams

WEIGHT = IntType(8, signed=True, narrow=True)
PLAN = QuantPlan(
    {
        "x": QuantParams(np.asarray(0.1, np.float32), np.asarray(7), UINT8),
        "w": QuantParams(np.asarray([1 / 3, 2e-8], np.float32), np.zeros(2, np.int8), WEIGHT, 0),
        "four": QuantParams(np.asarray(0.5, np.float32), np.asarray(15), IntType(4, signed=False)),
    },
    {"lstm": "no form"},
    (Remark("conv", "a note"),),
    "ab12",
)


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(PLAN.dumps())
    assert QuantPlan.load(tmp_path / "p.json") == PLAN


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": "other"}, "not a plan"),
        ({"tensors": []}, "table"),
        ({"tensors": {"x": {"type": "uint8", "scale": -1.0, "zero_point": 0}}}, "tensor x"),
        ({"tensors": {"x": {"type": "uint8", "scale": 1.0, "zero_point": 300}}}, "tensor x"),
        ({"tensors": {"x": {"scale": 1.0, "zero_point": 0}}}, "tensor x"),
        ({"tensors": {"x": {"type": "float", "scale": 1.0, "zero_point": 0}}}, "tensor x"),
    ],
)
def test_damage_is_named(change: dict[str, object], word: str) -> None:
    with pytest.raises(ArtifactError, match=word):
        QuantPlan.from_json(json.loads(PLAN.dumps()) | change)
