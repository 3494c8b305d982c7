from __future__ import annotations

import pytest

from qconv.prepare.merge_slices import merge_slices

from .graphs import changes, graph, ints, node, ops

CONSTANTS = {
    "zero": ints(0),
    "one": ints(1),
    "two": ints(2),
    "three": ints(3),
    "end": ints(2**63 - 1),
    "last": ints(-1),
    "starts": ints(0, 1),
    "ends": ints(2, 3),
}


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        ("x zero end two two", "h one end three two", 1),
        ("x starts ends", "h one end last", 1),
        ("x zero end two two", "h one end two", 0),
        ("x zero end last two", "h one end three", 0),
        ("x starts ends", "h zero one", 0),
    ],
)
def test_slices_of_different_axes_are_one(first: str, second: str, count: int) -> None:
    model = graph([node("Slice", first, "h"), node("Slice", second, "y")], {"x": ("N", 4, 6, 7)}, "y", CONSTANTS)
    assert changes(merge_slices, model, unknown=3) == count
    assert len(model.graph) == 2 - count


def test_a_slice_that_others_read_stays() -> None:
    nodes = [node("Slice", "x zero end two two", "h"), node("Slice", "h one end three two", "y")]
    model = graph(nodes, {"x": (1, 4, 6, 7)}, "y h", CONSTANTS)
    assert changes(merge_slices, model) == 0
    assert ops(model) == ["Slice", "Slice"]
