"""The ablation of Jacob et al. 2018, tables 4.5 and 4.6: how far scores fall with fewer bits of weights and of activations.

    python -m benchmarks.ablation -o docs/ablation.md

All layers have the same bits, weights and activations of 8 to 4; inputs of the network have 8, as pictures do. Ranges are min-max
over 100 calibration samples; weights are fitted to the second moments that one pass over these takes (`qconv calibrate
--moments`), so that each pair of bits is a matter of seconds. Scores are of samples that nothing was chosen by.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks.cases import Case, FeedSource, available, named
from benchmarks.closeness import closeness, run_all
from benchmarks.page import Progress, between_marks, line, machine
from qconv import pipeline
from qconv.config import QuantConfig, Rule

BEGIN, END = "<!-- ablation -->", "<!-- end of ablation -->"
NETWORKS = ("cifar_resnet20*", "mlperf_kws*", "mobilenet*")
BITS = (8, 7, 6, 5, 4)

Cells = Mapping[tuple[int, int], tuple[float, float]]  # weight bits, activation bits -> score, SQNR in dB


def measured(case: Case, folder: Path, bits: Sequence[int], progress: Progress) -> Cells:
    """The score and the SQNR of all outputs for each pair of bits."""
    assert case.score is not None
    exact = run_all(case.path, case.evaluation)
    whole_inputs = (Rule(match=list(case.calibration[0]), activation_bits=8),)
    calibration, path, cells = pipeline.calibrate(case.path, FeedSource(case.calibration), moments=True), folder / "q.onnx", {}
    for weights in bits:
        for activations in bits:
            progress.stage(f"{weights}/{activations}")
            config = QuantConfig(weight_bits=weights, activation_bits=activations, rules=whole_inputs)
            pipeline.quantize(case.path, calibration, config=config).save(path)
            cell = cells[weights, activations] = case.score(path), closeness(exact, path, case.evaluation).total
            click.echo(f" ({cell[0]:.4f}, {cell[1]:.1f} dB)", nl=False, err=True)
    return cells


def table(name: str, score: float, cells: Cells) -> str:
    """A Markdown table: rows are bits of weights, columns bits of activations; change of the score in points, and SQNR."""
    bits = sorted({weights for weights, _ in cells}, reverse=True)
    head = [f"{name}, float {score:.4f}", *(f"activations {b}" for b in bits)]
    rows = [line(head), line(["---", *["---:"] * len(bits)])]
    for weights in bits:
        found = (cells[weights, activations] for activations in bits)
        rows.append(line([f"weights {weights}", *(f"{100 * (s - score):+.1f} ({db:.1f} dB)" for s, db in found)]))
    return "\n".join(rows)


@click.command()
@click.option("--models", multiple=True, default=NETWORKS, metavar="GLOB", help="Only networks with such names.")
@click.option("-o", "page", type=click.Path(path_type=Path, dir_okay=False), help="The page whose tables are written.")
def main(models: tuple[str, ...], page: Path | None) -> None:
    """Measure all pairs of bits, print Markdown tables, and write them into a page."""
    texts = [f"{machine()}."]
    for name, open_case in named(available(), models).items():
        case, progress = open_case(), Progress(name)
        assert case.score is not None
        with tempfile.TemporaryDirectory(prefix="qconv-ablation-") as folder:
            cells = measured(case, Path(folder), BITS, progress)
        progress.end()
        texts.append(table(name, case.score(case.path), cells))
    if page is not None:
        between_marks(page, "\n\n".join(texts), BEGIN, END)
    click.echo("\n\n".join(texts))


if __name__ == "__main__":
    main()
