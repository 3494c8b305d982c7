"""What `qconv quantize` tells of the model that it made: lines for people, or JSON for programs."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qconv.sentences import counted, some_of

if TYPE_CHECKING:
    from qconv.data.source import SampleSource
    from qconv.pipeline import PreparedModel, Quantized, QuickCheck
    from qconv.pipeline.modes import InMode
    from qconv.quant.certify import Certificate
    from qconv.recover.from_moments import FromMoments
    from qconv.recover.recover import Recovered


def grouped(kind: str, remarks: Iterable[Sequence[str]], shown: Callable[[Sequence[str]], str] = ", ".join) -> Iterator[str]:
    """A line for each remark, with the nodes that it holds for: all, or those that `shown` takes."""
    nodes: dict[str, list[str]] = {}
    for name, text in remarks:
        nodes.setdefault(text, []).append(name)
    for text, names in nodes.items():
        yield f"  {kind}: {shown(names)}: {text}"


def glance(loaded: PreparedModel, target: Path, result: Quantized, source: SampleSource) -> QuickCheck:
    """The outputs of both models over a few samples; its warnings are shown."""
    from qconv import pipeline
    from qconv.cli.console import progress, warn

    with progress("measuring") as update:
        figures = pipeline.quick_check(loaded, target, result.model, source, progress=update)
    if not figures.good:
        figures = replace(figures, warnings=(*figures.warnings, *result.doubts))
    for warning in figures.warnings:
        warn(warning)
    return figures


def summarize(loaded: PreparedModel, files: Sequence[Path], result: Quantized, figures: QuickCheck, source: SampleSource) -> None:
    """Prints what was made."""
    from qconv.cli.console import out

    found, target = result.audit, files[0]
    out.print(f"{target}: {counted(found.integer_nodes, 'integer node')}, {counted(len(result.plan.float_nodes), 'float node')}")
    for line in result.imported:
        out.print(f"import: {line}")
    for line in grouped("float", result.plan.float_nodes.items()):
        out.print(line)
    for line in grouped("note", ((note.node, note.text) for note in (*result.plan.notes, *result.lowering.notes)), some_of):
        out.print(line)
    for line in result.doubts if figures.good else ():
        out.print(f"  note: {line}")
    for line in _chosen(result):
        out.print(f"  range: {line}")
    if result.measured:
        out.print(f"  range: chosen by what they cost at the outputs, measured on {result.measured} samples")
    if result.plan.channel_scales:
        out.print(_channels(result))
    if result.recovery is not None:
        out.print(_recovery(result.recovery.weights))
    if result.by_moments is not None:
        out.print(_by_moments(result.by_moments))
    for line in (*_proofs(result.lowering.program.certificates), *_short(result), *_processors(result)):
        out.print(line)
    print_outcome(loaded, files, figures, source)
    print_slowdown(loaded, target, result, source)
    out.print(f"next: {_next(loaded, target, result)}")


def print_outcome(loaded: PreparedModel, files: Sequence[Path], figures: QuickCheck, source: SampleSource) -> None:
    """Prints how near the outputs are, and what the file weighs."""
    from qconv.cli.console import out, size
    from qconv.model.save import file_bytes, files_of

    for name, sqnr in figures.sqnr_db.items():
        out.print(f"output {name}: SQNR {sqnr:.1f} dB over {counted(figures.samples, 'sample')} of {source.description}")
    before, after = file_bytes(files_of(loaded.path, loaded.original)), file_bytes(files)
    out.print(f"size {size(before)} -> {size(after)} ({after / before:.2f})")


def print_slowdown(loaded: PreparedModel, target: Path, result: Quantized, source: SampleSource) -> None:
    """Says where a run takes longer than that of the float model."""
    from qconv import pipeline
    from qconv.cli.console import out

    cost = pipeline.slowdown(loaded, target, result.model, source)
    if cost is not None:
        hint = "" if cost.faster is None else f"; {cost.faster}"
        slower = f"the integer model is slower than the float model here: a run takes about {cost.ratio:.1f} of its time"
        out.print(f"time: {slower}{hint}")


def _next(loaded: PreparedModel, target: Path, result: Quantized) -> str:
    """What to do with the model: look at what is left in float, or compare it in full and run it."""
    models = shlex.quote(str(loaded.path))
    models += "" if target == loaded.path.with_suffix(".int8.onnx") else f" {shlex.quote(str(target))}"
    if result.plan.float_nodes:
        analyze = f"`qconv analyze {shlex.quote(str(loaded.path))}`"
        return f"`qconv verify {models}` tells what each layer loses, {analyze} what float would gain"
    return f"`qconv verify {models}` compares all samples and every layer; onnxruntime runs {target} as it is"


def to_json(
    loaded: PreparedModel,
    files: Sequence[Path],
    result: Quantized,
    figures: QuickCheck,
    source: SampleSource,
    warnings: Sequence[str],
) -> str:
    """What was made, for programs; an infinite SQNR is null."""
    from qconv.model.save import file_bytes, files_of
    from qconv.pipeline.made import settings_to_json

    target = files[0]
    data = {
        "format": "qconv-quantized-1",
        "float_model": str(loaded.path),
        "integer_model": str(target),
        "table": str(target.with_suffix(".json")),
        "settings": settings_to_json(result.config),
        "integer_nodes": result.audit.integer_nodes,
        "integer_only": result.audit.integer_only,
        "float_nodes": [{"node": name, "reason": reason} for name, reason in result.plan.float_nodes.items()],
        **(_facts(result) if result.in_mode is None else _facts_of_mode(result.in_mode)),
        "outputs": [{"name": name, "sqnr_db": db if math.isfinite(db) else None} for name, db in figures.sqnr_db.items()],
        "samples": {"source": source.description, "number": figures.samples},
        "bytes": {"float": file_bytes(files_of(loaded.path, loaded.original)), "integer": file_bytes(files)},
        "warnings": [*warnings, *figures.warnings],
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _facts(result: Quantized) -> dict[str, object]:
    """What a static model has."""
    certificates = result.lowering.program.certificates.values()
    return {
        "notes": [{"node": note.node, "text": note.text} for note in (*result.plan.notes, *result.lowering.notes)],
        "imported": list(result.imported),
        "methods": result.methods,
        "channel_scales": len(result.plan.channel_scales),
        "multipliers": {
            "scales": sum(c.scales for c in certificates),
            "proved": sum(c.proved for c in certificates),
            "nudged": sum(c.nudged for c in certificates),
        },
        **_short_to_json(result),
        "exact_on": result.model.metadata_props["qconv.exact_on"].split(", "),
    }


def _facts_of_mode(made: InMode) -> dict[str, object]:
    """What a model has whose activations are in float."""
    found = made.rewritten
    return {
        "layers": list(found.layers),
        "tables": list(found.tables),
        "fitted": {"layers": found.fitted, "samples": made.samples},
    }


def _short_to_json(result: Quantized) -> dict[str, object]:
    from qconv.verify.exact.shifts import in_grid

    return {} if result.config.grid.free else {"short": asdict(in_grid(result.lowering.program, result.config.grid))}


def _proofs(certificates: Mapping[str, Certificate]) -> Iterator[str]:
    """How many multipliers are proved, and for each reason the nodes where some are not."""
    if not certificates:
        return
    proved = sum(c.proved for c in certificates.values())
    nudged = sum(c.nudged for c in certificates.values())
    most = max((c.max_ulps for c in certificates.values()), default=0)
    yield f"{proved} multipliers equal onnxruntime for every accumulator; {nudged} were nudged, by at most {most} ulps"
    free, scales = sum(c.tie_free for c in certificates.values()), sum(c.scales for c in certificates.values())
    yield f"{free} of {scales} multipliers give the same codes where halves are rounded up instead of to even"
    open_ = [(f"{name} ({c.scales - c.proved} of {c.scales})", c.why) for name, c in certificates.items() if c.why]
    yield from grouped("not proved", open_)


def _short(result: Quantized) -> Iterator[str]:
    """How many multipliers are shifts, or as short as was asked for, and where the others are."""
    from qconv.verify.exact.shifts import in_grid

    grid = result.config.grid
    if grid.free:
        return
    found = in_grid(result.lowering.program, grid)
    what = "a shift" if grid.powers else f"{grid.bits} bits and a shift"
    text = f"{found.short} of {found.multipliers} multipliers are {what}"
    yield f"{text}; {found.powers} of {found.scales} scales are powers of two" if grid.powers else text
    if found.others:
        yield f"  note: {some_of(found.others)}: its scales or multipliers are others"


def _channels(result: Quantized) -> str:
    """How many tensors have a scale for each channel, and what that gained."""
    count = len(result.plan.channel_scales)
    text = f"channels: a scale for each channel of {counted(count, 'tensor')}"
    if result.recovery is None:
        return text
    before, after = (-10.0 * math.log10(max(n, 1e-30)) for n in (result.recovery.before, result.recovery.form.noise))
    gain = f"signal to noise at the outputs, simulated, {before:.1f} -> {after:.1f} dB"
    return f"{text}; {gain}" if after >= before else f"{text}, with which fitted weights do better; before that, {gain}"


def _recovery(recovered: Recovered) -> str:
    """What recovery did, and what it gained."""
    if not recovered.layers:
        return f"recovery: nothing to gain on {counted(recovered.samples, 'sample')}; all weights keep their nearest codes"
    before, after = (-10.0 * math.log10(max(noise, 1e-30)) for noise in (recovered.noise_before, recovered.noise_after))
    fitted = f"the weights of {counted(recovered.layers, 'layer')} are fitted to {counted(recovered.samples, 'sample')}"
    return f"recovery: {fitted}; signal to noise at the outputs, on samples held back, {before:.1f} -> {after:.1f} dB"


def _by_moments(found: FromMoments) -> str:
    """What was done without samples, and what is lost by it."""
    return (
        f"recovery: the weights of {counted(found.layers, 'layer')} are fitted to second moments of the float network, because "
        "the samples are gone: each layer repairs its own rounding, not what those before it lost; no tensor has a scale for "
        "each channel, and no samples held back judge the result"
    )


def _processors(result: Quantized) -> Iterator[str]:
    """Where the model gives the same codes, and what stands against more if a narrower target was asked for."""
    from qconv.integer.saturation import saturating_steps

    yield f"the same codes on {result.model.metadata_props['qconv.exact_on']}"
    nodes = [step.name for step in saturating_steps(result.lowering.program)]
    if nodes:
        yield f"  note: {some_of(nodes)}: may saturate on x86 with AVX2 and without VNNI; --target x86 is exact on every x86"


def _chosen(result: Quantized) -> list[str]:
    """A line for each method that chose ranges, with the first tensors, where there is more than one."""
    lines = []
    for method, names in result.methods.items():
        lines.append(f"{method}: {some_of(names)}")
    return lines if len(lines) > 1 else []
