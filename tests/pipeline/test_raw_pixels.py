"""--io uint8 with --mean, --std and --scale: the integer model takes raw pixels, and normalises within."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

from qconv.cli.main import run
from qconv.integer.language.audit import audit
from qconv.quant.pixels import Pixels
from tests.lower.harness import normal

MEAN, STD = "0.485,0.456,0.406", "0.229,0.224,0.225"
NO_PADS = "pads=[0,0,0,0]"


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(f"pictures/{number:02}.png")


def write(pads: str) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,8,8] x) => (float[1,4,M,N] y) {{ y = Conv<{pads}>(x, w, b) }}'
    proto = onnx.parser.parse_model(text)
    weights = {"w": normal(4, 3, 3, 3), "b": normal(4)}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.save(proto, "m.onnx")


@pytest.mark.parametrize(("pads", "layers"), [(NO_PADS, 1), ("pads=[1,1,1,1]", 2)], ids=["folded", "padded"])
def test_the_integer_model_takes_pixels(pads: str, layers: int) -> None:
    write(pads)
    assert run(["calibrate", "m.onnx", "--data", "pictures", "--resize", "8"]) == 0
    assert run(["quantize", "m.onnx", "--io", "uint8", "--mean", MEAN, "--std", STD, "--integer-only"]) == 0
    assert run(["verify", "m.onnx", "--min-sqnr", "30"]) == 0
    found = audit(Path("m.int8.onnx"))
    assert found.integer["QLinearConv"] == layers and not found.quantize
    picture = np.asarray(Image.open("pictures/00.png"))
    integer, plain = (ort.InferenceSession(name, providers=["CPUExecutionProvider"]) for name in ("m.int8.onnx", "m.onnx"))
    (codes,) = integer.run(None, {"x": picture.transpose(2, 0, 1)[None]})
    x = (picture / 255 - np.array(MEAN.split(","), float)) / np.array(STD.split(","), float)
    (exact,) = plain.run(None, {"x": x.transpose(2, 0, 1)[None].astype(np.float32)})
    slope, offset = np.polyfit(codes.ravel().astype(float), exact.ravel(), 1)
    rest = exact - (slope * codes.astype(float) + offset)
    assert np.abs(rest).max() < 2 * slope  # the codes are the outputs, to two steps


def test_a_run_is_repeated_with_its_pixels() -> None:
    write(NO_PADS)
    assert (
        run(["quantize", "m.onnx", "--data", "pictures", "--resize", "8", "--io", "uint8", "--mean", "0.5", "--std", "0.5"]) == 0
    )
    before = Path("m.int8.onnx").read_bytes()
    assert run(["quantize", "m.onnx", "--data", "pictures", "--resize", "8", "--like", "m.int8.onnx", "-o", "again.onnx"]) == 0
    assert Path("again.onnx").read_bytes() == before


def test_only_pictures_are_made_of_pixels(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(
        onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17]> g (float[1,3] x) => (float[1,3] y) { y = Relu(x) }'),
        "m.onnx",
    )
    np.savez("d.npz", x=normal(8, 3))
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--io", "uint8", "--mean", "0.5"]) == 2
    assert "raw pixels are for a network with one float input of 4 dimensions" in capsys.readouterr().err


def test_pixels_come_back_from_what_they_became() -> None:
    pixels = Pixels(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1)
    p = np.arange(256, dtype=np.float32).reshape(1, 1, 16, 16).repeat(3, 1)
    np.testing.assert_array_equal(pixels.of_reals(p * pixels.factor + pixels.shift), p)
    assert Pixels.from_settings(pixels.to_settings()) == pixels
