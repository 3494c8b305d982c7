from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from qconv.errors import ModelError
from qconv.integer.execution.compare import Judge, Mismatch
from qconv.verify import Effort, verify
from qconv.verify.exact import exactness as module
from qconv.verify.exact.exactness import exactness
from qconv.verify.measure.metrics import Array
from qconv.verify.measure.sides import Side
from tests.verify.twins import INTEGER, samples, twins


class OtherJudge:
    """Finds one tensor wrong in every sample, and another in the first."""

    compared = ("a", "b", "c")
    work = 100

    def __init__(self, model: object, program: object) -> None:
        self._count = 0

    def mismatches(self, feeds: Mapping[str, Array]) -> list[Mismatch]:
        self._count += 1
        every = [Mismatch("a", "conv", 2 * self._count, 10, float(self._count))]
        return [*every, Mismatch("b", "add", 30, 30, 1.0)] if self._count == 1 else every


def test_equal_networks(tmp_path: Path) -> None:
    models = twins(tmp_path)
    found = exactness(models.integer, models.program, Side(models.integer_path, models.program), samples(2))
    assert found.equal
    assert (found.samples, found.tensors, found.mismatches) == (2, 5, ())


def test_differences_add_up_in_order_of_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = twins(tmp_path)
    monkeypatch.setattr(module, "Judge", OtherJudge)
    found = exactness(
        models.integer,
        models.program,
        Side(models.integer_path, models.program),
        samples(3),
        budget=1000,
    )
    assert not found.equal
    assert found.reasons == ("onnxruntime differs from exact integer arithmetic in 2 of 3 tensors, first in a of node conv",)
    assert found.mismatches == (Mismatch("a", "conv", 12, 30, 3.0), Mismatch("b", "add", 30, 30, 1.0))
    assert (found.samples, found.tensors) == (3, 3)


def test_what_the_executor_cannot_do_is_a_problem_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, feeds: object) -> list[Mismatch]:
        raise ModelError("node 'x' is outside")

    models = twins(tmp_path, INTEGER)
    monkeypatch.setattr(Judge, "mismatches", refuse)
    found = exactness(models.integer, models.program, Side(models.integer_path, models.program), samples(1))
    assert not found.equal
    assert found.problem == "node 'x' is outside"
    assert found.reasons == ("onnxruntime could not be compared with exact integer arithmetic: node 'x' is outside",)


@pytest.mark.parametrize(("budget", "given", "compared"), [(0, 9, 2), (299, 9, 2), (300, 9, 3), (10_000, 9, 9), (10_000, 1, 1)])
def test_two_samples_and_more_within_a_budget_of_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int, given: int, compared: int
) -> None:
    models = twins(tmp_path)
    monkeypatch.setattr(module, "Judge", OtherJudge)
    found = exactness(
        models.integer,
        models.program,
        Side(models.integer_path, models.program),
        samples(given),
        budget,
    )
    assert found.samples == compared


@pytest.mark.parametrize("fault", ["differs from", "could not be compared with"])
def test_faults_fail_whatever_is_demanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def refuse(self: object, feeds: object) -> list[Mismatch]:
        raise ModelError("a node is outside")

    models = twins(tmp_path)
    if fault == "differs from":
        monkeypatch.setattr(module, "Judge", OtherJudge)
    else:
        monkeypatch.setattr(Judge, "mismatches", refuse)
    verdict = verify(models, samples(2), effort=Effort(1, exact_samples=2, exact_elements=0, latency_seconds=0.0)).verdict
    assert not verdict.passed
    assert fault in verdict.reasons[0]
