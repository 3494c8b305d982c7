"""A short training of a float model; the only part of the pipeline that needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qconv.config import QuantConfig
from qconv.data.image_options import ImageOptions
from qconv.errors import UsageError
from qconv.pipeline.prepared import load_prepared
from qconv.pipeline.samples import samples_for

if TYPE_CHECKING:
    from qconv.train.tune import Tuned

MOST_SAMPLES = 4096  # that are held in memory


def train(
    model: str | Path, data: str, path: Path, config: QuantConfig = QuantConfig(), *, labels: str | Path | None = None,
    samples: int | None = None, images: ImageOptions = ImageOptions(), steps: int = 500, batch: int = 32,
    learning_rate: float = 2e-3, seed: int = 0, progress: Callable[[int, int | None], None] | None = None,
) -> Tuned:  # fmt: skip
    """Trains a model against itself under simulated quantization, and writes it to `path` (qconv/train/tune.py).

    Raises UsageError without torch, ModelError for a network that torch cannot build, DataError for bad samples.
    """
    try:
        from qconv.train.tune import tune
    except ImportError as error:
        raise UsageError(f"{error}") from None
    loaded = load_prepared(model)
    source = samples_for(loaded, data, images=images, labels=labels, samples=min(samples or MOST_SAMPLES, MOST_SAMPLES))
    rows = list(source)
    classes = [row.label for row in rows if row.label is not None]
    return tune(
        loaded.ir.graph, [row.feeds for row in rows], path, config, labels=classes if len(classes) == len(rows) else None,
        steps=steps, batch=batch, learning_rate=learning_rate, seed=seed, progress=progress,
    )  # fmt: skip
