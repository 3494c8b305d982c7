"""A short training of a float model; the only part of the pipeline that needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qconv.config import QuantConfig
from qconv.data.image_options import ImageOptions
from qconv.data.source import Sample
from qconv.errors import UsageError
from qconv.pipeline.calibrate import calibrate
from qconv.pipeline.planned import planned
from qconv.pipeline.prepared import load_prepared
from qconv.pipeline.samples import samples_for

if TYPE_CHECKING:
    from qconv.train.tune import Tuned

MOST_SAMPLES = 4096  # that are held in memory
_RATE, _COARSE = 2e-3, 4  # for weights of so many bits; with each more a step of the codes is half as large


def train(
    model: str | Path, data: str, path: Path, config: QuantConfig = QuantConfig(), *, labels: str | Path | None = None,
    samples: int | None = None, images: ImageOptions = ImageOptions(), steps: int = 500, batch: int = 32,
    learning_rate: float | None = None, seed: int = 0, progress: Callable[[int, int | None], None] | None = None,
) -> Tuned:  # fmt: skip
    """Trains a model against itself under simulated quantization, and writes it to `path` (qconv/train/tune.py).

    Training begins where post-training quantization with recovery ends, on the samples that are not held back. Without a
    `learning_rate` it follows from the bits of weights.

    Raises UsageError without torch, ModelError for a network that torch cannot build, DataError for bad samples.
    """
    try:
        from qconv.train.tune import held_back, tune
    except ImportError as error:
        raise UsageError(f"{error}") from None
    loaded = load_prepared(model)
    source = samples_for(loaded, data, images=images, labels=labels, samples=min(samples or MOST_SAMPLES, MOST_SAMPLES))
    rows = list(source)
    classes = [row.label for row in rows if row.label is not None]
    learned = _Rows([row for index, row in enumerate(rows) if index not in held_back(len(rows))])
    # Channel scales at inputs and outputs are no part of a float graph, and what trains has even steps.
    inside = replace(config, io="uint8", levels="uniform")
    made = planned(loaded, calibrate(loaded, learned, method="auto", config=inside), inside, learned)
    rate = _RATE * 2.0 ** min(0, _COARSE - config.weight_bits) if learning_rate is None else learning_rate
    return tune(
        made.model.graph, [row.feeds for row in rows], path, config, plan=made.plan,
        labels=classes if len(classes) == len(rows) else None, steps=steps, batch=batch, learning_rate=rate, seed=seed,
        progress=progress,
    )  # fmt: skip


@dataclass(frozen=True)
class _Rows:
    """Samples that are in memory."""

    rows: Sequence[Sample]
    description: str = "samples for training"
    warning: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.rows)
