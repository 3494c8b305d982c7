"""Samples as programs have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from qconv.data.given import GivenSource
from qconv.data.source import InputInfo
from qconv.errors import DataError

X = InputInfo("x", np.dtype(np.float32), (None, 3))
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


class Tensor:
    """What qconv knows of a tensor of PyTorch."""

    shape = (4, 3)

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> np.ndarray:
        return ROWS


def batches() -> Iterator[Any]:
    yield ROWS[:2], np.array([7, 8])
    yield [ROWS[2:], np.array([9, 9])]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ROWS,
        lambda: {"x": ROWS},
        lambda: list(ROWS),
        lambda: ROWS.tolist(),
        lambda: iter([ROWS[:3], {"x": ROWS[3]}]),
        lambda: (row for row in ROWS),
        lambda: lambda: (row for row in ROWS),
        batches,
        Tensor,
        lambda: [Tensor()],
    ],
)
def test_every_pass_gives_the_same_rows(make: Callable[[], Any]) -> None:
    source = GivenSource(make(), [X])
    for _ in range(2):
        samples = list(source)
        np.testing.assert_array_equal(np.concatenate([sample.feeds["x"] for sample in samples]), ROWS)
        assert [sample.name for sample in samples] == [f"sample[{number}]" for number in range(4)]


def test_classes_come_along() -> None:
    assert [sample.label for sample in GivenSource(batches(), [X])] == [7, 8, 9, 9]
    assert [sample.label for sample in GivenSource({"x": ROWS, "labels": np.arange(4)}, [X])] == [0, 1, 2, 3]


def test_a_generator_is_asked_for_no_more_than_is_used() -> None:
    def endless() -> Iterator[np.ndarray]:
        while True:
            yield ROWS[0]

    source = GivenSource(endless(), [X])
    assert len([sample for _, sample in zip(range(3), source, strict=False)]) == 3


@pytest.mark.parametrize(
    ("data", "reason"), [(3, "samples cannot be taken from int"), ([[1.0, 2.0]], r"item 0 of the samples has shape \(2\)")]
)
def test_other_things_are_refused(data: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        list(GivenSource(data, [X]))
