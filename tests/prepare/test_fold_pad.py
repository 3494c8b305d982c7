from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qconv.prepare.fold_pad import fold_pad

from .graphs import Array, changes, graph, ints, node, ops, rand

CONSTANTS: dict[str, Array] = {
    "pads": ints(0, 0, 1, 0, 0, 0, 0, 1),
    "channels": ints(0, 1, 0, 0, 0, 0, 0, 0),
    "negative": ints(0, 0, -1, 0, 0, 0, 1, 1),
    "wide": ints(0, 0, 3, 0, 0, 0, 0, 0),
    "ends": ints(1, 0, 2, 1),
    "axes": ints(-1, 2),
    "zero": np.array(0, np.float32),
    "one": np.array(1, np.float32),
    "lowest": np.array(-np.inf, np.float32),
    "w": rand(2, 2, 3, 3),
    "v": rand(2, 3, 3, 3),
}
CONV: tuple[str, str, dict[str, Any]] = ("Conv", "p w", {"strides": [2, 2]})
AVERAGE: tuple[str, str, dict[str, Any]] = ("AveragePool", "p", {"kernel_shape": [3, 3], "strides": [2, 2]})
MAXIMUM: tuple[str, str, dict[str, Any]] = ("MaxPool", "p", {"kernel_shape": [3, 3], "strides": [2, 2]})


def folded(
    layer: tuple[str, str, dict[str, Any]], pad: str = "h pads", *, before: str = "Neg", outputs: str = "y", **extra: Any
) -> int:
    """Whether a Pad between `before` and a layer is folded; the function is checked."""
    op, inputs, attributes = layer
    mode = {"mode": extra.pop("mode")} if "mode" in extra else {}
    nodes = [node(before, "x", "h"), node("Pad", pad, "p", **mode), node(op, inputs, "y", **(attributes | extra))]
    model = graph(nodes, {"x": ("N", 2, 6, 7)}, outputs, CONSTANTS)
    count = changes(fold_pad, model)
    assert ops(model) == ([before, op] if count else [before, "Pad", op])
    return count


@pytest.mark.parametrize("pad", ["h pads", "h pads zero", "h wide", "h ends zero axes"])
def test_a_convolution_pads_for_itself(pad: str) -> None:
    assert folded(CONV, pad) == 1
    assert folded(CONV, pad, pads=[1, 0, 1, 2]) == 1
    assert folded(CONV, pad, auto_pad="VALID") == 1


def test_a_convolution_does_not_pad_with_anything_but_zeros() -> None:
    assert folded(CONV, "h pads one") == 0
    assert folded(CONV, mode="edge") == 0
    assert folded(CONV, "h negative") == 0
    assert folded(("Conv", "p v", {}), "h channels") == 0
    assert folded(CONV, outputs="y p") == 0


def test_an_average_counts_the_zeros() -> None:
    assert folded(AVERAGE) == 1
    assert folded(AVERAGE, count_include_pad=1, pads=[1, 1, 1, 1]) == 1


def test_an_average_that_does_not_count_its_own_padding_keeps_the_pad() -> None:
    assert folded(AVERAGE, pads=[1, 1, 1, 1]) == 0
    assert folded(AVERAGE, "h wide") == 0
    assert folded(AVERAGE, ceil_mode=1) == 0
    assert folded(AVERAGE, "h pads one") == 0


def test_a_maximum_pads_where_the_padding_cannot_win() -> None:
    assert folded(MAXIMUM, "h pads lowest") == 1
    assert folded(MAXIMUM, before="Relu") == 1
    assert folded(MAXIMUM, before="Sigmoid", pads=[1, 1, 1, 1]) == 1


def test_a_maximum_over_negative_numbers_keeps_the_pad() -> None:
    assert folded(MAXIMUM) == 0
    assert folded(MAXIMUM, "h wide", before="Relu") == 0
    assert folded(MAXIMUM, before="Relu", dilations=[2, 1]) == 0


def test_a_pad_goes_into_all_its_users_or_none() -> None:
    both = [node("Conv", "p w", "y"), node("AveragePool", "p", "z", kernel_shape=[3, 3])]
    model = graph([node("Pad", "x pads", "p"), *both], {"x": (1, 2, 6, 7)}, "y z", CONSTANTS)
    assert changes(fold_pad, model) == 1
    model = graph([node("Pad", "x pads", "p"), *both, node("Relu", "p", "r")], {"x": (1, 2, 6, 7)}, "y z r", CONSTANTS)
    assert changes(fold_pad, model) == 0
