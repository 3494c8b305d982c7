"""The executor against onnxruntime on whole graphs: equal where it should be, and not where a graph is made to differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from qconv.errors import ModelError
from qconv.integer.execution import executor, exposed, kernels
from qconv.integer.execution.arrays import Array, Operands
from qconv.integer.execution.compare import Judge, mismatches
from qconv.integer.step import Step
from qconv.model import stages
from qconv.model.stages import run_session
from tests.integer.graphs import ISLAND, QUANTIZED, graph, sample


@pytest.mark.parametrize("text", [QUANTIZED, ISLAND])
def test_equal_on_every_tensor(text: str) -> None:
    judge = Judge(graph(text))
    for seed in range(5):
        assert judge.mismatches(sample(seed)) == []


@pytest.mark.parametrize("text", [QUANTIZED, ISLAND])
def test_pieces_of_one_tensor_are_each_made_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def counted(session: ort.InferenceSession, names: Sequence[str], values: Mapping[str, Array], what: str) -> dict[str, Array]:
        runs.extend(names)
        return run_session(session, names, values, what)

    monkeypatch.setattr(stages, "run_session", counted)
    monkeypatch.setattr(exposed, "pieces", lambda values: ([value] for value in values))
    judge = Judge(graph(text))
    assert judge.mismatches(sample()) == [] == judge.mismatches(sample(1))
    assert runs == 2 * [value.name for node in graph(text).graph for value in node.outputs]


def test_what_is_compared() -> None:
    assert Judge(graph()).compared == ("x_quantized", "c_quantized", "r_quantized", "y_quantized", "y")
    assert "r" not in Judge(graph(ISLAND)).compared


def test_reals_that_are_only_moved_from_a_float_island_are_not_compared() -> None:
    text = ISLAND.replace(
        "[enter] r_quantized = QuantizeLinear (r,", "[move] m = Identity (r) [enter] r_quantized = QuantizeLinear (m,"
    )
    assert Judge(graph(text)).compared == ("x_quantized", "c_quantized", "c", "r_quantized", "y_quantized", "y")


def test_a_difference_is_found_where_it_arises(monkeypatch: pytest.MonkeyPatch) -> None:
    """One code of the convolution is made 3 too low: above the Clip's bound it passes on to what follows."""
    compute = kernels.compute

    def disturbed(step: Step, inputs: Operands) -> list[Array]:
        outputs = compute(step, inputs)
        if step.name == "conv":
            outputs[0].reshape(-1)[np.argmax(outputs[0])] -= 3
        return outputs

    monkeypatch.setattr(executor, "compute", disturbed)
    found = mismatches(graph(), sample())
    assert [(item.tensor, item.node) for item in found[:2]] == [("c_quantized", "conv"), ("r_quantized", "clip")]
    assert (found[0].differing, found[0].total, found[0].max_difference) == (1, 72, 3.0)


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(ModelError, match="onnxruntime cannot run the integer graph"):
        mismatches(graph(), {"x": np.zeros((1, 3, 6, 6), np.float32)})


def test_a_real_network(zoo: Path) -> None:
    model = ir.load(zoo / "qdq" / "micro_kws_m_static_qoperator.onnx")
    x = np.random.default_rng(0).normal(0, 1, (1, 1960)).astype(np.float32)
    judge = Judge(model)
    assert judge.mismatches({"serving_default_input:0": x}) == []
    assert len(judge.compared) == 20
