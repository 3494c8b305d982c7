"""A small network of products with matrices: a table, layers with and without a bias, and a product of two activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from qconv.data.source import Sample

TOKENS = 128


class Tokens:
    """Samples of token numbers, as a source."""

    description, warning = "random tokens", None

    def __init__(self, count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._feeds = [{"ids": rng.integers(0, TOKENS, (1, 12))} for _ in range(count)]

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Iterator[Sample]:
        return (Sample(feeds, None, f"sample {index}") for index, feeds in enumerate(self._feeds))


def language_model(folder: Path, *, width: int = 40, seed: int = 0) -> Path:
    """Written to `folder`; some channels of what the layers read are much larger than others."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(TOKENS, width)) * np.exp(rng.normal(size=width))
    weights = {
        "table": table, "q": rng.normal(size=(width, width)) / 300, "k": rng.normal(size=(width, width)) / 300,
        "up": rng.normal(size=(96, width)) / 6, "bias": rng.normal(size=96), "down": rng.normal(size=(96, 24)) / 9,
    }  # fmt: skip
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (int64[1, 12] ids) => (float[1, 12, 24] y) {
            x = Gather(table, ids)
            a = MatMul(x, q)
            b = MatMul(x, k)
            t = Transpose<perm=[0, 2, 1]>(b)
            both = MatMul(a, t)
            shares = Softmax(both)
            mixed = MatMul(shares, x)
            turned = Transpose<perm=[1, 0]>(up)
            wide = MatMul(mixed, turned)
            moved = Add(wide, bias)
            h = Relu(moved)
            y = MatMul(h, down)
        }""",
        initializers=[ir.tensor(array.astype(np.float32), name=name) for name, array in weights.items()],
    )
    path = folder / "m.onnx"
    ir.save(model, path)
    return path


def outputs(path: Path, samples: Sequence[Sample]) -> np.ndarray:
    """The outputs of a model, stacked."""
    from qconv.model.session import open_session

    session = open_session(path, threads=1)
    return np.concatenate([session.run(None, dict(sample.feeds))[0] for sample in samples])


def sqnr(exact: np.ndarray, found: np.ndarray) -> float:
    """In dB."""
    return float(10 * np.log10(np.square(exact, dtype=np.float64).sum() / np.square(exact - found, dtype=np.float64).sum()))
