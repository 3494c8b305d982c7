"""A `Report` as rich text for people. Nothing is printed here: the command line prints what `render` gives."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qconv.integer.language.audit import Audit
from qconv.sentences import counted
from qconv.verify.measure.metrics import Similarity
from qconv.verify.report.report import Report

_LISTED = 5  # float nodes and mismatches that are named before "and n more"
_NAME = 40  # characters of a layer's name that are shown


def render(report: Report, *, layers: int = 10) -> RenderableType:
    """Everything a person needs: outputs, the `layers` worst layers, audit, exactness, cost, verdict."""
    parts = [_head(report), _outputs(report), *_accuracy(report), *_layers(report, layers)]
    return Group(*parts, *_audit(report), *_exactness(report), *_cost(report), *_verdict(report))


def _head(report: Report) -> RenderableType:
    samples = f"{counted(report.data.samples, 'sample')} from {report.data.source}"
    text = Text.assemble((report.integer_model, "bold"), " against ", (report.float_model, "bold"), f"\n{samples}")
    return Group(text, Text(f"warning: {report.data.warning}", "yellow")) if report.data.warning else text


def _outputs(report: Report) -> RenderableType:
    table = _table("output", "SQNR dB", "cosine", "largest error", "top-1 agreement", "top-5")
    notes = []
    for output in report.outputs:
        classes = output.classes
        shares = ("-", "-") if classes is None else (_share(classes.top1), _share(classes.top5))
        table.add_row(output.name, *_figures(output.similarity), *shares)
        if classes is not None:
            notes.append(Text(f"{output.name} is taken for scores of {classes.classes} classes: {classes.reason}", "dim"))
    return Group(table, *notes)


def _accuracy(report: Report) -> Iterator[RenderableType]:
    found = report.accuracy
    if found is None:
        return
    table = _table("accuracy", "float", "integer", "change")
    table.add_row("top-1", _share(found.float_top1), _share(found.integer_top1), _points(found.float_top1, found.integer_top1))
    if found.float_top5 is not None and found.integer_top5 is not None:
        points = _points(found.float_top5, found.integer_top5)
        table.add_row("top-5", _share(found.float_top5), _share(found.integer_top5), points)
    yield table
    yield Text(f"of {found.samples} labelled samples, by output {found.output}", "dim")


def _layers(report: Report, count: int) -> Iterator[RenderableType]:
    layers = report.working_layers
    shown = layers[:count]
    if not shown:
        return
    table = _table("layer", "op", "SQNR dB", "alone dB", "largest error", text=2)
    for layer in shown:
        sqnr, _, largest = _figures(layer.similarity)
        alone = "-" if layer.own is None else _decibel(layer.own.sqnr_db)
        table.add_row(_tail(layer.node), layer.op_type, sqnr, alone, largest)
    yield table
    yield Text(
        f"the worst {len(shown)} of {counted(len(layers), 'layer')} over {counted(report.layer_samples, 'sample')}; "
        "alone: from float inputs, without what earlier layers did",
        "dim",
    )


def _audit(report: Report) -> Iterator[RenderableType]:
    for graph, audit in (("as written", report.written), ("as onnxruntime runs it", report.optimized)):
        count = len(audit.float_nodes)
        style = "green" if audit.integer_only else "yellow"
        verdict = "integer only" if audit.integer_only else counted(count, "float node")
        yield Text.assemble(
            f"{graph}: {counted(audit.integer_nodes, 'integer node')}, ",
            f"{audit.quantize} QuantizeLinear, {audit.dequantize} DequantizeLinear, ",
            (verdict, style),
        )
        yield from _float_nodes(audit)


def _float_nodes(audit: Audit) -> Iterator[RenderableType]:
    for node in audit.float_nodes[:_LISTED]:
        yield Text(f"  {node.name} ({node.op_type}) {node.reason}", "yellow")
    if len(audit.float_nodes) > _LISTED:
        yield Text(f"  and {len(audit.float_nodes) - _LISTED} more", "yellow")


def _exactness(report: Report) -> Iterator[RenderableType]:
    found = report.exactness
    over = f"of {counted(found.tensors, 'tensor')} over {counted(found.samples, 'sample')}"
    if found.problem is not None:
        yield Text(f"onnxruntime was not compared with exact integer arithmetic: {found.problem}", "yellow")
    elif found.equal:
        yield Text(f"onnxruntime equals exact integer arithmetic in every element {over}", "green")
    else:
        yield Text(f"onnxruntime differs from exact integer arithmetic in {len(found.mismatches)} {over}, first in:", "red")
    for mismatch in found.mismatches[:_LISTED]:
        elements = f"{mismatch.differing} of {mismatch.total} elements, by up to {mismatch.max_difference:g}"
        yield Text(f"  {mismatch.tensor} of {mismatch.node}: {elements}", "red")


def _cost(report: Report) -> Iterator[RenderableType]:
    cost = report.cost
    table = _table("cost", "float", "integer", "ratio")
    table.add_row(
        "size", _bytes(cost.float_bytes), _bytes(cost.integer_bytes), f"{cost.integer_bytes / max(cost.float_bytes, 1):.2f}"
    )
    table.add_row("time of a run, one thread", f"{cost.float_ms:.3f} ms", f"{cost.integer_ms:.3f} ms", f"{cost.ratio:.2f}")
    yield table
    if cost.slower:
        hint = "" if cost.faster is None else f"; {cost.faster}"
        slower = f"the integer model is slower than the float model here: a run takes {cost.ratio:.2f} of its time"
        yield Text(slower + hint, "yellow")


def _verdict(report: Report) -> Iterator[RenderableType]:
    for warning in report.warnings:
        yield Text(f"warning: {warning}", "bold yellow")
    for reason in report.verdict.reasons:
        yield Text(f"failed: {reason}", "bold red")


def _table(*columns: str, text: int = 1) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < text else "right", overflow="fold", no_wrap=index >= text)
    return table


def _figures(similarity: Similarity) -> tuple[str, str, str]:
    return _decibel(similarity.sqnr_db), f"{similarity.cosine:.6f}", f"{similarity.max_error:.4g}"


def _tail(name: str) -> str:
    """The end of a long name, which tells layers apart; JSON has the whole."""
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"


def _decibel(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _points(before: float, after: float) -> str:
    return f"{100 * (after - before):+.2f}" if after != before else "0.00"


def _bytes(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "B" else f"{size:.1f} {units[0]}"
