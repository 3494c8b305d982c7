"""The default target writes no weights that saturate where products are added in int16; the target x86-vnni may."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from qconv.config import QuantConfig
from qconv.errors import UsageError
from qconv.integer.saturation import saturating_steps
from qconv.plan.quant_plan import QuantPlan
from tests.lower.harness import Array, normal, quantize_graph


@dataclass(frozen=True)
class Form:
    """A layer whose weights are all near their greatest, so that most neighbours pass 128 together."""

    text: str
    weights: dict[str, tuple[int, ...]]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"x": (1, 4, 6, 6)})


def _conv(channels: int, weight: tuple[int, ...], out: str, attributes: str = "", spatial: str = "6,6") -> Form:
    shape = (1, channels, *map(int, spatial.split(",")))
    text = f"g (float[1,{channels},{spatial}] x) => (float[{out}] y) {{ y = Conv{attributes}(x, w) }}"
    return Form(text, {"w": weight}, {"x": shape})


def _matrix(text: str, *weight: int) -> Form:
    return Form(text, {"w": weight}, {"x": (4, 6)})


FORMS = {
    "Conv 1x1": _conv(4, (3, 4, 1, 1), "1,3,6,6"),
    "Conv, odd channels": _conv(5, (3, 5, 3, 3), "1,3,4,4"),
    "Conv, a first layer that tuning pads": _conv(3, (4, 3, 3, 3), "1,4,4,4"),
    "Conv, groups": _conv(4, (4, 2, 3, 3), "1,4,4,4", "<group=2>"),
    "Conv, one channel in and two out of a group": _conv(4, (8, 1, 3, 3), "1,8,4,4", "<group=4>"),
    "Conv of lines": _conv(3, (2, 3, 3), "1,2,4", spatial="6"),
    "Conv of volumes": _conv(2, (2, 2, 2, 2, 2), "1,2,3,3,3", spatial="4,4,4"),
    "ConvTranspose": Form(
        "g (float[1,4,6,6] x) => (float[1,3,13,13] y) { y = ConvTranspose<strides=[2,2]>(x, w) }", {"w": (4, 3, 3, 3)}
    ),
    "ConvTranspose, groups": Form(
        "g (float[1,4,6,6] x) => (float[1,6,8,8] y) { y = ConvTranspose<group=2>(x, w) }", {"w": (4, 3, 3, 3)}
    ),
    "Gemm": _matrix("g (float[4,6] x) => (float[4,5] y) { y = Gemm(x, w) }", 6, 5),
    "Gemm, transposed": _matrix("g (float[4,6] x) => (float[4,5] y) { y = Gemm<transB=1>(x, w) }", 5, 6),
    "MatMul": _matrix("g (float[4,6] x) => (float[4,5] y) { y = MatMul(x, w) }", 6, 5),
    "MatMul of batches": Form(
        "g (float[2,4,7] x) => (float[2,4,5] y) { y = MatMul(x, w) }", {"w": (2, 7, 5)}, {"x": (2, 4, 7)}
    ),
    "MatMul of two activations": Form(
        "g (float[2,4,6] a, float[2,6,5] b) => (float[2,4,5] y) { y = MatMul(a, b) }", {}, {"a": (2, 4, 6), "b": (2, 6, 5)}
    ),
    "a depthwise layer of 9 channels between two dense ones": Form(
        """g (float[1,4,6,6] x) => (float[1,4,4,4] y) {
            a = Conv(x, w)
            b = Conv<group=9>(a, d)
            y = Conv(b, v)
        }""",
        {"w": (9, 4, 1, 1), "d": (9, 1, 3, 3), "v": (4, 9, 1, 1)},
    ),
    "the same of lines": Form(
        """g (float[1,4,6] x) => (float[1,4,4] y) {
            a = Conv(x, w)
            b = Conv<group=9>(a, d)
            y = Conv(b, v)
        }""",
        {"w": (9, 4, 1), "d": (9, 1, 3), "v": (4, 9, 1)},
        {"x": (1, 4, 6)},
    ),
}  # fmt: skip


def _heavy(*shape: int, seed: int) -> Array:
    """Weights of one sign for each output, from 0.8 to 1 in magnitude."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.8, 1.0, shape).astype(np.float32)


def _saturating(form: Form, config: QuantConfig, tmp_path: Path) -> list[str]:
    weights = {name: _heavy(*shape, seed=i) for i, (name, shape) in enumerate(form.weights.items())}
    feeds = [{name: normal(*shape, seed=10 * i + j) for j, (name, shape) in enumerate(form.shapes.items())} for i in range(3)]
    result = quantize_graph(tmp_path, form.text, weights, feeds, config=config)
    assert result.quantized.audit.float_nodes == ()
    return [step.name for step in saturating_steps(result.quantized.lowering.program)]


@pytest.mark.parametrize("per_tensor", [False, True], ids=["per channel", "per tensor"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_the_default_is_exact_on_every_x86(form: Form, per_tensor: bool, tmp_path: Path) -> None:
    safe = QuantConfig(per_tensor=per_tensor)
    unsafe = QuantConfig(target="x86-vnni", per_tensor=per_tensor, no_tune=True)  # tuning puts zeros between neighbours
    assert _saturating(form, unsafe, tmp_path) != []
    assert _saturating(form, safe, tmp_path) == []


WITH_WEIGHTS = {name: form for name, form in FORMS.items() if form.weights}


@pytest.mark.parametrize("form", WITH_WEIGHTS.values(), ids=WITH_WEIGHTS.keys())
def test_codes_that_were_given_are_kept_over_copies_of_channels(form: Form, tmp_path: Path) -> None:
    weights = {name: _heavy(*shape, seed=i) for i, (name, shape) in enumerate(form.weights.items())}
    feeds = [{name: normal(*shape, seed=i) for name, shape in form.shapes.items()} for i in range(3)]
    free = quantize_graph(tmp_path, form.text, weights, feeds, config=QuantConfig(target="x86-vnni"))
    plan = free.quantized.plan
    codes = {name: np.random.default_rng(0).integers(90, 127, shape).astype(np.int8) for name, shape in form.weights.items()}
    given = QuantPlan(plan.tensors, plan.float_nodes, weight_codes=codes)
    free, safe = (
        quantize_graph(tmp_path, form.text, weights, feeds, config=QuantConfig(target=target), plan=given)
        for target in ("x86-vnni", "x86")
    )
    assert list(saturating_steps(safe.quantized.lowering.program)) == []
    safe.assert_exact()
    for index in range(len(feeds)):
        assert np.array_equal(safe.values(index)["y"], free.values(index)["y"])


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no target m68k; take one of x86, x86-vnni, arm, portable"):
        QuantConfig(target="m68k")
