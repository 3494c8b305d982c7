"""The score of calibration without data against real samples, and how well the made-up samples fit the batch norms.

    python -m benchmarks.data_free -o docs/data-free.md

8 bits, min-max for the real samples. Gaps are those of qconv/data_free/running_statistics.py: the mean over batch norms in
nats, for drawn samples, for the moved ones that calibrate, and for the real ones. The page's
other parts stay, as in benchmarks/methods.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import FeedSource, zoo_folder, zoo_module
from benchmarks.methods import BEGIN, END, SAMPLES, Bench, remember_inputs
from benchmarks.page import between_marks
from qconv import pipeline
from qconv.data.source import SampleSource, inputs_of
from qconv.data_free.distilled import MovedSource, moved_if_synthetic
from qconv.data_free.running_statistics import Gaps, remembered_layers
from qconv.data_free.statistics_network import MomentNetwork

# Networks whose scores were looked at while constants were chosen, and those that were not.
CHOSE = (
    "mobilenet_v1_025_224_bn",
    "cifar_resnet20_bn",
    "squeezenet10_winml",
    "mlperf_kws_dscnn_bn",
    "mlperf_strww_bn",
    "ppocr_v3_det",
)
HELD_OUT = ("mnist_cntk", "ultraface_rfb320")
HEAD = ("network", "a say in constants", "float", "real samples", "no data", "difference")
FIT_HEAD = ("network", "samples", "gap, mean", "gap, worst batch norm", "error of means", "factor of variances")


@dataclass(frozen=True, eq=False)
class Row:
    """One network: scores in percent (float, by real samples, without data), and the gaps of three kinds of samples."""

    network: str
    scores: tuple[float, float, float]
    gaps: Mapping[str, Gaps]


def fit(zoo: Any, name: str) -> tuple[SampleSource, dict[str, Gaps]]:
    """The samples that calibrate without data, and the gaps of these and of others; none without batch norms."""
    path = _path(name)
    loaded = pipeline.load_prepared(path)
    drawn, model = pipeline.samples_for(loaded, None), loaded.with_batchnorms
    moved = moved_if_synthetic(drawn, model, inputs_of(model))
    if not isinstance(moved, MovedSource):
        return moved, {}
    network = MomentNetwork(model, moved.name, remembered_layers(model.graph))
    moments = [network.run(feed[moved.name], network.no_slopes)[:2] for feed in zoo.feeds(name, "calib", SAMPLES)]
    return moved, {"drawn": moved.before, "moved": moved.after, "real": network.gaps(*np.mean(moments, axis=0))}


def measure(zoo: Any, bench: Bench, name: str) -> Row:
    """Calibrates twice and scores three models."""
    real = FeedSource(list(zoo.feeds(name, "calib", SAMPLES)))
    moved, gaps = fit(zoo, name)
    by_real, by_moved = (
        100 * bench.score(name, pipeline.calibrate(_path(name), source, threads=1), source, "minmax", 8)
        for source in (real, moved)
    )
    return Row(name, (100 * bench.float_score(name), by_real, by_moved), gaps)


def _path(name: str) -> Path:
    return zoo_folder() / "models" / f"{name}.onnx"


def render(rows: Sequence[Row]) -> str:
    """Two Markdown tables: scores, the difference to real samples and its mean, and how the samples fit the batch norms."""
    lines = [HEAD, ("---", "---", *["---:"] * 4)]
    for row in rows:
        difference = row.scores[2] - row.scores[1]
        say = "no" if row.network in HELD_OUT else "yes"
        lines.append((row.network, say, *(f"{score:.2f}" for score in row.scores), f"{difference:+.2f}"))
    mean = statistics.mean(row.scores[2] - row.scores[1] for row in rows)
    lines.append(("**mean**", "", "", "", "", f"{mean:+.2f}"))
    fits = [FIT_HEAD, ("---", "---", *["---:"] * 4)]
    fits += [(row.network, kind, *_fit_cells(gaps)) for row in rows for kind, gaps in row.gaps.items()]
    return "\n\n".join("\n".join(f"| {' | '.join(line)} |" for line in table) for table in (lines, fits))


def _fit_cells(gaps: Gaps) -> tuple[str, ...]:
    worst = max(gaps.by_layer.values())
    return f"{gaps.mean:.3f}", f"{worst:.3f}", f"{gaps.mean_error:.2f}", f"{gaps.variance_factor:.2f}"


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--only", nargs="*", default=[*CHOSE, *HELD_OUT], help="networks")
    parser.add_argument("--memory", type=Path, help="a file of scores that are known already")
    options = parser.parse_args()
    zoo = zoo_module()
    remember_inputs(zoo)
    memory = json.loads(options.memory.read_text()) if options.memory and options.memory.exists() else {}
    bench, rows = Bench(zoo, memory, options.memory), []
    for name in options.only:
        rows.append(measure(zoo, bench, name))
        print(name, rows[-1].scores, flush=True)
    print(render(rows))
    if options.output:
        between_marks(options.output, render(rows), BEGIN, END)


if __name__ == "__main__":
    main()
