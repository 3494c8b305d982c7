"""What each rule of tuning gains, on shapes of real networks: python -m benchmarks.tuned -o docs/tuning.md

Each row is a small network with a layer that a rule changes, quantized with it and with --no-tune; both give the same codes. The
times are those of onnxruntime on one thread, in turn. Only what stands between the two marks of the page is written.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from benchmarks.cases import FeedSource
from benchmarks.feeds import Feeds
from benchmarks.latency import measure
from benchmarks.page import between_marks, line
from qconv import pipeline
from qconv.config import QuantConfig

BEGIN, END = "<!-- gains -->", "<!-- end of gains -->"
_SAMPLES = 4
_SECONDS = 4.0


@dataclass(frozen=True)
class Shape:
    """A network as text, the shapes of its weights, and that of its input x."""

    rule: str
    what: str
    body: str
    x: tuple[int, ...]
    weights: Mapping[str, tuple[int, ...]]


def shapes() -> Iterator[Shape]:
    """Feature maps of 224 x 224 and 28 x 28, sequences, and the layers that channels are added to."""
    for op in ("Tanh", "Neg", "Abs"):
        yield Shape(f"{op} without a table", "[1, 64, 56, 56]", f"y = {op}(x)", (1, 64, 56, 56), {})
        yield Shape(f"{op} without a table", "[1, 128, 768]", f"y = {op}(x)", (1, 128, 768), {})
        body = f"a = Conv(x, v) b = {op}(a) y = Conv(b, w)"
        weights = {"v": (64, 64, 1, 1), "w": (64, 64, 1, 1)}
        yield Shape(f"{op} without a table", "between 1 x 1 convolutions [1, 64, 28, 28]", body, (1, 64, 28, 28), weights)
    for rows, inner, outer in ((16, 384, 384), (197, 192, 768), (3136, 96, 384)):
        body, sizes = "p = MatMul(x, w) y = Add(p, b)", {"w": (inner, outer), "b": (outer,)}
        yield Shape("products as convolutions", f"[1, {rows}, {inner}] to {outer}", body, (1, rows, inner), sizes)
    for x in ((1, 128, 384), (1, 197, 768), (1, 3136, 96)):
        body = "y = LayerNormalization<axis=-1>(x, g, h)"
        yield Shape(
            "sums as products, blocks as rows, numbers beside columns",
            f"LayerNormalization {list(x)}",
            body,
            x,
            {"g": x[-1:], "h": x[-1:]},
        )
    for channels, groups, size in ((128, 32, 56), (256, 32, 28), (512, 32, 14), (56, 7, 28)):
        body, weights = f"y = Conv<group={groups}, pads=[1,1,1,1]>(x, w)", {"w": (channels, channels // groups, 3, 3)}
        what = f"{groups} groups of {channels // groups} channels, {size} x {size}"
        yield Shape("groups merged", what, body, (1, channels, size, size), weights)
    body = "a = Conv(x, u) b = Conv<group=8, pads=[1,1,1,1]>(a, v) y = Conv(b, w)"
    weights = {"u": (8, 16, 1, 1), "v": (8, 1, 3, 3), "w": (16, 8, 1, 1)}
    yield Shape("filters of zeros for a depthwise layer", "16, 8 depthwise, 16, 112 x 112", body, (1, 16, 112, 112), weights)


def main() -> None:
    """Measures and writes."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-o", "--output", type=Path)
    options = arguments.parse_args()
    titles = ["rule", "network", "time / without the rule", "time / float"]
    rows = [line(titles), line(["---"] * len(titles))]
    for shape in shapes():
        rows.append(_row(shape))
        print(rows[-1], flush=True)
    if options.output:
        between_marks(options.output, "\n".join(rows), BEGIN, END)


def _row(shape: Shape) -> str:
    rng = np.random.default_rng(0)
    feeds: list[Feeds] = [{"x": rng.normal(size=shape.x).astype(np.float32)} for _ in range(_SAMPLES)]
    with tempfile.TemporaryDirectory(prefix="qconv-bench-") as folder:
        float_model = _write(shape, Path(folder) / "float.onnx", rng)
        calibration, models = pipeline.calibrate(float_model, FeedSource(feeds), threads=1), {"float": float_model}
        for name, config in (("tuned", QuantConfig(effort="none")), ("plain", QuantConfig(effort="none", no_tune=True))):
            models[name] = Path(folder) / f"{name}.onnx"
            pipeline.quantize(float_model, calibration, config=config).save(models[name])
        times = measure(models, feeds[0], _SECONDS)
    return line([shape.rule, shape.what, f"{times.ratio('tuned', 'plain'):.2f}", f"{times.ratio('tuned', 'float'):.2f}"])


def _write(shape: Shape, path: Path, rng: np.random.Generator) -> Path:
    text = f"g (float[{','.join(map(str, shape.x))}] x) => (float y) {{ {shape.body} }}"
    graph = parser.parse_graph(text)
    graph.output[0].type.tensor_type.ClearField("shape")
    for name, size in shape.weights.items():
        weight = rng.normal(size=size).astype(np.float32) / np.sqrt(np.prod(size[1:]))
        graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), name))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    main()
