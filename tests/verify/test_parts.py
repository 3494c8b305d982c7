"""The parts of outputs, and that each is where the Concats put it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

from qconv import pipeline
from qconv.model.session import open_session
from qconv.verify.measure.parts import Part, Span, output_parts
from tests.lower.harness import write_model

NESTED = """g (float[1, 2, 6] a, float[1, 3, 6] b, float[1, 5, 4] c) => (float[1, 5, 10] y) {
    ab = Concat <axis = 1> (a, b)
    y = Concat <axis = -1> (ab, c)
}"""


def graph_of(folder: Path, text: str) -> ir.Model:
    return pipeline.load_prepared(write_model(folder / "m.onnx", text, {})).original


def test_concats_one_inside_the_other_are_taken_apart(tmp_path: Path) -> None:
    model = graph_of(tmp_path, NESTED)
    (parts,) = output_parts(model.graph).values()
    whole, inner = Span(-1, 0, 6), (Span(1, 0, 2), Span(1, 2, 5))
    assert parts == (Part("a", (whole, inner[0])), Part("b", (whole, inner[1])), Part("c", (Span(-1, 6, 10),)))
    shapes = {"a": (1, 2, 6), "b": (1, 3, 6), "c": (1, 5, 4)}
    feeds = {name: np.full(shape, place, np.float32) for place, (name, shape) in enumerate(shapes.items())}
    (output,) = open_session(model).run(None, feeds)
    for part in parts:
        np.testing.assert_array_equal(part.of(output), feeds[part.tensor])


def test_a_concat_inside_one_along_the_same_axis_counts_from_its_own_start(tmp_path: Path) -> None:
    text = """g (float[1, 2] a, float[1, 3] b) => (float[1, 7] y) {
        ba = Concat <axis = 1> (b, a)
        y = Concat <axis = 1> (a, ba)
    }"""
    (parts,) = output_parts(graph_of(tmp_path, text).graph).values()
    output = np.arange(7)[None]
    assert [(part.tensor, part.of(output)[0].tolist()) for part in parts] == [("a", [0, 1]), ("b", [2, 3, 4]), ("a", [5, 6])]


def test_parts_are_found_behind_a_reshape_that_keeps_them(tmp_path: Path) -> None:
    text = """g (float[1, 4, 8] x) => (float[32, 2] y) <int64[2] shape = {32, 2}, int64[1] last = {3}> {
        a = Unsqueeze (x, last)
        b = Sigmoid (a)
        c = Concat <axis = 3> (a, b)
        y = Reshape (c, shape)
    }"""
    graph = graph_of(tmp_path, text).graph
    assert output_parts(graph) == {"y": (Part("a", (Span(-1, 0, 1),)), Part("b", (Span(-1, 1, 2),)))}


def test_a_constant_piece_or_one_of_unknown_size_is_not_taken_apart(tmp_path: Path) -> None:
    text = """g (float[1, N] a, float[1, 3] b) => (float[1, M] y) {
        y = Concat <axis = 1> (a, b)
    }"""
    assert output_parts(graph_of(tmp_path, text).graph) == {}


def test_a_transpose_behind_the_concat_is_seen_through(tmp_path: Path) -> None:
    text = """g (float[1, 2, 6] a, float[1, 3, 6] b) => (float[6, 1, 5] y) {
        ab = Concat <axis = 1> (a, b)
        y = Transpose <perm = [2, 0, 1]> (ab)
    }"""
    model = graph_of(tmp_path, text)
    (parts,) = output_parts(model.graph).values()
    feeds = {"a": np.full((1, 2, 6), 1, np.float32), "b": np.full((1, 3, 6), 2, np.float32)}
    (output,) = open_session(model).run(None, feeds)
    assert [part.tensor for part in parts] == ["a", "b"]
    for part in parts:
        np.testing.assert_array_equal(part.of(output), feeds[part.tensor])
