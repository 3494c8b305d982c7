"""Rules for parts of a network: the last one that fits counts, in plans and in what is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from qconv import pipeline
from qconv.config import QuantConfig, Rule
from qconv.errors import UsageError
from qconv.pipeline.quantize import Quantized
from tests.lower.harness import Given, Result, normal, quantize_graph, write_model

TEXT = """g (float[1,3,8,8] x) => (float[1,4,6,6] y) {
    a = Conv(x, w)
    r = Relu(a)
    s = Sigmoid(r)
    b = Conv(s, v)
    c = Concat<axis=1>(b, r)
    p = Conv(c, u)
    y = Add(p, b)
}"""
WEIGHTS = {"w": normal(4, 3, 3, 3), "v": normal(4, 4, 1, 1, seed=1), "u": normal(4, 8, 1, 1, seed=2)}
FEEDS = [{"x": normal(1, 3, 8, 8, seed=seed)} for seed in range(4)]


def _made(folder: Path, *rules: Rule, **config: object) -> Result:
    made = quantize_graph(folder, TEXT, WEIGHTS, FEEDS, config=QuantConfig(rules=rules, **config))  # type: ignore[arg-type]
    made.assert_exact()
    return made


def _bits(made: Quantized) -> dict[str, int]:
    return {name: params.int_type.bits for name, params in made.plan.tensors.items()}


def test_weights_have_the_bits_of_the_last_rule_that_fits(tmp_path: Path) -> None:
    rules = Rule("Conv", weight_bits=4), Rule("conv3", weight_bits=2, per_tensor=True), Rule("nodes-of-none*", keep_float=False)
    made = _made(tmp_path, *rules[:2]).quantized
    assert {name: bits for name, bits in _bits(made).items() if name in WEIGHTS} == {"w": 4, "v": 2, "u": 4}
    assert made.plan.tensors["v"].axis is None and made.plan.tensors["w"].axis == 0
    with pytest.raises(UsageError, match="the rule for 'nodes-of-none\\*' matches no node"):
        _made(tmp_path, *rules)


def test_activations_have_the_bits_of_a_rule_and_all_is_exact(tmp_path: Path) -> None:
    made = _made(tmp_path, Rule(("b", "x"), activation_bits=5), Rule("Sigmoid", activation_bits=4)).quantized
    bits = _bits(made)
    assert (bits["x"], bits["r"], bits["s"], bits["b"], bits["y"]) == (5, 8, 4, 5, 8)
    assert bits["a"] == bits["r"]


def test_a_group_has_the_fewest_bits_that_are_asked_for_of_its_members(tmp_path: Path) -> None:
    bits = _bits(_made(tmp_path, Rule("conv0", activation_bits=4)).quantized)
    assert (bits["a"], bits["r"]) == (4, 4)


def test_a_rule_chooses_the_method_of_a_tensor(tmp_path: Path) -> None:
    chosen = _made(tmp_path, Rule("r", method="mse")).quantized.choices
    assert {name for name, choice in chosen.items() if choice.method == "mse"} >= {"r"}
    assert chosen["x"].method == "minmax"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("r..b", {"sigmoid2", "conv3"}), ("a..c", {"relu1", "sigmoid2", "conv3", "concat4"}), ("conv3", {"conv3"})],
)
def test_a_part_between_two_tensors_stays_in_float(pattern: str, expected: set[str], tmp_path: Path) -> None:
    for config in (QuantConfig(exclude=pattern), QuantConfig(rules=(Rule(pattern, keep_float=True),))):
        made = quantize_graph(tmp_path, TEXT, WEIGHTS, FEEDS, config=config).quantized
        assert {name for name, reason in made.plan.float_nodes.items() if "excluded" in reason} == expected


@pytest.mark.parametrize(
    ("pattern", "word"),
    [("r..nowhere", "names the tensor 'nowhere'"), ("y..x", "no way from y to x"), ("none", "matches no node")],
)
def test_a_part_that_there_is_not_is_told(pattern: str, word: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", TEXT, WEIGHTS)
    with pytest.raises(UsageError, match=word):
        pipeline.calibrate(path, Given(FEEDS), config=QuantConfig(exclude=pattern))
