"""`qconv analyze`: which parts of a network lose what."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qconv.cli.options import (
    COUNT,
    METHODS,
    MODEL,
    PATH,
    RULES,
    data_options,
    exclude_option,
    image_options,
    pin_option,
    target_option,
    threads_option,
)
from qconv.errors import OutputError

if TYPE_CHECKING:
    from qconv.analyze.analysis import Analysis, PlaceReport

_PICTURES = (".png", ".svg")


@click.command(short_help="Tell which layers lose what, and what to leave in float.")
@click.argument("model", type=MODEL)
@click.option("--calibration", type=PATH, help="The calibration file.  [default: MODEL.calib.json, or made from --data]")
@data_options
@click.option("--method", type=click.Choice(METHODS), default="minmax", show_default=True, help="How ranges are chosen.")
@exclude_option
@pin_option
@target_option
@click.option("--top", type=COUNT, default=15, show_default=True, metavar="N", help="How many places to list.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--plot", type=PATH, metavar="FILE", help="Draw the places, ranked, into a PNG or SVG.")
@threads_option
def analyze(
    model: Path, calibration: Path | None, data: str | None, samples: int | None, method: str, exclude: tuple[str, ...],
    pin: tuple[str, ...], target: str, top: int, as_json: bool, plot: Path | None, threads: int, **images: Any,
) -> None:  # fmt: skip
    """Simulate MODEL with each place alone rounded, and with each alone left in float; rank them by what they cost the outputs.

    A place is a node with its weight and the codes that it makes. SQNR is in dB, of the worst output, over a few samples. Nodes
    whose numbers are odd are named with the reason, and groups of nodes to leave in float are proposed with the line to paste.

    The simulation has nearest weights and one scale for each tensor: it shows where losses come from. What `qconv quantize`
    makes good by itself, it makes good on top.
    """
    from qconv import pipeline
    from qconv.cli.calibrations import calibration_of, known_calibration, recall
    from qconv.cli.console import out, progress, warn
    from qconv.config import QuantConfig

    rules = click.get_current_context().meta.get(RULES, ())
    config = QuantConfig(exclude=exclude, method=method, target=target, rules=rules, pin=pin)
    known = known_calibration(model, calibration, data)
    config, pictures = recall(known, config, image_options(**images), data)
    loaded = pipeline.load_prepared(model, config.fixed)
    if plot is not None:
        if plot.suffix.lower() not in _PICTURES:
            raise OutputError(f"{plot} cannot be drawn: name a file that ends in .png or .svg")
        read = [*pipeline.files_of(model, loaded.original), *filter(None, (calibration, Path(data) if data else None))]
        pipeline.check_outputs(read, {"the picture": (plot, pipeline.Kind.SAMPLES)})
    job = pipeline.Job(model, loaded.digest, data, method, samples, pictures, config, threads=threads)
    found, source, _ = calibration_of(loaded, known, job, named=calibration is not None)
    for warning in found.warnings:
        warn(warning)
    with progress("measuring places") as update:
        result = pipeline.analyze(loaded, found, samples=source, config=config, threads=threads, progress=update)
    if plot is not None:
        from qconv.plot.sensitivity_picture import draw_sensitivity

        draw_sensitivity(result, plot)
    if as_json:
        click.echo(result.dumps(), nl=False)
        return
    out.print(_table(result, top))
    for text in _texts(result, top):
        out.print(text)


def _table(result: Analysis, top: int) -> Any:
    from rich import box
    from rich.table import Table

    bits = sorted(result.whole_db, reverse=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("place", "op"):
        table.add_column(title, overflow="fold")
    for title in (*(f"alone, {b} bits" for b in bits), "weight", "activation", "without"):
        table.add_column(title, justify="right", no_wrap=True)
    for place in result.places[:top]:
        row = [f"{place.alone_db[b]:.1f}" for b in bits]
        parts = [_first(place.weight_db), _first(place.activation_db)]
        table.add_row(place.node, place.op_type, *row, *parts, f"{place.without_db:.1f}")
    return table


def _first(by_bits: Any) -> str:
    return "" if by_bits is None else f"{by_bits[max(by_bits)]:.1f}"


def _texts(result: Analysis, top: int) -> list[str]:
    whole = ", ".join(f"{db:.1f} dB at {bits} bits" for bits, db in result.whole_db.items())
    texts = [f"whole network: {whole}, simulated with nearest weights over {result.samples} samples of {result.source}"]
    odd = [place for place in result.places[:top] if place.findings]
    texts += [_finding(place) for place in odd]
    before = result.whole_db[max(result.whole_db)]
    for proposal in result.proposals:
        flags = " ".join(f"--exclude {shlex.quote(pattern)}" for pattern in proposal.exclude)
        texts.append(
            f"leave {proposal.what} in float: {before:.1f} -> {proposal.sqnr_db:.1f} dB\n"
            f"  qconv quantize {shlex.quote(result.model)} {flags}"
        )
    if not result.proposals:
        texts.append("no few nodes in float would gain 3 dB")
    return texts


def _finding(place: PlaceReport) -> str:
    return f"{place.node}: {'; '.join(place.findings)}"
