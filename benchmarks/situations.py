"""Networks on which quantizers go wrong in silence, each built anew: what an integer model loses, and whether anything is said.

python -m benchmarks.situations [NAME...] [--other FOLDER] [--markdown FILE]

Each runs as a person runs it, with `qconv calibrate` and `qconv quantize`. The figure is the signal to noise ratio at the worst
output, or at its worst part where parts differ by much, from stock onnxruntime. `--other` is a checkout of another version of
qconv, which is measured beside this one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from benchmarks.feeds import ROOT, Array
from qconv.integer.language.audit import audit

_SAMPLES, _TIME_LIMIT = 24, 120


def _normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _one_in_ten(*shape: int) -> Array:
    """Samples of which one in ten is a hundred times louder."""
    return _normal(*shape, seed=9) * np.where(np.arange(shape[0]) % 10 == 0, 10.0, 0.1).reshape(-1, *[1] * (len(shape) - 1))


@dataclass(frozen=True)
class Situation:
    """A network in onnx's text form, its weights, and all its samples of `x`, one a row; `axis` is that of unlike parts."""

    text: str
    samples: Callable[[], Array]
    weights: Mapping[str, Array] = field(default_factory=dict)
    opset: int = 17
    axis: int | None = None


_SPREAD = np.float32(10.0) ** -np.arange(4, dtype=np.float32)  # the sizes of channels: 1 to a thousandth
_MASK = np.where(np.tri(32, dtype=bool), 0.0, -np.inf).astype(np.float32)
_PICTURES, _ROWS, _TOKENS = "float[N,4,10,10] x", "float[N,16] x", "float[N,32,16] x"


def _pictures() -> Array:
    return _normal(_SAMPLES, 4, 10, 10)


def _rows() -> Array:
    return _normal(_SAMPLES, 16)


def _tokens() -> Array:
    return _normal(_SAMPLES, 32, 16)


