"""`qconv quantize`: the integer model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qconv.cli.like import ORIGIN, differences, like_option
from qconv.cli.options import (
    BITS,
    KINDS,
    METHODS,
    MODEL,
    NEW_FILE,
    PATH,
    RULES,
    WEIGHT_BITS,
    data_options,
    effort_option,
    exclude_option,
    goal_options,
    image_options,
    mode_options,
    pin_option,
    strict_option,
    target_option,
    threads_option,
)
from qconv.cli.summary import glance, summarize, to_json
from qconv.sentences import some_of

if TYPE_CHECKING:
    from qconv.config import GivenFile, QuantConfig
    from qconv.data.source import SampleSource
    from qconv.pipeline import Budget, Goal, PreparedModel, Quantized, QuickCheck
    from qconv.statistics.calibration import Calibration

FEW_BITS = 6  # of activations, where clipping begins to matter for most networks


@click.command(short_help="Write the integer model and its table of multipliers.")
@click.argument("model", type=MODEL)
@click.option("--calibration", type=PATH, help="The calibration file.  [default: MODEL.calib.json, or made from --data]")
@data_options
@click.option("--bits", type=BITS, default=8, show_default=True, help="Bits of weights and activations, in 8-bit containers.")
@click.option("--weight-bits", type=WEIGHT_BITS, help="Bits of weights.  [default: --bits]")
@click.option("--activation-bits", type=BITS, help="Bits of activations.  [default: --bits]")
@click.option("--method", type=click.Choice(METHODS), help="How ranges are chosen.  [default: what the calibration names]")
@click.option("--percentile", type=float, default=99.99, show_default=True, help="Elements that method percentile keeps, in %.")
@click.option("--per-tensor", is_flag=True, help="One weight scale per layer instead of one per output channel.")
@click.option("--pow2", is_flag=True, help="Every scale a power of two, so that rescaling is a shift.")
@click.option("--dyadic", is_flag=True, help="Multipliers k / 2^n with k of 8 bits, and one scale for both operands of a sum.")
@click.option(
    "--levels",
    type=click.Choice(KINDS),
    default="auto",
    show_default=True,
    help="How the values of a weight are spaced: evenly, powers of two, sums of two powers, -1 0 +1, -1 +1, or the best for a "
    "layer (codebook: 2^bits of them, at most 64). auto: a codebook in layers of 4 bits and fewer that samples like better so.",
)
@exclude_option
@pin_option
@click.option("--integer-only", is_flag=True, help="Fail, naming each, if any node would stay in float.")
@click.option(
    "--prefer",
    type=click.Choice(["integer", "speed"]),
    default="integer",
    show_default=True,
    help="What becomes of layers that are much slower in integers than in float, as recurrent ones: speed leaves them in float.",
)
@click.option(
    "--io", type=click.Choice(["float", "int8", "uint8"]), default="float", show_default=True, help="Type of inputs and outputs."
)
@target_option
@click.option("--no-tune", is_flag=True, help="Leave out what only makes the model faster, and gives the same codes.")
@mode_options
@effort_option
@goal_options
@click.option(
    "--encodings", type=PATH, help="Take ranges or scales from this JSON file, in a form of AIMET or in that of docs/import.md."
)
@like_option
@click.option("--plan", type=PATH, help="Take all decisions from this plan file instead of the calibration.")
@click.option("--save-plan", type=NEW_FILE, help="Write the decisions to this file, to be edited and given back.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done and found as JSON.")
@strict_option
@threads_option
@click.option("-o", "--output", type=NEW_FILE, help="The integer model.  [default: MODEL.int8.onnx, by --bits]")
def quantize(
    model: Path, calibration: Path | None, data: str | None, samples: int | None, bits: int, weight_bits: int | None,
    activation_bits: int | None, method: str | None, percentile: float, per_tensor: bool, pow2: bool,
    dyadic: bool, levels: Any, exclude: tuple[str, ...], pin: tuple[str, ...], integer_only: bool, prefer: Any, io: Any,
    target: str, no_tune: bool, mode: Any, group: int, effort: Any, budget: str | None, max_drop: float | None,
    min_sqnr: float | None, time_limit: float | None, encodings: Path | None, plan: Path | None, save_plan: Path | None,
    as_json: bool, strict: bool, threads: int, output: Path | None, **images: Any,
) -> int:  # fmt: skip
    """Turn MODEL into an integer-only model, prove its arithmetic, and say what was lost.

    The ranges come from --calibration, from MODEL.calib.json, or from --data. The table of all (S, Z, M0, n) is written beside
    the model, with the ending .json.

    Method auto runs the network on a few samples, those of --data or of the calibration, and takes for each tensor the range
    that costs least at the outputs. It pays below 8 bits.
    """
    from qconv import pipeline
    from qconv.cli.calibrations import calibration_of, known_calibration, recall
    from qconv.cli.console import be_quiet, hint, progress, warn
    from qconv.cli.idle_flags import refuse_idle_flags, refuse_idle_percentile
    from qconv.cli.quantize_in_mode import quantize_in_mode
    from qconv.config import QuantConfig
    from qconv.model.save import write_text
    from qconv.plan.quant_plan import QuantPlan

    began, context = time.monotonic(), click.get_current_context()
    refuse_idle_flags(context)
    if as_json:
        be_quiet()
    config = QuantConfig(
        weight_bits or bits, activation_bits or bits, per_tensor, exclude, integer_only, io, method, percentile, target, effort,
        context.meta.get(RULES, ()), mode=mode, group=group, pow2=pow2, dyadic=dyadic, pin=pin, levels=levels,
        no_tune=no_tune, prefer=prefer,
    )  # fmt: skip
    given = QuantPlan.load(plan) if plan else None
    known = known_calibration(model, calibration, data)
    refuse_idle_percentile(context, method or ("minmax" if known is None else known.method))
    config, pictures = recall(known, config, image_options(**images), data)
    loaded = pipeline.load_prepared(model, config.fixed)
    if io == "uint8" and any(images[name] is not None for name in ("scale", "mean", "std")):
        config = replace(config, pixels=pipeline.pixels_for(loaded, image_options(**images)))
    config = replace(config, files=_files(encodings=encodings, plan=plan))
    if encodings is not None:
        config = replace(config, pins=pipeline.read_encodings(encodings, loaded.original.graph))
    written = output or model.with_suffix(f".int{config.weight_bits}.onnx")
    _check_outputs(loaded, written, save_plan, calibration, plan, Path(data) if data else None)
    job = pipeline.Job(
        model, loaded.digest, data, method or "minmax", samples, pictures, config, threads=threads
    )  # fmt: skip
    if config.mode != "static":
        return quantize_in_mode(loaded, calibration, job, written, as_json=as_json, strict=strict)
    found, source, findings = calibration_of(loaded, known, job, named=calibration is not None)
    if (origin := context.meta.get(ORIGIN)) is not None:
        findings = [*findings, *differences(origin, loaded.digest, found, config)]
    needs_data = bool(pipeline.tensors_to_observe(loaded.ir.graph, loaded.pinned(config)))
    for warning in (*found.warnings, *findings) if needs_data else ():
        warn(warning)
    missed: list[str] = []
    goal = pipeline.Goal(min_sqnr, max_drop, time_limit)
    if budget is not None:
        result, config = _within(model, found, config, pipeline.Budget.parse(budget), source, threads, missed)
    elif given is None and goal.asks:
        result, config = _reached(model, found, config, goal, source, threads, missed, began)
    else:
        with progress("choosing ranges") as update:
            result = pipeline.quantize(loaded, found, config=config, plan=given, samples=source, threads=threads, progress=update)
    files = result.save(written)
    for text in (*result.warnings, *missed):
        warn(text)
    if save_plan:
        write_text(save_plan, result.plan.dumps())
    figures = glance(loaded, written, result, source)
    warnings = [*found.warnings, *findings, *result.warnings, *missed]
    if as_json:
        click.echo(to_json(loaded, files, result, figures, source, warnings), nl=False)
    else:
        summarize(loaded, files, result, figures, source)
    if given is None and not as_json and time_limit is None:
        _show_better_target(loaded, found, result, config, source, figures, threads)
        _show_better_mode(loaded, config, source, figures, threads)
    if config.activation_bits <= FEW_BITS and list(result.methods) == ["minmax"] and (method or found.method) == "minmax":
        hint(f"with {config.activation_bits} bits, min-max spends most codes on a few elements; try --method auto")
    return 1 if (strict and (warnings or figures.warnings)) or missed else 0


def _files(**given: Path | None) -> tuple[GivenFile, ...]:
    """The records of the files that decisions come from, by the names of their flags."""
    from qconv.pipeline.made import given_file

    return tuple(given_file(flag, path) for flag, path in given.items() if path is not None)


def _within(
    model: Path, calibration: Calibration, config: QuantConfig, budget: Budget, source: SampleSource, threads: int,
    missed: list[str],
) -> tuple[Quantized, QuantConfig]:  # fmt: skip
    """The model under a budget; says what bits the layers got."""
    from qconv import pipeline
    from qconv.cli.console import out, progress

    with progress("measuring layers") as update:
        found = pipeline.quantize_within(model, calibration, config, budget, source, threads=threads, progress=update)
    for bits in sorted(set(found.bits.values())):
        names = [node for node, count in found.bits.items() if count == bits]
        out.print(f"  {bits} bits: {some_of(names)}")
    out.print(f"budget: {found.share:.2f}x of the 8-bit model's {'file' if budget.kind == 'size' else 'bit operations'}")
    missed += [] if found.shortfall is None else [found.shortfall]
    return found.result, found.config


def _reached(
    model: Path, calibration: Calibration, config: QuantConfig, goal: Goal, source: SampleSource, threads: int, missed: list[str],
    began: float,
) -> tuple[Quantized, QuantConfig]:  # fmt: skip
    """The first attempt that meets a goal, or the best one; says what was tried."""
    from qconv import pipeline
    from qconv.cli.console import out

    found = pipeline.reach(
        model, calibration, config, goal, source, threads=threads, began=began,
        tell=lambda text: out.print(f"  tried: {text}"),
    )  # fmt: skip
    out.print(f"taken: {found.what}: {found.figures}")
    if not found.met:
        unknown = goal.max_drop_points is not None and found.drop is None
        why = "no output is taken for scores of classes, so that lost points are not known" if unknown else "it is out of reach"
        missed.append(f"the goal is not reached, because {why}; the best that was found is {found.figures}, with {found.what}")
    return found.result, found.config


def _check_outputs(loaded: PreparedModel, written: Path, save_plan: Path | None, *read: Path | None) -> None:
    """Refuses to overwrite what is read, also the calibration that lies beside the model, or files of another kind."""
    from qconv.pipeline import CALIBRATION_SUFFIX, Kind, check_outputs, files_of

    inputs = [*files_of(loaded.path, loaded.original), loaded.path.with_suffix(CALIBRATION_SUFFIX), *filter(None, read)]
    outputs = {"the model": (written, Kind.INTEGER), "its table": (written.with_suffix(".json"), Kind.TABLE)}
    check_outputs(inputs, outputs | ({} if save_plan is None else {"the plan": (save_plan, Kind.PLAN)}))


def _gains(better: Mapping[str, float], figures: QuickCheck) -> list[str]:
    """What another choice gives for each output that it serves better."""
    before = figures.sqnr_db
    return [f"output {name} {db:.1f} dB instead of {before[name]:.1f}" for name, db in better.items() if db > before[name]]


def _show_better_target(
    loaded: PreparedModel, calibration: Calibration, result: Quantized, config: QuantConfig, source: SampleSource,
    figures: QuickCheck, threads: int,
) -> None:  # fmt: skip
    """Prints what a narrower target would give, where that is much."""
    from qconv import pipeline
    from qconv.cli.console import hint, progress

    with progress("looking at other targets"):
        price = pipeline.pair_price(loaded, calibration, result, config, source, figures, threads)
    if not price.matters:
        return
    better = {} if price.better is None else price.better
    gains = [
        f"output {name} {db:.1f} dB instead of {figures.sqnr_db[name]:.1f}"
        for name, db in better.items()
        if db > figures.sqnr_db[name]
    ]
    known = "most of which recovery has won back already" if price.recovered else "as simulated, because it cannot run here"
    if better and not gains:
        return
    gain = ", ".join(gains) or f"up to {price.simulated_db:.1f} dB less noise, {known}"
    hint(f"--target x86-vnni would give {gain}; it is wrong on x86 with AVX2 and without VNNI")


def _show_better_mode(
    loaded: PreparedModel, config: QuantConfig, source: SampleSource, figures: QuickCheck, threads: int
) -> None:
    """Prints what mode dynamic would give, where that is much."""
    from qconv import pipeline
    from qconv.cli.console import hint

    better = pipeline.dynamic_gain(loaded, config, source, figures, threads)
    gains = [
        f"output {name} {db:.1f} dB instead of {figures.sqnr_db[name]:.1f}"
        for name, db in better.items()
        if db > figures.sqnr_db[name]
    ]
    if gains:
        hint(f"--mode dynamic would give {', '.join(gains)}; what is between its layers is float")
