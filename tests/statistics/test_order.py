from __future__ import annotations

from qconv.statistics.order import in_order


def test_numbers_count_as_numbers() -> None:
    names = ["conv10", "conv2", "conv2/b", "conv1", "", "7", "a" + "9" * 5000]
    assert in_order(names) == ["", "7", "a" + "9" * 5000, "conv1", "conv2", "conv2/b", "conv10"]


def test_an_order_that_is_known_goes_first() -> None:
    assert in_order(["a1", "b", "a10", "c"], ["c", "absent", "b"]) == ["c", "b", "a1", "a10"]
