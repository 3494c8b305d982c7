"""A plan that a person has edited ends in a model whose proof is true, or in a sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qconv import pipeline
from qconv.errors import ArtifactError
from qconv.integer.execution.compare import mismatches
from qconv.pipeline.prepared import prepared
from qconv.plan.check import check_plan
from qconv.plan.quant_plan import QuantPlan
from qconv.statistics.calibration import Calibration
from tests.lower.harness import Given, normal, write_model

TEXT = """g (float[2,3,6,6] x) => (float[2,5] y) {
    a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w, b)
    r = Relu(a)
    s = Sigmoid(a)
    m = Mul(r, s)
    h = HardSwish(m)
    c = Concat<axis=1>(h, x)
    k = Conv<kernel_shape=[3,3], group=7>(c, d)
    q = Add(k, k)
    p = GlobalAveragePool(q)
    f = Flatten(p)
    z = Gemm(f, v, u)
    y = Softmax(z)
}"""
WEIGHTS = {
    "w": normal(4, 3, 3, 3, seed=1),
    "b": normal(4, seed=2),
    "d": normal(7, 1, 3, 3, seed=3),
    "v": normal(7, 5, seed=4),
    "u": normal(5, seed=5),
}
FEEDS = [{"x": normal(2, 3, 6, 6, seed=seed)} for seed in range(2)]
ANY = {"x": normal(2, 3, 6, 6, seed=9, scale=50.0)}  # far outside the calibrated ranges, so that codes saturate


@dataclass(frozen=True, repr=False)
class Case:
    path: Path
    calibration: Calibration
    plan: QuantPlan

    def quantize(self, data: dict[str, Any]) -> pipeline.Quantized:
        return pipeline.quantize(self.path, self.calibration, plan=QuantPlan.from_json(data))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = write_model(tmp_path_factory.mktemp("plan") / "model.onnx", TEXT, WEIGHTS)
    calibration = pipeline.calibrate(path, Given(FEEDS))
    return Case(path, calibration, pipeline.quantize(path, calibration).plan)


def test_a_plan_of_our_own_fits(case: Case) -> None:
    assert check_plan(prepared(case.path).ir.graph, case.plan) == []


Edit = Callable[[dict[str, Any]], object]
MISFITS: dict[str, tuple[Edit, str]] = {
    "unknown node": (lambda p: p["float_nodes"].update(nowhere="because"), "nowhere"),
    "unknown tensor": (lambda p: p["tensors"].update(other=p["tensors"]["x"]), "no tensor other"),
    "missing tensor": (lambda p: p["tensors"].pop("x"), "tensor x"),
    "missing weight": (lambda p: p["tensors"].pop("w"), "weight w"),
    "weight zero point": (lambda p: p["tensors"]["w"].update(zero_point=3), "zero point"),
    "unsigned weight": (lambda p: p["tensors"]["w"].update(type="uint8", narrow=False), "signed"),
    "wide weight": (lambda p: p["tensors"]["w"].update(type="int32"), "8 bits"),
    "wrong axis": (lambda p: p["tensors"]["w"].update(axis=1), "axis 1"),
    "wrong length": (lambda p: p["tensors"]["w"].update(scale=[0.1, 0.2]), "2 scales"),
    "scales of an activation": (lambda p: p["tensors"]["x"].update(axis=1, scale=[0.1] * 3), "one scale"),
    "mixed signs": (lambda p: p["tensors"]["x"].update(type="int8", zero_point=0), "signed and others unsigned"),
    "wide activation": (lambda p: p["tensors"]["x"].update(type="uint32"), "8 bits"),
    "codes of nothing": (lambda p: p["weight_codes"].update(x={"shape": [1], "int8": "AA=="}), "no weight"),
    "codes of another shape": (lambda p: p["weight_codes"].update(v={"shape": [1], "int8": "AA=="}), "shape"),
    "bias of another length": (lambda p: p["biases"].update(v=[1.0]), "1 entries"),
    "scale beyond all": (lambda p: p["tensors"]["q"].update(scale=1e-30), "2\\^-60"),
    "far apart": (lambda p: p["tensors"]["z"].update(scale=1e-12), "2\\^30 steps"),
    "no share": (lambda p: p["tensors"]["y"].update(scale=0.003), "whole number"),
    "wide tensor that is not there": (lambda p: p.update(wide=["nowhere"]), "no tensor nowhere"),
    "wide tensor that nothing reads so": (lambda p: p.update(wide=["w"]), "cannot be wide"),
    "steep node that is not there": (lambda p: p.update(steep=["nowhere"]), "no node nowhere"),
    "beyond the kernel": (lambda p: p["tensors"]["q"].update(scale=1e-4), "whole calibrated range"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_what_does_not_fit_is_named(case: Case, kind: str) -> None:
    edit, word = MISFITS[kind]
    data = json.loads(case.plan.dumps())
    edit(data)
    with pytest.raises(ArtifactError, match=word):
        case.quantize(data)


NUMBERS = [0, 1, -1, 0.5, 1e-45, 1e-38, 1e-20, 1e-6, 1e-3, 0.1, 3.0, 10.0, 1e6, 1e20, 3e38, 1e39, 127, 128, 255, 256, 10**30]
VALUES = [*NUMBERS, [], [0.1] * 4, [0.1] * 7, [1e-3] * 5, "int8", "uint8", "int4", "uint4", "int16", "int32", "x", None]
KEYS = ["scale", "zero_point", "type", "axis", "narrow"]
SEEDS = range(60)


def damage(plan: dict[str, Any], rng: random.Random) -> None:
    """Up to three entries are taken away, exchanged, scaled, or given any value."""
    for _ in range(rng.randint(1, 3)):
        one, other = (rng.choice(sorted(plan["tensors"])) for _ in range(2))
        entry, factor = plan["tensors"][one], rng.choice([number for number in NUMBERS if number > 0])
        kind = rng.choice(["remove", "exchange", "scale", "scale", "float", "set", "set", "set"])
        if kind == "remove":
            plan["tensors"].pop(one)
        elif kind == "exchange":
            plan["tensors"][one] = dict(plan["tensors"][other])
        elif kind == "scale":
            scale = entry.get("scale")
            if isinstance(scale, list):
                entry["scale"] = [s * factor for s in scale]
            elif isinstance(scale, float):
                entry["scale"] = scale * factor
        elif kind == "float":
            plan["float_nodes"][rng.choice(["conv0", "relu1", "concat5", "softmax11"])] = "a person says so"
        else:
            entry[rng.choice(KEYS)] = rng.choice(VALUES)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_plan_is_exact_or_a_sentence(case: Case, seed: int) -> None:
    data = json.loads(case.plan.dumps())
    damage(data, random.Random(seed))
    try:
        quantized = case.quantize(data)
    except ArtifactError:
        return
    for feed in (*FEEDS, ANY):
        assert mismatches(quantized.model, feed) == []
