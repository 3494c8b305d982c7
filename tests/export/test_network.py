"""A network by its table alone, and in C, gives the codes of the integer model, operator by operator."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from qconv.errors import FloatNodesError
from qconv.export.c.source import write_sources
from qconv.export.c.vectors import Sample
from qconv.export.network import Network
from qconv.export.table import dumps, table_of
from qconv.export.trace import network_of
from qconv.integer.execution.executor import Executor
from qconv.integer.program import Program
from tests.export.reader import DOCS, READER
from tests.lower.harness import normal, quantize_graph
from tests.lower.test_ops import CASES, Case

Array = NDArray[Any]
COMPILER = shutil.which("cc") or shutil.which("gcc")
# What has no form outside onnxruntime yet.
NOT_IN_TABLES: dict[str, str] = {}
# Undefined behaviour ends the test; the checks of addresses would need a library that not every machine has.
FLAGS = "-O1 -fsanitize=undefined -fno-sanitize-recover=all"


SCHEMA = json.loads((DOCS / "table.schema.json").read_text(encoding="utf-8"))


def model_of(case: Case, folder: Path) -> ir.Model:
    feeds = [{name: normal(*shape, seed=10 * i + j) for j, (name, shape) in enumerate(case.shapes.items())} for i in range(3)]
    return quantize_graph(folder, case.text, case.weights, feeds).quantized.model


def runs(model: ir.Model, count: int) -> list[dict[str, Array]]:
    """All tensors of the integer model for random inputs."""
    found = []
    for seed in range(count):
        feeds = {}
        for value in model.graph.inputs:
            assert value.shape is not None
            shape = tuple(size if isinstance(size, int) else 1 for size in value.shape)
            feeds[str(value.name)] = normal(*shape, seed=100 + seed) * np.float32(1.5)
        found.append(Executor(Program.read(model)).run(feeds))
    return found


def by_table(network: Network, folder: Path, given: Mapping[str, Array]) -> dict[str, Array]:
    data, blob = table_of(network, "digest", "m.table.bin")
    jsonschema.validate(json.loads(dumps(data)), SCHEMA)
    (folder / "m.table.bin").write_bytes(blob)
    (folder / "m.table.json").write_text(dumps(data), encoding="utf-8")
    table = READER.load(folder / "m.table.json")
    values: dict[str, Array] = READER.run(table, {name: given[name] for name in network.inputs})
    return values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_table_alone_gives_every_code(case: Case, tmp_path: Path) -> None:
    model = model_of(case, tmp_path)
    if case.name in NOT_IN_TABLES:
        with pytest.raises(FloatNodesError, match=NOT_IN_TABLES[case.name]):
            network_of(model)
        return
    network = network_of(model)
    for expected in runs(model, 2):
        found = by_table(network, tmp_path, expected)
        compared = [node.output for node in network.nodes if node.output in expected]
        assert set(network.outputs) <= set(found)
        for name in compared:
            assert found[name].dtype == expected[name].dtype
            assert np.array_equal(found[name], expected[name]), name


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize("case", [case for case in CASES if case.name not in NOT_IN_TABLES], ids=lambda case: case.name)
def test_c_gives_every_code_and_has_no_undefined_behaviour(case: Case, tmp_path: Path) -> None:
    model = model_of(case, tmp_path)
    samples = [Sample(values) for values in runs(model, 2)]
    network = network_of(model)
    sources = write_sources(network, "digest", samples)
    for name, text in sources.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    built = subprocess.run(
        ["make", "-s", "test", f"CFLAGS={FLAGS} -Werror"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run(["./test"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 samples, 0 differences"), done.stdout + done.stderr
    kernels = sources.files["model.c"] + sources.files["weights.c"]
    assert not {"float", "double", "malloc", "math.h"} & set(kernels.replace("(", " ").replace("*", " ").split())


def test_a_test_in_c_sees_a_wrong_code(tmp_path: Path) -> None:
    if COMPILER is None:
        pytest.skip("no C compiler")
    (case,) = (case for case in CASES if case.name == "Gemm")
    model = model_of(case, tmp_path)
    network, (values,) = network_of(model), runs(model, 1)
    wrong = dict(values)
    wrong[network.nodes[-1].output] = values[network.nodes[-1].output] ^ 1
    for name, text in write_sources(network, "digest", [Sample(wrong)]).files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(["make", "-s", "check"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"({network.nodes[-1].name}) differs" in done.stdout
