from __future__ import annotations

import math

import numpy as np
import pytest

from qconv.verify.measure.classes import AccuracyMeter, AgreementMeter, ClassAxis, class_axis, ranking

IMAGE = [(1, 3, 8, 8)]
TEN = ClassAxis(1, 10, "")


def row(best: int, classes: int = 10) -> np.ndarray:
    """Scores where `best` wins, and the others fall with their number."""
    scores = -np.arange(classes, dtype=np.float32)
    scores[best] = 1.0
    return scores[None]


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((1, 10), 1), ((4, 10), 1), ((1, 10, 1, 1), 1), ((10,), 0), ((1, 1), None), ((1,), None), ((1, 10, 2, 2), None), ((), None)],
)
def test_rank_decides(shape: tuple[int, ...], axis: int | None) -> None:
    found = class_axis(np.ones(shape, np.float32), IMAGE)
    assert (found.axis if found else None) == axis
    assert found is None or found.classes == shape[found.axis]


def test_reconstruction_of_the_input_is_no_classification() -> None:
    scores = np.ones((1, 640), np.float32)
    assert class_axis(scores, [(1, 640)]) is None
    assert class_axis(scores, [(1, 639)]) is not None


def test_integers_are_no_scores() -> None:
    assert class_axis(np.ones((1, 10), np.int64), IMAGE) is None


def test_probabilities_of_higher_rank_are_scores() -> None:
    scores = np.random.default_rng(0).random((1, 50, 2)).astype(np.float32)
    assert class_axis(scores, IMAGE) is None
    found = class_axis(scores / scores.sum(-1, keepdims=True), IMAGE)
    assert found == ClassAxis(2, 2, "values along axis 2 sum to 1")
    pixels = np.moveaxis(scores / scores.sum(-1, keepdims=True), -1, 1)[..., None] * np.ones(3, np.float32)
    found = class_axis(pixels, IMAGE)
    assert found == ClassAxis(1, 2, "values along axis 1 sum to 1")


def test_negative_values_are_no_probabilities() -> None:
    scores = np.full((1, 5, 2), [-1.0, 2.0], np.float32)
    assert class_axis(scores, IMAGE) is None


@pytest.mark.parametrize("classes", [3, 10, 64, 65, 1000])
def test_ranking_is_that_of_a_stable_sort(classes: int) -> None:
    scores = np.random.default_rng(classes).integers(0, 20, (6, classes)).astype(np.float32)  # with ties
    expected = [sorted(range(classes), key=lambda c: (-line[c], c))[:5] for line in scores.tolist()]
    assert ranking(scores, 1).tolist() == expected


def test_ranking_along_another_axis() -> None:
    scores = np.zeros((1, 3, 2), np.float32)
    scores[0, 2, 0] = scores[0, 1, 1] = 1.0
    assert ranking(scores, 1)[:, 0].tolist() == [2, 1]


def test_agreement_counts() -> None:
    meter = AgreementMeter(TEN)
    meter.add(row(3), row(3))
    meter.add(row(2), row(7))  # 7, 0, 1, 2, 3: the float model's class is fourth
    meter.add(row(8), row(7))  # 7, 0, 1, 2, 3: it is not there
    meter.add(row(1), row(1))
    found = meter.result()
    assert (found.decisions, found.top1, found.top5) == (4, 0.5, 0.75)


@pytest.mark.parametrize("logits", [False, True])
def test_a_class_that_changes_costs_what_the_float_model_is_surer_of_it(logits: bool) -> None:
    meter, shares = AgreementMeter(ClassAxis(1, 3, "")), np.asarray([[0.5, 0.3, 0.2]])
    given = np.log(shares) + 7.0 if logits else shares
    meter.add(given, np.asarray([[0.4, 0.5, 0.1]]))  # the second class comes first: .5 - .3 of a right answer
    meter.add(given, given)
    found = meter.result()
    assert found.loss == pytest.approx(0.1)
    assert found.loss_error == pytest.approx(0.1 / math.sqrt(2))


def test_five_classes_have_no_top5() -> None:
    meter = AgreementMeter(ClassAxis(1, 5, ""))
    meter.add(row(0, 5), row(0, 5))
    assert meter.result().top5 is None


def test_accuracy_counts_both_models() -> None:
    meter = AccuracyMeter("logits", TEN)
    meter.add(row(3), row(3), 3)
    meter.add(row(3), row(4), 3)
    meter.add(row(3), row(9), 9)
    meter.add(row(0), row(0), 9)
    found = meter.result()
    assert found is not None
    assert (found.output, found.samples) == ("logits", 4)
    assert (found.float_top1, found.integer_top1) == (0.5, 0.5)
    assert (found.float_top5, found.integer_top5) == (0.5, 0.75)
    assert found.drop == 0.0


def test_one_label_cannot_judge_several_rows() -> None:
    meter = AccuracyMeter("logits", TEN)
    meter.add(np.concatenate([row(1), row(2)]), np.concatenate([row(1), row(2)]), 1)
    assert meter.result() is None
