from __future__ import annotations

from collections.abc import Mapping

import pytest

from qconv.ranges.search.search import MEASUREMENTS, search_ranges

Range = tuple[float, float]
NONE: Mapping[str, str] = {}
CANDIDATES = {
    name: {"minmax": (-9.0, 9.0), "mse": (-5.0, 5.0), "aciq": (-2.0, 2.0), "percentile": (-5.0, 5.0)} for name in ("a", "b", "c")
}
BEST = {"a": 2.0, "b": 5.0, "c": 9.0}


def distance(ranges: Mapping[str, Range]) -> float:
    """From what is best, in [0, 1]."""
    return sum(abs(ranges[name][1] - best) for name, best in BEST.items()) / 100


def guess(method: str) -> dict[str, str]:
    return dict.fromkeys(CANDIDATES, method)


def test_each_tensor_gets_its_own_best() -> None:
    found = search_ranges(CANDIDATES, guess("mse"), distance, 6)
    assert {name: choice.range for name, choice in found.items()} == {"a": (-2.0, 2.0), "b": (-5.0, 5.0), "c": (-9.0, 9.0)}
    assert found["a"].method == "aciq" and found["c"].method == "minmax"


def test_the_guess_is_a_place_to_begin() -> None:
    """Every single change away from one method for all is worse; only the guess has the pair that is right together."""

    def noise(ranges: Mapping[str, Range]) -> float:
        pair = (ranges["a"][1], ranges["b"][1])
        return {(9.0, 9.0): 0.3, (2.0, 5.0): 0.1}.get(pair, 0.9)

    start = {"a": "aciq", "b": "mse", "c": "minmax"}
    assert {n: c.method for n, c in search_ranges(CANDIDATES, start, noise, 4).items()} == start
    assert {c.method for c in search_ranges(CANDIDATES, guess("minmax"), noise, 4).values()} == {"minmax"}


def test_min_max_stands_where_there_is_little_to_gain() -> None:
    assert {c.method for c in search_ranges(CANDIDATES, guess("aciq"), lambda r: distance(r) / 30, 4).values()} == {"minmax"}


@pytest.mark.parametrize(("bits", "stands"), [(8, True), (7, False), (6, False), (4, False)])
def test_at_8_bits_the_noise_must_halve(bits: int, stands: bool) -> None:
    def noise(ranges: Mapping[str, Range]) -> float:
        return 0.1 if all(r == (-9.0, 9.0) for r in ranges.values()) else 0.06

    methods = {choice.method for choice in search_ranges(CANDIDATES, guess("aciq"), noise, bits).values()}
    assert (methods == {"minmax"}) == stands


def test_the_number_of_measurements_is_bounded() -> None:
    many = {f"t{index}": CANDIDATES["a"] for index in range(500)}
    count = 0

    def noise(ranges: Mapping[str, Range]) -> float:
        nonlocal count
        count += 1
        return 1 / (1 + count)

    told: list[tuple[int, int | None]] = []
    found = search_ranges(many, dict.fromkeys(many, "mse"), noise, 4, (), lambda done, total: told.append((done, total)))
    assert set(found) == set(many)
    assert count <= MEASUREMENTS
    assert told == [(done, MEASUREMENTS) for done in range(1, count + 1)]


def test_tensors_of_one_candidate() -> None:
    only = {"a": {"minmax": (0.0, 0.0)}}
    assert search_ranges(only, {"a": "minmax"}, lambda r: 0.5, 4)["a"].range == (0.0, 0.0)


@pytest.mark.parametrize(("share", "changes"), [(0.8, False), (0.5, True)])
def test_what_a_user_reads_is_clipped_only_where_it_helps_much(share: float, changes: bool) -> None:
    def noise(ranges: Mapping[str, Range]) -> float:
        return 0.2 * (share if ranges["a"][1] == 2.0 else 1.0)

    found = search_ranges(CANDIDATES, guess("minmax"), noise, 4, {"a"})
    assert (found["a"].method == "aciq") == changes


def test_parts_of_the_network_change_together() -> None:
    """No tensor of the first half is better by itself; all of them are."""
    names = [f"t{index}" for index in range(8)]

    def noise(ranges: Mapping[str, Range]) -> float:
        first = [ranges[name][1] for name in names[:4]]
        return 0.1 if first == [2.0] * 4 and ranges["t7"][1] == 9.0 else 0.3 + 0.01 * first.count(2.0)

    found = search_ranges(dict.fromkeys(names, CANDIDATES["a"]), dict.fromkeys(names, "minmax"), noise, 4)
    assert [found[name].method for name in names] == ["aciq"] * 4 + ["minmax"] * 4


@pytest.mark.parametrize(("share", "changes"), [(0.8, False), (0.5, True)])
def test_all_that_a_user_reads_may_change_at_once(share: float, changes: bool) -> None:
    def noise(ranges: Mapping[str, Range]) -> float:
        return 0.2 * (share if all(r[1] == 2.0 for r in ranges.values()) else 1.0)

    found = search_ranges(CANDIDATES, guess("minmax"), noise, 4, {"a", "b"})
    assert {choice.method for choice in found.values()} == ({"aciq"} if changes else {"minmax"})