SITUATIONS: dict[str, Situation] = {
    "pool of clipped windows": Situation(
        f"({_PICTURES}) => (float[N,4,P,Q] y) {{ y = AveragePool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], ceil_mode=1, "
        "count_include_pad=1>(x) }",
        _pictures,
        opset=19,
    ),
    "grouped transposed convolution": Situation(
        f"({_PICTURES}) => (float[N,4,P,Q] y) {{ y = ConvTranspose<group=4>(x, w) }}",
        _pictures,
        {"w": _normal(4, 1, 3, 3) * _SPREAD.reshape(4, 1, 1, 1)},
        axis=1,
    ),
    "channels of unlike size": Situation(
        f"({_PICTURES}) => (float[N,4,P,Q] y) {{ c = Conv(x, w) r = Relu(c) d = Conv<group=4>(r, v) y = Conv(d, u) }}",
        _pictures,
        {
            "w": _normal(4, 4, 1, 1) * _SPREAD.reshape(4, 1, 1, 1),
            "v": _normal(4, 1, 3, 3) / _SPREAD.reshape(4, 1, 1, 1),
            "u": _normal(4, 4, 1, 1, seed=3),
        },
    ),
    "mask of -10000": Situation(
        f"({_TOKENS}) => (float[N,32,16] y) {{ t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) m = Add(s, mask) p = Softmax(m) "
        "y = MatMul(p, x) }",
        _tokens,
        {"mask": np.maximum(_MASK, np.float32(-1e4))},
    ),
    "mask of infinities": Situation(
        f"({_TOKENS}) => (float[N,32,16] y) {{ t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) m = Add(s, mask) p = Softmax(m) "
        "y = MatMul(p, x) }",
        _tokens,
        {"mask": _MASK},
    ),
    "attention of nearly equal tokens": Situation(
        "(float[N,256,8] x) => (float[N,256,8] y) { t = Transpose<perm=[0,2,1]>(x) s = MatMul(x, t) d = Mul(s, c) p = Softmax(d) "
        "y = MatMul(p, x) }",
        lambda: _normal(_SAMPLES, 256, 8) + np.float32(1),
        {"c": np.asarray(0.1, np.float32)},
    ),
    "logarithm of a wide range": Situation(
        f"({_ROWS}) => (float[N,16] y) {{ y = Log(x) }}", lambda: np.exp(3 * _normal(_SAMPLES, 16))
    ),
    "logarithm of energies": Situation(
        f"({_TOKENS}) => (float[N,32,6] y) {{ s = Mul(x, x) m = MatMul(s, w) e = Add(m, f) y = Log(e) }}",
        lambda: _one_in_ten(_SAMPLES, 32, 16).astype(np.float32),
        {"w": np.abs(_normal(16, 6)), "f": np.asarray(1e-5, np.float32)},
    ),
    "cosine of wide angles": Situation(f"({_ROWS}) => (float[N,16] y) {{ y = Cos(x) }}", lambda: 200 * _rows()),
    "quotient by an exponential": Situation(
        f"({_ROWS}) => (float[N,16] y) {{ a = Exp(x) b = MatMul(x, w) y = Div(b, a) }}", _rows, {"w": _normal(16, 16, seed=1)}
    ),
    "sigmoid of low values": Situation(f"({_ROWS}) => (float[N,16] y) {{ y = Sigmoid(x) }}", lambda: _rows() - np.float32(6)),
    "state of two scales": Situation(
        f"({_ROWS}) => (float[N,8] y, float[N,8] z) {{ a = MatMul(x, w) y, z = Split<axis=1>(a, parts) }}",
        _rows,
        {"w": _normal(16, 16) * np.where(np.arange(16) < 8, 300, 1).astype(np.float32), "parts": np.asarray([8, 8])},
    ),
    "boxes beside scores": Situation(
        f"({_TOKENS}) => (float[N,32,8] y) {{ b = MatMul(x, w) c = MatMul(x, v) s = Sigmoid(c) y = Concat<axis=2>(b, s) }}",
        _tokens,
        {"w": 100 * _normal(16, 4), "v": _normal(16, 4, seed=1)},
        axis=2,
    ),
    "input far from zero": Situation(
        f"({_PICTURES}) => (float[N,4,P,Q] y) {{ y = Conv(x, w) }}",
        lambda: _pictures() + np.float32(300),
        {"w": (w := _normal(4, 4, 3, 3)) - w.mean(axis=(1, 2, 3), keepdims=True)},
    ),
    "8-bit input": Situation(
        "(uint8[N,4,10,10] x) => (float[N,4,P,Q] y) { f = Cast<to=1>(x) y = Conv(f, w) }",
        lambda: np.random.default_rng(0).integers(0, 256, (_SAMPLES, 4, 10, 10)).astype(np.uint8),
        {"w": _normal(4, 4, 3, 3)},
    ),
    "padding beyond a fixed range": Situation(
        f"({_PICTURES}) => (float[N,4,P,Q] y) {{ s = Sigmoid(x) y = Pad(s, pads, three) }}",
        _pictures,
        {"pads": np.asarray([0, 0, 1, 1, 0, 0, 1, 1]), "three": np.asarray(3, np.float32)},
    ),
    "Hardmax of opset 10": Situation(
        "(float[N,3,5] x) => (float[N,3,5] y) { y = Hardmax<axis=1>(x) }", lambda: _normal(_SAMPLES, 3, 5), opset=10
    ),
    "linear Upsample of opset 9": Situation(
        f'({_PICTURES}) => (float[N,4,P,Q] y) {{ y = Upsample<mode="linear">(x, scales) }}',
        _pictures,
        {"scales": np.asarray([1, 1, 2, 2], np.float32)},
        opset=9,
    ),
    "Softmax over one element": Situation(
        "(float[N,16,1] x) => (float[N,16,1] y) { s = Softmax<axis=2>(x) y = Mul(s, x) }", lambda: _normal(_SAMPLES, 16, 1)
    ),
}


def write(situation: Situation, folder: Path) -> None:
    """m.onnx and d.npz."""
    graph = onnx.parser.parse_graph(f"g {situation.text}")
    graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in situation.weights.items())
    opset = onnx.helper.make_opsetid("", situation.opset)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "m.onnx")
    np.savez(folder / "d.npz", x=situation.samples())


