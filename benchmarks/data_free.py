"""The score of calibration without data against real samples, and how well the made-up samples fit the batch norms.

    python -m benchmarks.data_free -o docs/data-free.md

8 bits, min-max for the real samples. Gaps are those of qconv/calibrate/remembered.py: the mean over batch norms in nats, for
drawn samples, for the moved ones that calibrate, and for the real ones. The page's other parts stay, as in benchmarks/methods.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import FeedSource, zoo_folder, zoo_module
from benchmarks.feeds import Feeds
from benchmarks.methods import SAMPLES, Bench, remember_inputs, replace_table
from qconv import pipeline
from qconv.calibrate import inputs_of
from qconv.calibrate.moment_network import MomentNetwork
from qconv.calibrate.moved_source import MovedSource, moved_if_synthetic
from qconv.calibrate.remembered import remembered_layers
from qconv.model.load import load

# Networks whose scores were looked at while constants were chosen, and those that were not.
CHOSE = ("mobilenet_v1_025_224_bn", "cifar_resnet20_bn", "squeezenet10_winml", "mlperf_kws_dscnn_bn", "mlperf_strww_bn")
HELD_OUT = ("mnist_cntk", "ultraface_rfb320", "ppocr_v3_det")


@dataclass(frozen=True)
class Row:
    """One network: scores in percent, gaps as text."""

    network: str
    chose_constants: str
    batch_norms: int
    gap_drawn: str
    gap_moved: str
    gap_real: str
    worst_moved: str
    float_score: float
    real_samples: float
    no_data: float


def measure(zoo: Any, bench: Bench, name: str) -> Row:
    """Calibrates twice and scores three models."""
    path = zoo_folder() / "models" / f"{name}.onnx"
    real = FeedSource(list(zoo.feeds(name, "calib", SAMPLES)))
    drawn = pipeline.samples_for(pipeline.load_prepared(path), None)
    moved = moved_if_synthetic(drawn, path, inputs_of(load(path).ir))
    gaps = ("-", "-", "-", "-")
    if isinstance(moved, MovedSource):
        worst = max(moved.after.by_layer.values())
        numbers = (moved.before.mean, moved.after.mean, _gap_of(path, real.feeds), worst)
        gaps = (f"{numbers[0]:.3f}", f"{numbers[1]:.3f}", f"{numbers[2]:.3f}", f"{numbers[3]:.3f}")
    by_real, by_moved = (
        100 * bench.score(name, pipeline.calibrate(path, source, threads=1), "minmax", 8) for source in (real, moved)
    )
    count = len(remembered_layers(load(path).ir.graph))
    return Row(name, "yes" if name in CHOSE else "no", count, *gaps, 100 * bench.float_score(name), by_real, by_moved)


def _gap_of(path: Path, feeds: Sequence[Feeds]) -> float:
    model = load(path).ir
    name = inputs_of(model)[0].name
    network = MomentNetwork(model, name, remembered_layers(model.graph))
    return network.gaps(*np.mean([network.run(feed[name], network.no_slopes)[:2] for feed in feeds], axis=0)).mean


def render(rows: Iterable[Row]) -> str:
    """A Markdown table; the last column is what real samples would bring."""
    head = [field.name.replace("_", " ") for field in fields(Row)] + ["difference"]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for row in rows:
        cells = [getattr(row, field.name) for field in fields(row)] + [row.no_data - row.real_samples]
        lines.append([f"{cell:+.2f}" if i == len(head) - 1 else _text(cell) for i, cell in enumerate(cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(cell: str | float) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--only", nargs="*", default=[*CHOSE, *HELD_OUT], help="networks")
    options = parser.parse_args()
    zoo = zoo_module()
    remember_inputs(zoo)
    rows = []
    for name in options.only:
        rows.append(measure(zoo, Bench(zoo), name))
        print(rows[-1], flush=True)
    print(render(rows))
    if options.output:
        replace_table(options.output, render(rows))


if __name__ == "__main__":
    main()
