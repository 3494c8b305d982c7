"""The file of an integer model is smaller, and says the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.integer.file_form import file_form
from qconv.integer.metadata import read_meaning, read_multipliers, shorten
from qconv.integer.packed_numbers import packed, unpacked
from qconv.model.load import load
from qconv.model.session import open_session
from qconv.quant.fixedpoint import Multiplier
from tests.lower.harness import Given


@pytest.fixture(scope="module", params=[("digits_mobilenet", 8), ("digits_mobilenet", 4), ("digits_vit", 8)], ids=str)
def made(request: pytest.FixtureRequest, sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple:  # type: ignore[type-arg]
    name, bits = request.param
    path = sample_models / f"{name}.onnx"
    with np.load(sample_models / "digits_calib.npz") as arrays:
        samples = Given([{"image": image[None]} for image in arrays["image"][:20]])
    config = QuantConfig(weight_bits=bits)
    result = pipeline.quantize(path, pipeline.calibrate(path, samples), config=config, samples=samples)
    file = tmp_path_factory.mktemp("form") / "m.onnx"
    result.save(file)
    return result, file


def test_what_is_left_out_is_read_back(made: tuple) -> None:  # type: ignore[type-arg]
    result, file = made
    meanings = {node.name: meaning for node in load(file).ir.graph if (meaning := read_meaning(node)) is not None}
    expected = {node.name: meaning for node in result.model.graph if (meaning := read_meaning(node)) is not None}
    assert meanings == expected
    assert any(len(np.atleast_1d(multiplier.m0)) > 8 for meaning in meanings.values() for multiplier in meaning.multipliers)


def test_the_file_computes_the_same_and_the_model_stays(made: tuple, sample_models: Path) -> None:  # type: ignore[type-arg]
    result, file = made
    before = {node.name: dict(node.metadata_props) for node in result.model.graph}
    copy = file_form(result.model)
    assert {node.name: dict(node.metadata_props) for node in result.model.graph} == before
    told = {node.name: set(node.metadata_props) for node in copy.graph}
    assert any("qconv.m0" in before[name] and not told[name] & {"qconv.m0", "qconv.scale"} for name in before)
    with np.load(sample_models / "digits_test.npz") as arrays:
        feed = {"image": arrays["image"][:1]}
    ours, theirs = (open_session(model).run(None, feed) for model in (result.model, file))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_names_that_people_look_for_stay(made: tuple) -> None:  # type: ignore[type-arg]
    result, file = made
    graph = onnx.load(file).graph
    names = {name for node in graph.node for name in (node.name, *node.output)}
    assert {name for node in result.model.graph for name in (node.name, *(output.name for output in node.outputs))} <= names
    large = {name for name, value in result.model.graph.initializers.items() if value.const_value.nbytes > 10_000}
    assert large <= names | {tensor.name for tensor in graph.initializer}


def test_multipliers_that_are_not_those_of_the_scales_are_kept(made: tuple) -> None:  # type: ignore[type-arg]
    node = next(node for node in made[0].model.clone().graph if len(node.metadata_props.get("qconv.m0", "")) > 24)
    (multiplier,) = read_multipliers(node)
    other = Multiplier(multiplier.m0, multiplier.n + 1)
    node.metadata_props["qconv.n"] = json.dumps([int(n) for n in other.n])
    shorten(node)
    assert read_multipliers(node) == (other,)
    assert "qconv.m0" in node.metadata_props


def test_multipliers_of_older_files_are_read(made: tuple) -> None:  # type: ignore[type-arg]
    node = next(node for node in made[0].model.clone().graph if "qconv.m0" in node.metadata_props)
    expected = read_multipliers(node)
    node.metadata_props["qconv.m0"] = "="
    del node.metadata_props["qconv.n"]
    assert read_multipliers(node) == expected


@pytest.mark.parametrize("scale", [1.0, 0.0123456, 3e-9, 771.3])
@pytest.mark.parametrize(("count", "span", "kind"), [(50, 20, "k1:"), (48, 8, "k6:"), (49, 8, "k6:"), (51, 4, "k6:")])
def test_multiples_of_one_scale_take_a_byte_or_a_letter_each(scale: float, count: int, span: int, kind: str) -> None:
    rng = np.random.default_rng(0)
    exponents = np.append(rng.integers(0, span, count - 2), [0, span - 1])
    factors = np.ldexp(np.append(rng.integers(8, 16, count - 1), 15) / 8.0, -exponents).astype(np.float32)
    numbers = [float(number) for number in np.float32(scale) * factors]
    text = packed(numbers, "f4")
    assert text.startswith(kind)
    assert len(text) <= 8 + 8 + (count if kind == "k6:" else 4 * count / 3)
    assert unpacked(text) == numbers


def test_other_numbers_take_four_bytes_each() -> None:
    others = [float(number) for number in np.random.default_rng(0).uniform(1, 2, 50).astype(np.float32)]
    assert packed(others, "f4").startswith("f4:")
    assert unpacked(packed(others, "f4")) == others
