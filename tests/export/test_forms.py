"""Forms of operators that tables and C have rules of their own for, and what is refused by name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from qconv import pipeline
from qconv.config import QuantConfig
from qconv.errors import FloatNodesError
from qconv.export.c.source import write_sources
from qconv.export.c.vectors import Sample
from qconv.export.trace import network_of
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from tests.export.test_network import COMPILER, by_table, runs
from tests.lower.harness import Array, Given, normal, quantize_graph
from tests.probe.outcome import CONFIG
from tests.probe.read import FORMS

FORM = {str(form): form for form in FORMS}


def model_of(name: str, folder: Path) -> ir.Model:
    path = folder / "m.onnx"
    onnx.save(FORM[name].between(), path)
    feeds = Given(FORM[name].feeds(3))
    return pipeline.quantize(path, pipeline.calibrate(path, feeds, config=CONFIG), config=CONFIG).model


@pytest.mark.parametrize(
    "name", ["MaxPool / 3-D", "AveragePool / 3-D", "Conv / dynamic weight", "TopK / values", "TopK / indices"]
)
def test_by_table_and_in_c(name: str, tmp_path: Path) -> None:
    model = model_of(name, tmp_path)
    assert_same(model, Executor(Program.read(model)).run(FORM[name].feeds(1, seed=5)[0]), tmp_path)


def test_a_norm_of_several_blocks(tmp_path: Path) -> None:
    """The squares of 192 elements are summed in two parts."""
    text, feeds = (
        "g (float[1,3,192] x) => (float[1,3,192] y) { y = LayerNormalization<axis=-1>(x, g) }",
        [{"x": normal(1, 3, 192)}],
    )
    model = quantize_graph(tmp_path, text, {"g": normal(192, seed=2)}, feeds).quantized.model
    assert_same(model, runs(model, 1)[0], tmp_path)


def assert_same(model: ir.Model, values: dict[str, np.ndarray], tmp_path: Path) -> None:
    """A table read by itself, and C compiled, have the executor's values."""
    network = network_of(model)
    found = by_table(network, tmp_path, values)
    for node in network.nodes:
        if node.output in values:
            assert np.array_equal(found[node.output], values[node.output]), node.name
    if COMPILER is None:
        return
    for file, text in write_sources(network, "digest", [Sample(values)]).files.items():
        (tmp_path / file).write_text(text)
    done = subprocess.run(
        ["make", "-C", str(tmp_path), "check", "CFLAGS=-O0 -Werror"], capture_output=True, text=True, check=False
    )
    assert "1 samples, 0 differences" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("way", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "gates"), [("GRU", 3), ("LSTM", 4)])
