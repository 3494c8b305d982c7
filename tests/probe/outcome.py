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
from qconv.verify.processors import machine_warnings
from tests.lower.harness import Array, Given
from tests.probe.form import Form

CONFIG = QuantConfig(target="x86-vnni")  # weights keep their nearest codes, and none saturates
SAMPLES = 4


@dataclass(frozen=True)
class Outcome:
    """`state` is integer, float or refused; `text` the ops in float with the reason of the first, or the sentence of the refusal.

    `off` is the largest difference, in codes, from the float op on the same inputs; None where it has no codes.
    """

    state: str
    text: str = ""
    off: int | None = None


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
    return Outcome("integer", off=largest_difference(form, folder))


def largest_difference(form: Form, folder: Path) -> int | None:
    """In codes of y, between the integer form of the body alone and the body in float on the same codes of its inputs."""
    session = open_session(ir.from_proto(form.layers()))
    feeds = [form.feeds(SAMPLES + 1, seed=seed) for seed in (0, 9)]
    inner = [[_inner(form, session.run(None, feed), feed) for feed in group] for group in feeds]
    path = folder / "alone.onnx"
    model = form.alone()
    if model.graph.output[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        return None
    onnx.save(model, path)
    quantized = _quantize(path, inner[0])
    plan, judge, session = quantized.plan.tensors, open_session(path), open_session(quantized.model)
    if "y" not in plan:
        return None
    worst = 0
    for feed in inner[0]:
        seen = {
            name: plan[name].dequantize(plan[name].quantize(array)) if name in plan else array for name, array in feed.items()
        }
        right, found = judge.run(["y"], seen)[0], session.run(["y"], seen)[0]
        codes = [plan["y"].quantize(array).astype(np.int64) for array in (right, found)]
        worst = max(worst, int(np.abs(codes[0] - codes[1]).max(initial=0)))
    return worst


def _inner(form: Form, values: Sequence[Array], feed: Mapping[str, Array]) -> dict[str, Array]:
    return {**dict(zip(form.read, values, strict=True)), **{name: array for name, array in feed.items() if name != "x"}}


def _quantize(path: Path, feeds: Sequence[Mapping[str, Array]]) -> pipeline.Quantized:
    return pipeline.quantize(path, pipeline.calibrate(path, Given(feeds), config=CONFIG), config=CONFIG)
