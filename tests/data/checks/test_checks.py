from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qconv.data.checks.check import Check
from qconv.data.checks.constant import Constant
from qconv.data.checks.few import FEWEST, Few
from qconv.data.checks.identical import Identical
from qconv.data.checks.watched import Watched
from qconv.data.source import Sample, known_length
from qconv.statistics.constant_tensors import constant_tensors
from tests.networks import Listed, pictures


def findings(check: Check, arrays: list[NDArray[np.float32]]) -> list[str]:
    for _ in (watched := Watched(Listed(arrays), (check,))):
        pass
    return watched.findings()


@pytest.mark.parametrize("check", [Constant(), Identical(), Few()])
def test_good_samples_give_no_warning(check: Check) -> None:
    assert findings(check, pictures(FEWEST)) == []


def test_constant_sample_set() -> None:
    (found,) = findings(Constant(), [np.full((1, 3, 4, 4), 7, np.float32)] * 5)
    assert found == "input x is 7 in every element of all 5 samples; check how they were written"


def test_blank_samples_among_others() -> None:
    (found,) = findings(Constant(), [*pictures(3), np.zeros((1, 3, 8, 8), np.float32)])
    assert found == "input x is blank (all elements equal) in 1 of 4 samples"


def said_of(*feeds: Mapping[str, NDArray[Any]]) -> list[str]:
    check = Constant()
    for index, arrays in enumerate(feeds):
        check.see(Sample(arrays, None, str(index)))
    return check.findings()


def test_masks_and_first_states_may_be_constant_beside_other_inputs() -> None:
    words, mask = np.arange(8), np.ones(8, np.int64)
    state, later = np.zeros(4, np.float32), np.arange(4, dtype=np.float32)
    assert said_of({"words": words, "mask": mask, "state": state}, {"words": words + 1, "mask": mask, "state": later}) == []


def test_a_state_that_is_never_carried_on() -> None:
    words, state = np.arange(8), np.zeros(4, np.float32)
    (found,) = said_of({"words": words, "state": state}, {"words": words + 1, "state": state})
    assert found.startswith("input state is 0 in every element of all 2 samples")


def test_several_blank_inputs() -> None:
    zeros, ones = {"a": np.zeros(4, np.int64), "b": np.zeros(4, np.int64)}, {"a": np.ones(4, np.int64), "b": np.arange(4)}
    assert said_of(zeros, ones) == ["all inputs are blank (all elements equal) in 1 of 2 samples"]
    assert len(said_of(zeros, zeros)) == 2


def test_scalar_inputs_may_be_constant() -> None:
    assert findings(Constant(), [np.ones((1,), np.float32)] * 3) == []


def test_identical_samples() -> None:
    (found,) = findings(Identical(), [pictures(1)[0]] * 4)
    assert found == "all 4 samples are identical; give samples that differ"


def test_repeated_samples_are_named() -> None:
    first, second, third = pictures(3)
    (found,) = findings(Identical(), [first, second, third, second.copy(), first])
    assert found == "2 of 5 samples repeat earlier ones, the first listed[3], which equals listed[1]"


def test_damaged_data_are_hashed_without_a_word() -> None:
    assert findings(Identical(), [np.full(9, 3e38, np.float32), np.full(9, 2e38, np.float32)]) == []


def test_arrays_that_are_not_contiguous_or_empty_are_hashed_too() -> None:
    array = pictures(1)[0]
    turned = np.ascontiguousarray(array.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    (found,) = findings(Identical(), [array, turned, np.empty((0, 3), np.float32), pictures(2)[1]])
    assert found.startswith("1 of 4 samples repeat earlier ones")


def test_a_single_sample_is_few_but_no_copy() -> None:
    assert findings(Identical(), pictures(1)) == []
    assert findings(Few(), pictures(1)) == ["1 sample is far too few for ranges to rely on; give about 100"]


def test_few_counts_the_rows_of_batches() -> None:
    assert findings(Few(), [np.zeros((FEWEST // 2, 3), np.float32)] * 2) == []
    (found,) = findings(Few(), [np.zeros((FEWEST // 2 - 1, 3), np.float32)] * 2)
    assert found.startswith(f"{FEWEST - 2} samples are far too few")


def test_still_tensors() -> None:
    assert constant_tensors({"a": (0.0, 1.0), "b": (-1.0, -0.5)}) == []
    (one,) = constant_tensors({"a": (0.0, 1.0), "b": (0.0, 0.0)})
    assert one.startswith("b (always 0) never moves")
    (many,) = constant_tensors({f"t{i}": (2.5, 2.5) for i in range(5)})
    assert many.startswith("t0 (always 2.5), t1 (always 2.5), t2 (always 2.5) and 2 more never move:")


class Endless:
    """A source of unknown length."""

    description = "endless"
    warning = "beware"

    def __iter__(self) -> Iterator[Sample]:
        return iter(Listed(pictures(3)))


def test_watching_changes_nothing_about_a_source() -> None:
    watched = Watched(Endless(), ())
    assert known_length(watched) is None
    assert (watched.description, watched.warning) == ("endless", "beware")
    assert known_length(Watched(Listed(pictures(3)), ())) == 3
    assert [sample.name for sample in watched] == ["listed[0]", "listed[1]", "listed[2]"]


def test_large_samples_that_differ_in_one_element_are_not_copies() -> None:
    first = np.zeros((1, 3, 200, 200), np.float32)
    second = first.copy()
    second[0, 0, 0, 1] = 1.0  # not among the evenly spaced elements
    assert findings(Identical(), [first, second]) == []
    assert len(findings(Identical(), [first, second, second.copy()])) == 1
