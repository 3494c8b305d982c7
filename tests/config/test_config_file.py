"""A settings file: what it asks for arrives, and whatever is wrong with it is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from qconv.cli.main import cli
from qconv.config import QuantConfig, Rule
from qconv.config_file import load_config
from qconv.errors import UsageError
from qconv.integer.program import Program
from qconv.model.load import load
from tests.lower.harness import normal, write_model

TEXT = """
bits = 8
activation-bits = 6
exclude = ["Softmax", "head/*"]
method = "mse"

[[rule]]
match = ["conv*"]
weight-bits = 4
per-tensor = true

[[rule]]
match = ["front..middle"]
float = true
"""


def test_a_file_is_a_config(tmp_path: Path) -> None:
    path = tmp_path / "qconv.toml"
    path.write_text(TEXT)
    rules = (Rule(("conv*",), weight_bits=4, per_tensor=True), Rule(("front..middle",), keep_float=True))
    expected = QuantConfig(8, 6, exclude=("Softmax", "head/*"), method="mse", rules=rules)
    assert load_config(path) == expected
    assert expected.excluded == ("Softmax", "head/*", "front..middle")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("bits = ", "not valid TOML"),
        ("bist = 8", "did you mean 'bits'"),
        ("colour = 8", "there are bits, weight-bits"),
        ("bits = 'eight'", "bits is a whole number, not 'eight'"),
        ("bits = true", "bits is a whole number, not True"),
        ("exclude = 'conv'", "exclude is a list of patterns"),
        ("exclude = [1]", "exclude is a list of patterns"),
        ("weight-bits = 9", "weight bits take 2 to 8, not 9"),
        ("rule = 3", r"\[\[rule\]\]"),
        ("[[rule]]\nweight-bits = 4", "rule 1 has no patterns"),
        ("[[rule]]\nmatch = ['a']\nbits = 4", "rule 1 has the unknown key 'bits'"),
        ("[[rule]]\nmatch = ['a']\nweight-bits = 1", "rule 1: weight bits take 2 to 8, not 1"),
    ],
)
def test_what_is_wrong_is_told(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "qconv.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=word):
        load_config(path)


def test_a_missing_file_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file of settings"):
        load_config(tmp_path / "none.toml")


def test_flags_go_on_top_of_the_file(tmp_path: Path) -> None:
    weights = {"w": normal(4, 3, 3, 3), "v": normal(5, 4, 1, 1)}
    text = "g (float[1,3,8,8] x) => (float[1,5,6,6] y) { a = Conv(x, w) r = Relu(a) y = Conv(r, v) }"
    model = write_model(tmp_path / "m.onnx", text, weights)
    settings = tmp_path / "qconv.toml"
    settings.write_text("effort = 'none'\nweight-bits = 5\n[[rule]]\nmatch = ['conv2']\nweight-bits = 3\n")
    runner, options = CliRunner(), ["--config", str(settings)]
    assert runner.invoke(cli, ["calibrate", str(model), *options]).exit_code == 0
    written = tmp_path / "out.onnx"
    for flags, widest in (([], 15), (["--weight-bits", "8"], 127)):
        result = runner.invoke(cli, ["quantize", str(model), *options, *flags, "-o", str(written)])
        assert result.exit_code == 0, result.output
        program = Program.read(load(written).ir)
        largest = {
            step.name: abs(step.reads[1].value.const_value.numpy().astype(int)).max()  # type: ignore[union-attr]
            for step in program.quantized
            if step.op == "QLinearConv"
        }
        assert largest["conv2"] == 3
        assert largest["conv0"] <= widest < largest["conv0"] * 1.2
