"""Products of -1 and +1 by bits in C: the same bytes, and only where it is proved that nothing else occurs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qconv import pipeline
from qconv.export.c import bit_kernels
from qconv.export.c.source import write_sources
from qconv.export.c.vectors import Sample
from qconv.export.c.xnor import by_bits, pack
from qconv.export.network import Array, Attribute, Network, Node, Rescale, Tensor
from qconv.export.table import dumps, table_of
from qconv.export.trace import network_of
from qconv.model.load import load
from tests.export.reader import READER

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
    """All but the first, whose input is a picture and which packs its signs; of three values none."""
    assert counted(binary) == {"xnor_conv": 3, "xnor_matmul": 2}
    assert next(node.op for node in by_bits(binary).nodes) == "picture_signs"
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
    assert "counts_of" in (tmp_path / "c" / "model.c").read_text()


def signs(rng: np.random.Generator, *shape: int) -> Array:
    return (rng.integers(0, 2, shape) * 4 - 2).astype(np.int8)


def random_network(seed: int) -> tuple[Network, dict[str, Array]]:
    """A picture, convolutions of odd sizes and channels, and a product of matrices with codes at the end."""
    rng = np.random.default_rng(seed)
    channels = [int(rng.integers(1, 4)), int(rng.integers(17, 140)), int(rng.integers(16, 90)), int(rng.integers(16, 70))]
    height, width = int(rng.integers(15, 18)), int(rng.integers(15, 22))
    stride = [1 + seed % 2, int(rng.integers(1, 3)), 1]
    tensors = {"x": Tensor("x", np.dtype(np.uint8), (1, channels[0], height, width))}
    nodes = []
    for index in range(3):
        name, pad = f"y{index}", int(rng.integers(0, 2))
        height, width = ((size + 2 * pad - 3) // stride[index] + 1 for size in (height, width))
        shape = (1, channels[index + 1], height, width)
        weight, bias = signs(rng, channels[index + 1], channels[index], 3, 3), rng.integers(-40, 40, channels[index + 1]) * 2 + 1
        for label, data in ((f"w{index}", weight), (f"b{index}", bias.astype(np.int32))):
            tensors[label] = Tensor(label, data.dtype, data.shape, data=data)
        tensors |= {label: Tensor(label, np.dtype(np.uint8), shape) for label in (f"s{index}", name)}
        attributes: dict[str, Attribute] = {
            "strides": [stride[index]] * 2, "dilations": [1, 1], "pads": [pad, pad], "group": 1,
            "x_zero_point": 3 if index else 9, "y_zero_point": 3,
        }  # fmt: skip
        read = f"y{index - 1}" if index else "x"
        rescale = Rescale((1 << 30,), (30,))
        nodes.append(Node(f"s{index}", "conv", (read, f"w{index}", f"b{index}"), f"s{index}", attributes, (rescale,)))
        nodes.append(Node(name, "clip", (f"s{index}",), name, {"low": 2, "high": 4}))
    flat = int(np.prod(shape))
    weight = signs(rng, flat, 11)
    tensors |= {"flat": Tensor("flat", np.dtype(np.uint8), (1, flat)), "z": Tensor("z", np.dtype(np.uint8), (1, 11))}
    tensors["wz"] = Tensor("wz", weight.dtype, weight.shape, data=weight)
    nodes.append(Node("flat", "reshape", ("y2",), "flat"))
    zeros: dict[str, Attribute] = {"a_zero_point": 3, "b_zero_point": 0, "y_zero_point": 100}
    nodes.append(Node("z", "matmul", ("flat", "wz"), "z", zeros, (Rescale((1 << 30,), (33,)),)))
    network = Network(tensors, nodes, ["x"], ["z"], {})
    picture = rng.integers(0, 256, tensors["x"].shape).astype(np.uint8)
    return network, {"x": picture}


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
@pytest.mark.parametrize("seed", range(4))
def test_every_bit_of_networks_of_odd_sizes(seed: int, tmp_path: Path) -> None:
    network, given = random_network(seed)
    data, blob = table_of(network, "digest", "m.bin")
    (tmp_path / "m.bin").write_bytes(blob)
    (tmp_path / "m.json").write_text(dumps(data))
    values = READER.run(READER.load(tmp_path / "m.json"), given)
    made = by_bits(network)
    assert [node.op for node in made.nodes if node.op.startswith("xnor")] == ["xnor_conv", "xnor_conv", "xnor_matmul"]
    flags = ("-O1 -fsanitize=undefined -fno-sanitize-recover=all", "-O1 -DMODEL_PORTABLE")[seed % 2]
    for name, text in write_sources(network, "digest", [Sample(values)]).files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["make", "-C", str(tmp_path), "check", f"CFLAGS={flags} -Werror"], capture_output=True, text=True, check=False
    )
    assert "1 samples, 0 differences" in done.stdout, done.stdout + done.stderr


_COUNTS = """
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    enum { WORDS = 70, COLUMNS = 24 };
    static uint64_t row[WORDS], met[WORDS], w[WORDS * COLUMNS];
    int32_t right[COLUMNS], found[COLUMNS];
    for (int i = 0; i < WORDS * COLUMNS; i++)
        w[i] = i % 5 ? (uint64_t)rand() << 40 ^ (uint64_t)rand() << 20 ^ (uint64_t)rand() : 0;
    for (int i = 0; i < WORDS; i++) row[i] = i % 7 ? w[i * 3 + 1] : ~w[i * 8], met[i] = w[i * 5 + 2];
    for (int masked = 0; masked < 2; masked++) {
        counts_of_any(row, masked ? met : 0, w, WORDS, COLUMNS, right);
#ifdef MODEL_X86
        if (__builtin_cpu_supports("avx2")) {
            counts_of_avx2(row, masked ? met : 0, w, WORDS, COLUMNS, found);
            for (int n = 0; n < COLUMNS; n++) if (found[n] != right[n]) return 1;
        }
        if (__builtin_cpu_supports("avx512vpopcntdq")) {
            counts_of_avx512(row, masked ? met : 0, w, WORDS, COLUMNS, found);
            for (int n = 0; n < COLUMNS; n++) if (found[n] != right[n]) return 2;
        }
#endif
        for (int n = 0; n < COLUMNS; n++) printf("%d ", right[n]);
    }
    return 0;
}
"""


@pytest.mark.skipif(COMPILER is None, reason="no C compiler here")
def test_all_ways_to_count_agree(tmp_path: Path) -> None:
    """Those that this processor has."""
    (tmp_path / "t.c").write_text("#include <stdint.h>\n" + bit_kernels.HEAD + bit_kernels.COUNTS + _COUNTS)
    subprocess.run([str(COMPILER), "-O1", "-o", "t", "t.c"], cwd=tmp_path, check=True)
    done = subprocess.run(["./t"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    counts = [int(word) for word in done.stdout.split()]
    assert len(counts) == 48 and all(low <= high for low, high in zip(counts[24:], counts[:24], strict=True))