def test_a_body_repeats(op: str, gates: int, way: str, tmp_path: Path) -> None:
    """A layer of 40 steps is one body, whose states and rows lie where nothing else writes meanwhile."""
    ways, steps, size, hidden = 2 if way == "bidirectional" else 1, 40, 5, 4
    states = f"float[{ways}, 1, {hidden}]"
    text = (
        f"g (float[{steps}, 1, {size}] x) => (float[{steps}, {ways}, 1, {hidden}] y, {states} z) "
        f'{{ y, z = {op}<hidden_size={hidden}, direction="{way}">(x, w, r, b) }}'
    )
    weights = {
        "w": normal(ways, gates * hidden, size, seed=1, scale=0.4),
        "r": normal(ways, gates * hidden, hidden, seed=2, scale=0.4),
        "b": normal(ways, 2 * gates * hidden, seed=3, scale=0.2),
    }
    model = quantize_graph(tmp_path, text, weights, [{"x": normal(steps, 1, size, seed=seed)} for seed in (5, 6)]).quantized.model
    network, samples = network_of(model), runs(model, 2)
    assert sum(node.op == "repeat" for node in network.nodes) == ways
    for values in samples:
        found = by_table(network, tmp_path, values)
        for node, name in network.results:
            if name in values:
                assert np.array_equal(found[name], values[name]), node.name
    if COMPILER is None:
        return
    sources = write_sources(network, "digest", [Sample(values) for values in samples])
    assert sources.arena.size == sources.arena.live
    for file, written in sources.files.items():
        (tmp_path / file).write_text(written)
    flags = "CFLAGS=-O1 -fsanitize=undefined -fno-sanitize-recover=all -Werror"
    done = subprocess.run(["make", "-C", str(tmp_path), "check", flags], capture_output=True, text=True, check=False)
    assert "2 samples, 0 differences" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Pad / dyn pads", "Pad"),
        ("NonZero / gather", "NonZero"),
        ("MaxPool / indices + MaxUnpool", "has no form"),
    ],
)
def test_what_depends_on_data_in_other_ways_is_refused(name: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(FloatNodesError, match=word):
        network_of(model_of(name, tmp_path))


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
def test_powers_of_two_are_shifts(tmp_path: Path) -> None:
    """Models whose scales are powers of two have no multiplier in their layers in C, and the same bytes."""
    form, path = FORM["MaxPool / k3s2"], tmp_path / "m.onnx"
    onnx.save(form.between(), path)
    config = QuantConfig(pow2=True)
    model = pipeline.quantize(path, pipeline.calibrate(path, Given(form.feeds(3)), config=config), config=config).model
    samples = [Sample(Executor(Program.read(model)).run(form.feeds(1, seed=seed)[0])) for seed in range(3)]
    sources = write_sources(network_of(model), "digest", samples).files
    assert "shifted(sum, shift[own])" in sources["model.c"] and "* m[own]" not in sources["model.c"]
    for file, text in sources.items():
        (tmp_path / file).write_text(text)
    flags = "CFLAGS=-O1 -fsanitize=undefined -fno-sanitize-recover=all -Werror"
    done = subprocess.run(["make", "-C", str(tmp_path), "check", flags], capture_output=True, text=True, check=False)
    assert "3 samples, 0 differences" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
def test_two_networks_go_into_one_program(tmp_path: Path) -> None:
    """Without the trace, and with all warnings, as firmware is built; a Reshape that moves nothing leaves no name unused."""
    forms = {
        "left": "g (float[1,2,4] x) => (float[1,8] y) { r = Relu(x) y = Reshape(r, s) }",
        "right": "g (float[1,8] x) => (float[1,2] y) { r = Reshape(x, s) y = MatMul(r, w) }",
    }
    weights: dict[str, dict[str, Array]] = {
        "left": {"s": np.asarray([1, 8])}, "right": {"s": np.asarray([1, 8]), "w": normal(8, 2)},
    }  # fmt: skip
    shapes = {"left": (1, 2, 4), "right": (1, 8)}
    sources = []
    for name, text in forms.items():
        folder = tmp_path / name
        folder.mkdir()
        model = quantize_graph(folder, text, weights[name], [{"x": normal(*shapes[name], seed=seed)} for seed in (1, 2)])
        files = write_sources(network_of(model.quantized.model), "digest", [], prefix=name).files
        for file in ("model.h", "model.c", "weights.c", "border.h", "border.c"):
            (folder / file).write_text(files[file])
        sources += [str(folder / file) for file in ("model.c", "weights.c", "border.c")]
    main = tmp_path / "main.c"
    main.write_text(
        '#include "left/border.h"\n#include "left/model.h"\n#include "right/border.h"\n#include "right/model.h"\n'
        "int main(void) {\n    static float x[LEFT_INPUT0_SIZE], y[RIGHT_OUTPUT0_SIZE];\n"
        "    static uint8_t a[LEFT_INPUT0_SIZE], b[LEFT_OUTPUT0_SIZE], c[RIGHT_OUTPUT0_SIZE];\n"
        "    left_quantize_input0(x, a);\n    left_run(a, b);\n    right_run(b, c);\n    right_dequantize_output0(c, y);\n"
        "    return y[0] > 1e9f;\n}\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wno-unused-function", "-pedantic", "-Werror", "-O1"]
    program = str(tmp_path / "program")
    done = subprocess.run([str(COMPILER), *flags, "-o", program, str(main), *sources, "-lm"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([program], check=False).returncode == 0
