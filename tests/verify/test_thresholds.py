from __future__ import annotations

import math

import pytest

from qconv.errors import UsageError
from qconv.verify.measure.classes import Accuracy, ClassAgreement
from qconv.verify.measure.compare import OutputReport
from qconv.verify.measure.metrics import Similarity
from qconv.verify.report.thresholds import Thresholds


def output(name: str, sqnr: float, agreement: float | None = None) -> OutputReport:
    classes = None if agreement is None else ClassAgreement(1, 10, "", 100, agreement, 1.0)
    return OutputReport(name, Similarity(sqnr, 1.0, 0.1, 10), classes)


ACCURACY = Accuracy("scores", 100, 0.875, 0.75, 1.0, 1.0)


def test_no_demand_is_always_met() -> None:
    verdict = Thresholds().judge([output("scores", -3.0, 0.0)], ACCURACY)
    assert verdict.passed
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("sqnr", "passed"), [(29.99, False), (30.0, True), (math.inf, True), (-math.inf, False), (math.nan, False)]
)
def test_sqnr(sqnr: float, passed: bool) -> None:
    assert Thresholds(min_sqnr=30.0).judge([output("y", 50.0), output("z", sqnr)], None).passed == passed


def test_every_output_below_is_named() -> None:
    reasons = Thresholds(min_sqnr=30.0).judge([output("y", 20.0), output("z", 10.0), output("fine", 40.0)], None).reasons
    assert [reason.split()[1] for reason in reasons] == ["y", "z"]
    assert "20.00 dB" in reasons[0]
    assert "30 dB" in reasons[0]


@pytest.mark.parametrize(("agreement", "passed"), [(0.99, True), (0.9899, False)])
def test_agreement(agreement: float, passed: bool) -> None:
    assert Thresholds(min_agreement=0.99).judge([output("boxes", 9.0), output("y", 9.0, agreement)], None).passed == passed


def test_agreement_without_class_scores_is_not_met() -> None:
    verdict = Thresholds(min_agreement=0.0).judge([output("boxes", 50.0)], None)
    assert not verdict.passed
    assert "no output has the form of class scores" in verdict.reasons[0]


@pytest.mark.parametrize(("drop", "passed"), [(0.125, True), (0.1249, False), (1.0, True)])
def test_drop(drop: float, passed: bool) -> None:
    assert Thresholds(max_drop=drop).judge([], ACCURACY).passed == passed


def test_gain_is_no_drop() -> None:
    assert Thresholds(max_drop=0.0).judge([], Accuracy("y", 10, 0.5, 0.75, None, None)).passed


def test_drop_without_labels_is_not_met() -> None:
    verdict = Thresholds(max_drop=0.5).judge([], None)
    assert not verdict.passed
    assert "--labels" in verdict.reasons[0]


def test_reasons_of_all_kinds_add_up() -> None:
    verdict = Thresholds(30.0, 0.9, 0.01).judge([output("y", 10.0, 0.5)], ACCURACY)
    assert len(verdict.reasons) == 3


@pytest.mark.parametrize("share", [-0.01, 1.01, 99.0])
def test_percent_in_place_of_a_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="--min-agreement"):
        Thresholds(min_agreement=share)
    with pytest.raises(UsageError, match="--max-drop"):
        Thresholds(max_drop=share)
