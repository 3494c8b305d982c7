"""What becomes of a form: integer and exact, left in float with a reason, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import QconvError
from qconv.integer.execution.compare import mismatches
from qconv.integer.language.audit import audit
from qconv.model.session import open_session
from qconv.quant.types import QuantParams
from qconv.verify.exact.processors import machine_warnings
from tests.lower.harness import Array, Given
from tests.probe.form import Form

CONFIG = QuantConfig(target="x86-vnni")  # weights keep their nearest codes, and none saturates
SAMPLES = 4
DRAWS = 8  # of moved inputs
CLOSE = 2  # codes: the rounding of the output and one on the way


@dataclass(frozen=True)
class Outcome:
    """`state` is integer, float or refused; `text` the ops in float with the reason of the first, or the sentence of the refusal.

    `off` is the largest difference, in codes, from the float op on the same inputs; None where it has no codes. Where that is
    more than CLOSE, `moved` is by how many codes the float op itself moves where its inputs move by half a code, up or down.
    """

    state: str
    text: str = ""
    off: int | None = None
    moved: int | None = None


def outcome_of(form: Form, folder: Path) -> Outcome:
    """Quantizes a form between its layers, compares every tensor, and the op alone with the float op."""
    path = folder / "between.onnx"
    onnx.save(form.between(), path)
    try:
        quantized = _quantize(path, form.feeds(SAMPLES))
    except QconvError as error:
        return Outcome("refused", str(error))
    given = form.feeds(1, seed=9)[0]
    wrong = [] if any(machine_warnings(quantized.lowering.program)) else mismatches(quantized.model, given)
    if wrong:
        raise AssertionError(f"{form}: {wrong[0]}")
    floats = audit(quantized.model).float_nodes
    if floats:
        reasons = quantized.plan.float_nodes
        names = [node.name for node in floats if node.name in reasons]
        ops = ", ".join(dict.fromkeys(node.op_type for node in floats if node.name in reasons))
        return Outcome("float", f"{ops or floats[0].op_type}: {reasons[names[0]] if names else floats[0].reason}")
    off, moved = largest_differences(form, folder)
    return Outcome("integer", off=off, moved=moved)


def largest_differences(form: Form, folder: Path) -> tuple[int | None, int | None]:
    """In codes of y, from the body in float on the same codes of its inputs: of the integer form of the body alone, and of the
    body in float on inputs that have moved by half a code.
    """
    session = open_session(ir.from_proto(form.layers()))
    feeds = [form.feeds(SAMPLES + 1, seed=seed) for seed in (0, 9)]
    inner = [[_inner(form, session.run(None, feed), feed) for feed in group] for group in feeds]
    path = folder / "alone.onnx"
    model = form.alone()
    if model.graph.output[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        return None, None
    onnx.save(model, path)
    quantized = _quantize(path, inner[0])
    plan, judge, session = quantized.plan.tensors, open_session(path), open_session(quantized.model)
    if "y" not in plan:
        return None, None
    worst, moved, rng = 0, 0, np.random.default_rng(3)
    for feed in inner[0]:
        seen = {
            name: plan[name].dequantize(plan[name].quantize(array)) if name in plan else array for name, array in feed.items()
        }
        right, found = (plan["y"].quantize(run.run(["y"], seen)[0]).astype(np.int64) for run in (judge, session))
        worst = max(worst, int(np.abs(found - right).max(initial=0)))
        if worst > CLOSE:
            others = [judge.run(["y"], _moved(seen, plan, rng))[0] for _ in range(DRAWS)]
            moved = max(moved, *(int(np.abs(plan["y"].quantize(y) - right).max(initial=0)) for y in others))
    return worst, moved if worst > CLOSE else None


def _moved(seen: Mapping[str, Array], plan: Mapping[str, QuantParams], rng: np.random.Generator) -> dict[str, Array]:
    """The reals among some inputs, half a code up or down."""
    half = {name: np.float32(plan[name].scale / 2) for name in seen if name in plan}
    return {
        name: array + half[name] * rng.choice(np.asarray([-1, 1], np.float32), array.shape) if name in half else array
        for name, array in seen.items()
    }


def _inner(form: Form, values: Sequence[Array], feed: Mapping[str, Array]) -> dict[str, Array]:
    return {**dict(zip(form.read, values, strict=True)), **{name: array for name, array in feed.items() if name != "x"}}


def _quantize(path: Path, feeds: Sequence[Mapping[str, Array]]) -> pipeline.Quantized:
    return pipeline.quantize(path, pipeline.calibrate(path, Given(feeds), config=CONFIG), config=CONFIG)