def outcome(situation: Situation, source: Path = ROOT) -> str:
    """What one version of qconv makes of it: dB, and what it said besides; or that it is refused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(situation, folder)
        said = ""
        for command in (["calibrate", "m.onnx", "--data", "d.npz"], ["quantize", "m.onnx"]):
            run = subprocess.run(
                [sys.executable, "-m", "qconv", *command], cwd=folder, env={**os.environ, "PYTHONPATH": str(source)},
                capture_output=True, text=True, timeout=_TIME_LIMIT, check=False,
            )  # fmt: skip
            said += run.stderr
            if run.returncode:
                return f"{command[0]} ends with {run.returncode}"
        db, left = _worst_db(folder, situation.axis), len(audit(folder / "m.int8.onnx").float_nodes)
        figure = "equal" if np.isinf(db) else f"{db:.1f} dB"
        return figure + (f", {left} in float" if left else "") + (", warned of" if "warning" in said else "")


def _worst_db(folder: Path, axis: int | None) -> float:
    """Over all samples; the signal of an output, or part, is what varies."""
    samples = np.load(folder / "d.npz")["x"]
    before, after = (_outputs(folder / name, samples) for name in ("m.onnx", "m.int8.onnx"))
    found = []
    for real, ours in zip(before, after, strict=True):
        parts = [(real, ours)] if axis is None else zip(np.moveaxis(real, axis, 0), np.moveaxis(ours, axis, 0), strict=True)
        found += [_db(a.astype(np.float64), b.astype(np.float64)) for a, b in parts]
    return min(found)


def _db(real: Array, ours: Array) -> float:
    noise = np.mean((real - ours) ** 2)
    return float("inf") if noise == 0 else float(10 * np.log10(max(np.var(real), 1e-30) / noise))


def _outputs(path: Path, samples: Array) -> list[Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, {"x": samples})]


_PAGE = """# Situations

Networks on which quantizers go wrong in silence, each built anew from its text form in `benchmarks/situations.py`. The
figure is the signal to noise ratio of the integer model against the float model in stock onnxruntime, over 24 samples, at
the worst output, or at its worst channel where parts differ by much; the signal is what varies. "In float" counts the nodes
that stay in float, each with its reason in what `quantize` prints. Nothing is tuned: every row is

    qconv calibrate m.onnx --data d.npz
    qconv quantize m.onnx

and `python -m benchmarks.situations NAME` gives it again. "Before" is the version of {before}, run on the same files.

{rows}

What is warned of is not mended: an input far from zero wants its middle taken off before the network, two outputs of which
one layer makes one 300 times as large want a layer each, and a Hardmax takes the first of equal codes. A Softmax over one
element is constant, which is told because it is most often a mistake.
"""


def page(rows: Sequence[Sequence[str]], before: str) -> str:
    """The page of the documentation; `before` names the other version."""
    return _PAGE.format(before=before, rows="\n".join(f"| {' | '.join(row)} |" for row in rows))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of situations; all by default")
    parser.add_argument("--other", type=Path, help="a checkout of another version, measured beside this one")
    parser.add_argument("--before", default="an earlier commit", help="what the page calls the other version")
    parser.add_argument("--markdown", type=Path, help="write the page of the documentation")
    options = parser.parse_args()
    if unknown := set(options.names) - set(SITUATIONS):
        parser.error(f"there is no situation {', '.join(sorted(unknown))}; there are {', '.join(SITUATIONS)}")
    sources = ([] if options.other is None else [options.other]) + [ROOT]
    rows = [["situation", *(["before"] if options.other else []), "now"]]
    rows.append(["---"] * len(rows[0]))
    for name in options.names or SITUATIONS:
        rows.append([f"`{name}`", *(outcome(SITUATIONS[name], source) for source in sources)])
        print(" | ".join(rows[-1]), flush=True)
    if options.markdown:
        options.markdown.write_text(page(rows, options.before))


if __name__ == "__main__":
    main()
