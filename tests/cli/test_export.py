"""`qconv export`: files that appear whole, and sentences where they cannot."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from qconv.cli.main import run
from tests.cli.test_errors import refused
from tests.export.reader import READER
from tests.export.test_network import COMPILER


@pytest.fixture
def integer(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["quantize", "m.onnx", "--data", "d.npz"]) == 0
    capsys.readouterr()
    return "m.int8.onnx"


def test_a_table_and_its_bytes(integer: str, folder: Path) -> None:
    assert run(["export", integer, "--to", "json"]) == 0
    table = json.loads(Path("m.int8.table.json").read_text())
    assert table["data"] == "m.int8.table.bin"
    assert Path("m.int8.table.bin").stat().st_size == max(
        t["offset"] + t["bytes"] for t in table["tensors"].values() if "offset" in t
    )


def test_vectors_are_what_the_table_computes(integer: str, folder: Path) -> None:
    assert run(["export", integer, "--to", "json"]) == 0
    assert run(["export", integer, "--to", "vectors", "--data", "d.npz", "--samples", "2", "--all-tensors"]) == 0
    table = READER.load("m.int8.table.json")
    for index in range(2):
        given = np.load(f"m.int8.vectors/sample{index}.npz")
        values = READER.run(table, {entry["tensor"]: given[entry["tensor"]] for entry in table["inputs"]})
        assert all(np.array_equal(values[name], given[name]) for name in given.files)
    assert not Path("m.int8.vectors/sample2.npz").exists()


def test_memories_have_their_widths(integer: str, folder: Path) -> None:
    assert run(["export", integer, "--to", "memh", "-o", "rom"]) == 0
    header = Path("rom/network.vh").read_text()
    words = [path for path in Path("rom").iterdir() if path.suffix == ".hex"]
    assert words
    assert header.count("_DEPTH ") == len(words)


def test_c_is_built_and_says_whether_it_fits(integer: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", integer, "--to", "c", "-o", "out", "--flash", "1m", "--ram", "1m"]) == 0
    assert "fits: " in capsys.readouterr().out
    assert run(["export", integer, "--to", "c", "-o", "out", "--flash", "16", "--ram", "1m"]) == 8
    assert "does not fit: " in capsys.readouterr().err
    if COMPILER is not None:
        done = subprocess.run(["make", "-s", "check"], cwd="out", capture_output=True, text=True, check=False)
        assert done.stdout.strip().splitlines()[-1] == "4 samples, 0 differences"


@pytest.mark.parametrize(
    ("code", "words", "arguments"),
    [
        (3, "was not made by qconv", ["m.onnx", "--to", "json"]),
        (2, "--flash and --ram are for --to c", ["m.int8.onnx", "--to", "json", "--ram", "4k"]),
        (2, "512k or 1m, not many", ["m.int8.onnx", "--to", "c", "--flash", "many"]),
        (2, "leave out --data", ["m.int8.onnx", "--to", "json", "--data", "d.npz"]),
        (2, "--name is for --to c", ["m.int8.onnx", "--to", "json", "--name", "left"]),
        (2, "begins with a letter: '2nd' does not", ["m.int8.onnx", "--to", "c", "--name", "2nd"]),
        (2, "is a file", ["m.int8.onnx", "--to", "c", "-o", "d.npz"]),
        (7, "would overwrite", ["m.int8.onnx", "--to", "json", "-o", "m.int8.onnx"]),
        (4, "nothing.npz", ["m.int8.onnx", "--to", "vectors", "--data", "nothing.npz"]),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    code: int, words: str, arguments: list[str], integer: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, code, "export", *arguments)


def test_float_nodes_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz", "--exclude", "Conv"]) == 0
    capsys.readouterr()
    assert "is in float" in refused(capsys, 6, "export", "m.int8.onnx", "--to", "json")


@pytest.mark.parametrize("how", [("--target", "portable"), ("--mode", "dynamic")])
@pytest.mark.parametrize("form", ["json", "c", "qdq"])
def test_models_of_other_operators_are_refused(
    folder: Path, how: tuple[str, str], form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["quantize", "m.onnx", "--data", "d.npz", *how]) == 0
    assert " ".join(how) in refused(capsys, 3, "export", "m.int8.onnx", "--to", form)


def test_free_sizes_that_become_one_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = "g (float[N,3,h,w] x) => (float[N,3,h,w] y) { y = Sigmoid(x) }"
    onnx.save(parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}'), folder / "free.onnx")
    np.savez(folder / "free.npz", x=np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32))
    assert run(["quantize", "free.onnx", "--data", "free.npz"]) == 0
    assert run(["export", "free.int8.onnx", "--to", "json"]) == 0
    assert "the free sizes h, w are taken as 1" in capsys.readouterr().err
