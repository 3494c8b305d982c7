from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import helper

from qconv.data.image_options import PRESETS
from qconv.data.source import Sample, inputs_of
from qconv.data_free.leaves import dead_leaves
from qconv.data_free.picture_scale import black_and_white
from qconv.data_free.scale_check import Scale
from qconv.model.load import load
from qconv.model.session import open_session
from tests.networks import network

Arrays = list[NDArray[np.float32]]


def shades(count: int) -> Arrays:
    """Pictures in 0..1."""
    return [dead_leaves(np.random.default_rng([7, index]), 3, 32, 32)[None] for index in range(count)]


def in_scale(arrays: Arrays, preset: str) -> Arrays:
    lo, hi = (np.array(values, np.float32).reshape(3, 1, 1) for values in black_and_white(PRESETS[preset], 3))
    flip = slice(None, None, -1 if PRESETS[preset].channels == "bgr" else 1)
    return [(lo + array[:, flip] * (hi - lo)).astype(np.float32) for array in arrays]


def trained_on(preset: str, batch: int = 1) -> ir.Model:
    """Conv and batch norm that remember pictures of a preset; it takes `batch` of them at a time."""
    weight = np.random.default_rng(1).standard_normal((16, 3, 3, 3)).astype(np.float32)
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    session = open_session(network([conv], {"x": [1, 3, 32, 32]}, ["c"], {"w": weight}), threads=1)
    seen = np.concatenate([session.run(None, {"x": array})[0] for array in in_scale(shades(40), preset)])
    mean, variance = seen.mean(axis=(0, 2, 3)), seen.var(axis=(0, 2, 3))
    constants = {"w": weight, "m": mean, "v": variance, "s": np.ones_like(mean), "b": np.zeros_like(mean)}
    norm = helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"])
    return network([conv, norm], {"x": [batch, 3, 32, 32]}, ["y"], constants)


def findings(model: ir.Model, arrays: Arrays) -> list[str]:
    inputs = inputs_of(model)
    check = Scale(model, inputs)
    for array in arrays:
        check.see(Sample({inputs[0].name: array}, None, "s"))
    return check.findings()


@pytest.mark.parametrize("right", PRESETS)
def test_right_samples_are_silent(right: str) -> None:
    assert findings(trained_on(right), in_scale(shades(16), right)) == []


@pytest.mark.parametrize(
    ("right", "given"),
    [("tf", "raw"), ("tf", "unit"), ("imagenet", "raw"), ("imagenet", "unit"), ("caffe", "raw"), ("unit", "raw")],
)
def test_samples_in_another_scale_are_told_with_the_right_one(right: str, given: str) -> None:
    (found,) = findings(trained_on(right), in_scale(shades(16), given))
    assert found.startswith("input x does not fit the model's first batch norm: with values of 0 to ")
    assert f"--preset {right}," in found


def test_one_large_batch_tells_and_no_more_is_kept() -> None:
    model = trained_on("tf", batch=16)
    right, wrong = (np.concatenate(in_scale(shades(16), preset)) for preset in ("tf", "raw"))
    assert len(findings(model, [wrong])) == 1
    assert findings(model, [right, wrong, wrong]) == []


def test_what_is_in_no_usual_scale_is_told_without_a_preset() -> None:
    (found,) = findings(trained_on("tf"), [1000 * array for array in shades(16)])
    assert "normalise the samples as the model was trained" in found and "--preset" not in found


def test_too_few_samples_tell_nothing() -> None:
    assert findings(trained_on("tf"), in_scale(shades(7), "raw")) == []


def test_without_a_batch_norm_nothing_is_said() -> None:
    model = network([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3, 32, 32]}, ["y"])
    assert findings(model, in_scale(shades(16), "raw")) == []


def from_zoo(zoo: Path, name: str) -> tuple[ir.Model, Arrays]:
    sys.path.insert(0, str(zoo))
    try:
        import zoo as cases  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(zoo))
    feeds: Any = list(cases.feeds(name, "calib", 16))
    return load(zoo / "models" / f"{name}.onnx").ir, [next(iter(feed.values())) for feed in feeds]


# The zoo's reader leaves its list of labels open.
unclosed = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CASES = ["mobilenet_v1_025_224_bn", "cifar_resnet20_bn", "mlperf_kws_dscnn_bn", "mlperf_strww_bn"]


@unclosed
@pytest.mark.parametrize("name", [*CASES, "ultraface_rfb320", "ppocr_v3_det"])
def test_real_samples_as_trained_are_silent(zoo: Path, name: str) -> None:
    assert findings(*from_zoo(zoo, name)) == []


@unclosed
@pytest.mark.parametrize("given", ["raw", "unit"])
def test_real_pictures_in_another_scale_are_told(zoo: Path, given: str) -> None:
    model, arrays = from_zoo(zoo, "mobilenet_v1_025_224_bn")
    (found,) = findings(model, in_scale([np.float32(0.5) * (array + np.float32(1)) for array in arrays], given))
    assert "--preset tf, black at -1 and white at 1" in found
