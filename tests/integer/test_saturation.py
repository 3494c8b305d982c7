"""Which steps may saturate without VNNI: two weights of one sign that are neighbours in the order of the kernel and pass 128."""

from __future__ import annotations

import pytest

from qconv.integer.program import Program
from qconv.integer.saturation import saturating_steps
from tests.integer.graphs import graph


def names(node: str, weight: str, activation: str = "uint8[1,8]") -> list[str]:
    """The steps that may saturate in a graph of one node; `weight` is its type and its values."""
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
g ({activation} x) => (int32[N] y) <{weight}> {{ [layer] y = {node} }}"""
    return [step.name for step in saturating_steps(Program.read(graph(text)))]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("64, 64, 0, 0", False),
        ("65, 64, 0, 0", True),
        ("-64, -64, 0, 0", False),
        ("0, 0, -64, -65", True),
        ("127, -127, -127, 127", False),  # of two signs
        ("0, 127, 127, 0", False),  # no neighbours
        ("1, 127, 127, 1", False),
        ("2, 127, 127, 1", True),
    ],
)
def test_neighbours_in_a_column_of_a_matrix(column: str, found: bool) -> None:
    weight = f"int8[4,1] w = {{{column}}}"
    assert names("MatMulInteger (x, w)", weight, "uint8[1,4]") == (["layer"] if found else [])
    assert names("MatMulInteger (x, w)", weight, "int8[1,4]") == []


def test_a_last_weight_without_a_neighbour_is_alone() -> None:
    assert names("MatMulInteger (x, w)", "int8[3,1] w = {1, 0, 127}", "uint8[1,3]") == []


def test_channels_of_one_place_are_the_neighbours_in_a_convolution() -> None:
    """[1, 2, 1, 2] holds two places of channel 0, then two of channel 1."""
    apart, together = "int8[1,2,1,2] w = {127, 127, 0, 0}", "int8[1,2,1,2] w = {127, 0, 127, 0}"
    assert names("ConvInteger (x, w)", apart, "uint8[1,2,1,4]") == []
    assert names("ConvInteger (x, w)", together, "uint8[1,2,1,4]") == ["layer"]


def test_depthwise_convolutions_have_a_kernel_of_their_own() -> None:
    weight = "int8[2,1,1,2] w = {127, 127, 127, 127}"
    assert names("ConvInteger <group = 2> (x, w)", weight, "uint8[1,2,1,4]") == []


def test_steps_in_the_body_of_a_scan_are_looked_at() -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]>
g (int32[1,1] h, uint8[3,1,2] x) => (int32[1,1] y) <int8[2,1] w = {100, 100}> {
    [scan] y = Scan <num_scan_inputs: int = 1,
        body: graph = step (int32[1,1] a, uint8[1,2] part) => (int32[1,1] b) {
            [inner] c = MatMulInteger (part, w) b = Add (a, c) }> (h, x)
}"""
    assert [step.name for step in saturating_steps(Program.read(graph(text)))] == ["inner"]
