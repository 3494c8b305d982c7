"""What calibration knew, quantize, verify and analyze know; and models whose inputs are pinned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import qconv
from qconv import pipeline
from qconv.cli.main import run
from qconv.data.image_options import ImageOptions
from qconv.errors import UsageError
from qconv.integer.language.audit import audit
from qconv.statistics.calibration import Calibration
from qconv.statistics.setup import Setup
from tests.lower.harness import normal

CONV = "c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c)"
PLAIN = f"g (float[n,3,8,8] x) => (float[n,4,8,8] y) {{ {CONV} y = MaxPool<kernel_shape=[1,1]>(r) }}"
CHOOSING = """g (float[1,3,8,8] x, int64 rate) => (float[1,4,8,8] y) {
    fast = Equal(rate, sixteen)
    y = If (fast) <then_branch = a () => (float[1,4,8,8] p) { k = Conv<pads=[1,1,1,1]>(x, w) p = Relu(k) },
                   else_branch = b () => (float[1,4,8,8] q) { l = Conv<pads=[1,1,1,1]>(x, v) q = Relu(l) }>
}"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def model(text: str) -> str:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    weights = {"w": normal(4, 3, 3, 3), "v": normal(4, 3, 3, 3, seed=1), "sixteen": np.array(16000)}
    used = {name: array for name, array in weights.items() if f" {name})" in text}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in used.items())
    onnx.save(proto, "m.onnx")
    return "m.onnx"


def pictures() -> str:
    Path("pictures").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)
        Image.fromarray(pixels).save(f"pictures/{number}.png")
    return "pictures"


def test_how_pictures_were_read_travels(capsys: pytest.CaptureFixture[str]) -> None:
    path, data = model(PLAIN), pictures()
    assert run(["calibrate", path, "--data", data, "--preset", "unit", "--resize", "9"]) == 0
    before = Path("m.calib.json").read_bytes()
    for command in ("quantize", "verify", "analyze"):
        capsys.readouterr()
        assert run([command, path, "--data", data]) == 0
        printed = capsys.readouterr().out
        assert "as the calibration was made: --preset unit --resize 9" in printed
        assert command == "analyze" or "resize short side 9, crop 8x8, rgb nchw, scale 0.00392157, mean 0" in printed
        assert command == "verify" or "the ranges come from pictures; m.calib.json stays as it is" in printed
    assert Path("m.calib.json").read_bytes() == before
    assert run(["verify", path, "--data", data, "--preset", "raw"]) == 0
    assert "scale 1," in capsys.readouterr().out


def test_exclusions_travel_until_others_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    path = model(PLAIN)
    np.savez("d.npz", x=normal(20, 3, 8, 8))
    assert run(["calibrate", path, "--data", "d.npz", "--exclude", "Conv"]) == 0
    capsys.readouterr()
    assert run(["quantize", path]) == 0
    printed = capsys.readouterr().out
    assert "as the calibration was made: --exclude Conv" in printed and "c: excluded by 'Conv'" in printed
    result = qconv.quantize(path, "m.calib.json")
    assert "excluded by 'Conv'" in str(result.plan.float_nodes)


def test_a_condition_that_a_pinned_input_decides_is_no_subgraph(capsys: pytest.CaptureFixture[str]) -> None:
    path = model(CHOOSING)
    np.savez("d.npz", x=normal(20, 3, 8, 8), rate=np.full(20, 16000))
    assert run(["calibrate", path, "--data", "d.npz", "--pin", "rate=16000"]) == 0
    capsys.readouterr()
    assert run(["quantize", path, "--integer-only"]) == 0
    assert "--pin rate=16000" in capsys.readouterr().out
    integer = onnx.load("m.int8.onnx")
    assert [value.name for value in integer.graph.input] == ["x"] and audit(Path("m.int8.onnx")).integer_only
    assert run(["verify", path, "--min-sqnr", "30"]) == 0
    assert run(["verify", path, "--data", "d.npz", "--min-sqnr", "30"]) == 0
    assert run(["analyze", path]) == 0
    Path("m.calib.json").unlink()
    Path("m.int8.onnx").rename("other.onnx")
    assert run(["verify", path, "other.onnx", "--data", "d.npz", "--min-sqnr", "30"]) == 0


def test_what_matters_inside_a_subgraph_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    path = model(CHOOSING.replace(",8,8]", ",h,w]"))  # both branches cannot be computed where their sizes are free
    np.savez("d.npz", x=normal(20, 3, 8, 8), rate=np.full(20, 16000))
    assert run(["quantize", path, "--data", "d.npz"]) == 0
    said = capsys.readouterr().err
    assert "warning: node y (If) keeps 2 layers with weights in float, inside its subgraphs" in said and "--pin rate=" in said


def test_a_free_size_is_pinned_by_its_name() -> None:
    path = model(PLAIN)
    loaded = pipeline.load_prepared(path, {"n": 2})
    assert [list(value.shape or ()) for value in (*loaded.ir.graph.inputs, *loaded.ir.graph.outputs)] == [
        [2, 3, 8, 8],
        [2, 4, 8, 8],
    ]


@pytest.mark.parametrize(
    ("pin", "sentence"),
    [
        ("other=1", "other cannot be pinned: the inputs of the model are x, rate"),
        ("rate=1.5", "input rate holds INT64 and cannot be pinned to 1.5"),
        ("rate", "a pin is written NAME=VALUE, with a number, not 'rate'"),
        ("rate=inf", "a pin is written NAME=VALUE, with a number, not 'rate=inf'"),
    ],
)
def test_pins_that_there_are_not(pin: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        pipeline.load_prepared(model(CHOOSING), qconv.QuantConfig(pin=[pin]).fixed)


def test_a_setup_survives_the_file_and_older_files_are_read() -> None:
    setup = Setup(ImageOptions(preset="unit", crop=(8, 9), mean=(0.5,)), ("a b",), ("n=1",))
    assert Setup.from_json(setup.to_json()) == setup
    assert setup.words == "--preset unit --crop 8x9 --mean 0.5 --exclude 'a b' --pin n=1"
    old = {"images": {"preset": "unit"}}
    assert Setup.from_json(old) == Setup(ImageOptions(preset="unit"))
    found = Calibration("ab" * 32, "minmax", 1, "d", None, {}, setup=setup)
    assert Calibration.loads(found.dumps(), "a test") == found


def test_an_input_far_from_zero_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    path = model(PLAIN)
    np.savez("d.npz", x=normal(20, 3, 8, 8, scale=0.1) + np.float32(100))
    assert run(["quantize", path, "--data", "d.npz", "--effort", "none"]) == 0
    said = capsys.readouterr().err
    assert "warning: input x lies between 99." in said and "varies over 2 codes; take its middle off before the network" in said
