"""What to try next, as pairs of a reason and a line to paste."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterator

from qconv.integer.program import Program
from qconv.targets import TARGETS
from qconv.verify.report.report import Report
from qconv.verify.report.shout import beyond_calibration

from .cause import causes

_FINE_DB = 30.0
_NAMED = 3


def advice(report: Report, program: Program | None) -> Iterator[tuple[str, str]]:
    """The most promising first; nothing where nothing is to be gained."""
    model = shlex.quote(report.float_model)
    worst = min((output.similarity.sqnr_db for output in report.outputs), default=float("inf"))
    if report.data.warning is not None:
        yield (
            "The samples are made up, so that neither ranges nor figures can be relied on.",
            f"qconv quantize {model} --data DATA",
        )
    inputs = () if program is None else [operand.name for operand in program.inputs]
    beyond = beyond_calibration(report.layers, inputs)
    for layer in beyond:
        yield (
            f"Input {layer.tensor} goes beyond what calibration has met: check how it is made, or calibrate with such samples.",
            f"qconv quantize {model} --data DATA",
        )
    if beyond:
        return
    if not report.written.integer_only:
        names = ", ".join(f"{node.name} ({node.reason})" for node in report.written.float_nodes[:_NAMED])
        yield f"Nodes stay in float: {names}. See what each would cost.", f"qconv analyze {model} --data DATA"
    if report.cost.slower and report.cost.faster is not None:
        yield (
            f"A run takes {report.cost.ratio:.2f} of the float model's time here; {report.cost.faster}.",
            f"qconv quantize {model} --data DATA {report.cost.faster.flag}",
        )
    if worst >= _FINE_DB:
        return
    own = [layer for layer in report.layers if layer.own is not None]
    lossy = sorted(own, key=lambda layer: layer.own.sqnr_db if layer.own is not None else 0.0)[:_NAMED]
    if any(cause.narrow for cause in causes(report)):
        yield (
            "Ranges chosen by what they cost at the outputs, as one cuts values off.",
            f"qconv quantize {model} --data DATA --method auto",
        )
    yield (
        "More effort to recover accuracy: weights are rounded so that each layer repairs what those before it lost.",
        (f"qconv quantize {model} --data DATA --effort full"),
    )
    target = None if program is None else TARGETS.get(program.origin.target or "")
    if target is not None and target.all_bits is not None:
        yield (
            "All 8 bits of the weights, where every processor has VNNI.",
            f"qconv quantize {model} --data DATA --target {target.all_bits}",
        )
    if lossy:
        flags = " ".join(f"--exclude {shlex.quote(glob.escape(layer.node))}" for layer in lossy)
        yield "The layers that lose most by themselves, in float.", f"qconv quantize {model} --data DATA {flags}"
    yield "What each node costs the outputs, at 8, 6 and 4 bits.", f"qconv analyze {model} --data DATA --plot sensitivity.png"
    yield "A short training under the roundings, without labels.", f"qconv train {model} --data DATA"
