"""Products of -1 and +1 by bits in C: the same bytes, and only where it is proved that nothing else occurs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.export.c.xnor import by_bits, pack
from qconv.export.network import Network
from qconv.export.trace import network_of
from qconv.model.load import load

COMPILER = shutil.which("cc") or shutil.which("gcc")


def integer(name: str, sample_models: Path, folder: Path) -> Path:
    source, target = sample_models / f"{name}.onnx", folder / f"{name}.int8.onnx"
    pipeline.quantize(source, pipeline.calibrate(source)).save(target)
    return target


@pytest.fixture(scope="module")
def binary(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Network:
    return network_of(load(integer("digits_binary", sample_models, tmp_path_factory.mktemp("xnor"))).ir)


def counted(network: Network) -> dict[str, int]:
    ops = [node.op for node in by_bits(network).nodes]
    return {op: ops.count(op) for op in ("xnor_conv", "xnor_matmul")}


def test_which_layers_work_on_bits(binary: Network, sample_models: Path, tmp_path: Path) -> None:
    """All but the first, whose input is a picture; of three values none."""
    assert counted(binary) == {"xnor_conv": 3, "xnor_matmul": 2}
    ternary = network_of(load(integer("digits_ternary", sample_models, tmp_path)).ir)
    assert counted(ternary) == {"xnor_conv": 0, "xnor_matmul": 0}


@pytest.mark.parametrize("change", ["even bias", "small multiplier", "odd weight", "wider clip"])
def test_what_could_be_zero_stays_as_it_is(change: str, binary: Network) -> None:
    """The proof fails for the second convolution, which reads what the first makes; the third reads what stays proved."""
    nodes, tensors = list(binary.nodes), dict(binary.tensors)
    first = next(node for node in nodes if node.op == "conv")
    bias, weight = (tensors[name] for name in (first.inputs[2], first.inputs[1]))
    assert bias.data is not None and weight.data is not None
    if change == "even bias":
        tensors[bias.name] = replace(bias, data=bias.data - (np.arange(bias.size) == 3))
    elif change == "odd weight":
        tensors[weight.name] = replace(weight, data=weight.data + (weight.data > 1).astype(np.int8))
    elif change == "small multiplier":
        (record,) = first.rescales
        nodes[nodes.index(first)] = replace(first, rescales=(replace(record, shift=tuple(s + 2 for s in record.shift)),))
    else:
        clip = next(node for node in nodes if node.op == "clip")
        nodes[nodes.index(clip)] = replace(clip, attributes={**clip.attributes, "low": 0})
    found = counted(replace(binary, nodes=nodes, tensors=tensors))
    assert found["xnor_conv"] == 2


def test_bits_lie_from_the_lowest_on() -> None:
    signs = np.array([[1, -1, 1] + [-1] * 61 + [1, 1]])
    assert pack(signs).tolist() == [[0b101, 0b11]]


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
def test_c_gives_the_same_bytes(sample_models: Path, tmp_path: Path) -> None:
    """Every tensor of ten samples, with the checks of undefined behaviour on; the constants shrink to a seventh."""
    model = integer("digits_binary", sample_models, tmp_path)
    made = pipeline.export(model, "c", tmp_path / "c", str(sample_models / "digits_test.npz"), samples=10)
    flags = "CFLAGS=-O1 -fsanitize=undefined -fno-sanitize-recover=all -Werror"
    done = subprocess.run(["make", "-C", str(tmp_path / "c"), "check", flags], capture_output=True, text=True, check=False)
    assert "10 samples, 0 differences" in done.stdout, done.stdout + done.stderr
    assert made.sources is not None and made.sources.constants < 30_000
    assert "xnor_row" in (tmp_path / "c" / "model.c").read_text()
