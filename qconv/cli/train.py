"""`qconv train`: a short training of an ONNX model under the roundings that it will have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qconv.cli.options import (
    BITS,
    COUNT,
    MODEL,
    NEW_FILE,
    PATH,
    RULES,
    data_options,
    exclude_option,
    image_options,
    target_option,
)

_SUFFIX = ".qat.onnx"
WEIGHT_BITS = click.IntRange(2, 8)


@click.command(short_help="Train a model shortly under its roundings; needs qconv[train].")
@click.argument("model", type=MODEL)
@data_options
@click.option(
    "--labels",
    type=PATH,
    help="A CSV of file (or index) and class, or `folders`: each folder within --data is one.  [default: those of --data]",
)
@click.option("--bits", type=BITS, default=8, show_default=True, help="Bits of weights and activations.")
@click.option("--weight-bits", type=WEIGHT_BITS, help="Bits of weights.  [default: --bits]")
@click.option("--activation-bits", type=BITS, help="Bits of activations.  [default: --bits]")
@click.option("--per-tensor", is_flag=True, help="One weight scale per layer instead of one per output channel.")
@click.option("--steps", type=COUNT, default=500, show_default=True, help="How many steps to train.")
@click.option("--batch", type=COUNT, default=32, show_default=True, help="Samples in a step, where the model takes several.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="Of Adam, relative to the size of each tensor; it falls along a cosine.  [default: 0.002, half for each bit past 4]",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="For the order of the samples.")
@exclude_option
@target_option
@click.option("-o", "--output", type=NEW_FILE, help="The trained model.  [default: MODEL.qat.onnx]")
def train(
    model: Path, data: str | None, samples: int | None, labels: Path | None, bits: int, weight_bits: int | None,
    activation_bits: int | None, per_tensor: bool, steps: int, batch: int, learning_rate: float | None, seed: int,
    exclude: tuple[str, ...], target: str, output: Path | None, **images: Any,
) -> None:  # fmt: skip
    """Train MODEL under simulated quantization and write it with QuantizeLinear and DequantizeLinear, for `qconv quantize`.

    The float model is the teacher, so that no labels are needed; where there are some, they count for a tenth. Every tenth sample
    is held back, and the state that is best on those is written. Batch norms are folded before.
    """
    from qconv import pipeline
    from qconv.cli.console import out, progress
    from qconv.config import QuantConfig

    if data is None:
        raise click.UsageError("training needs samples; give them with --data")
    rules = click.get_current_context().meta.get(RULES, ())
    config = QuantConfig(weight_bits or bits, activation_bits or bits, per_tensor, exclude, target=target, rules=rules)
    written = output or model.with_suffix(_SUFFIX)
    pipeline.check_outputs([model, Path(data)], {"the trained model": (written, pipeline.Kind.QDQ)})
    with progress("training") as update:
        found = pipeline.train(
            model, data, written, config, labels=labels, samples=samples, images=image_options(**images), steps=steps,
            batch=batch, learning_rate=learning_rate, seed=seed, progress=update,
        )  # fmt: skip
    out.print(
        f"{written}: {found.steps} steps over {found.samples} samples; signal to noise at the outputs, on samples held back, "
        f"{found.before_db:.1f} -> {found.after_db:.1f} dB"
    )  # fmt: skip
    out.print(f"now: qconv quantize {written}")
