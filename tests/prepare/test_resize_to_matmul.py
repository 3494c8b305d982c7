"""A Resize that interpolates is a product with constant matrices, whatever its mode and coordinates."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.prepare.resize_to_matmul import resize_to_matmul

from .graphs import changes, graph, ints, node, ops

SCALES = np.array([1, 1, 2, 1.5], np.float32)
MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", MODES)
@pytest.mark.parametrize("given", ["scales", "sizes"])
def test_every_form_is_kept(mode: str, coordinates: str, given: str) -> None:
    inputs, constants = ("x _ s", {"s": SCALES}) if given == "scales" else ("x _ _ s", {"s": ints(2, 3, 11, 4)})
    resize = node("Resize", inputs, "y", mode=mode, coordinate_transformation_mode=coordinates)
    model = graph([resize], {"x": (2, 3, 6, 7)}, constants=constants)
    assert changes(resize_to_matmul, model) == 1
    assert ops(model) == ["MatMul", "MatMul"]
    assert changes(resize_to_matmul, model) == 0


@pytest.mark.parametrize("antialias", [0, 1])
def test_an_image_that_shrinks(antialias: int) -> None:
    resize = node("Resize", "x _ _ s", "y", mode="linear", antialias=antialias)
    model = graph([resize], {"x": (1, 2, 12, 9)}, constants={"s": ints(1, 2, 5, 4)})
    assert changes(resize_to_matmul, model) == 1


def test_rows_alone_and_sound() -> None:
    resize = node("Resize", "x _ s", "y", mode="linear")
    assert (
        changes(resize_to_matmul, model := graph([resize], {"x": (1, 3, 5)}, constants={"s": np.array([1, 1, 3], np.float32)}))
        == 1
    )
    assert ops(model) == ["MatMul"]


@pytest.mark.parametrize(
    ("inputs", "scales", "attributes"),
    [
        ((1, 3, 4, 4), [1, 2, 2, 2], {"mode": "linear"}),
        ((1, 3, "H", 4), [1, 1, 2, 2], {"mode": "linear"}),
        ((1, 3, 4, 4), [1, 1, 2, 2], {"mode": "nearest"}),
    ],
)
def test_other_resizes_are_left(inputs: tuple[int | str, ...], scales: list[float], attributes: dict[str, str]) -> None:
    resize = node("Resize", "x _ s", "y", **attributes)
    assert resize_to_matmul(graph([resize], {"x": inputs}, constants={"s": np.array(scales, np.float32)})) == 0


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_a_resize_to_the_same_size_is_left_out(mode: str) -> None:
    nodes = [node("Relu", "x", "r"), node("Resize", "r _ _ sizes", "s", mode=mode), node("Sigmoid", "s", "y")]
    model = graph(nodes, {"x": (1, 2, 5, 7)}, "y", {"sizes": ints(1, 2, 5, 7)})
    assert changes(resize_to_matmul, model) == 1
    assert ops(model) == ["Relu", "Sigmoid"]


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
@pytest.mark.parametrize("factor", [2, 4])
def test_rows_of_large_maps_are_means_of_neighbours(coordinates: str, factor: int) -> None:
    attributes = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    scales = {"s": np.array([1, 1, factor, 1], np.float32)}
    model = graph([node("Resize", "x _ s", "y", **attributes)], {"x": (1, 4, 96, 320)}, constants=scales)
    assert changes(resize_to_matmul, model) == 1
    found = ops(model)  # a phase that is a row of the input itself is no mean
    plain = 0 if coordinates == "half_pixel" else 1
    assert "MatMul" not in found and found.count("Add") == factor - plain
    small = graph([node("Resize", "x _ s", "y", **attributes)], {"x": (1, 1, 16, 32)}, constants=scales)
    assert changes(resize_to_matmul, small) == 1
    assert ops(small) == ["MatMul"]
