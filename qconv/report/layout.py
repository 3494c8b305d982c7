"""Where the boxes and lines of a network stand in its picture: layers from top to bottom, by the method of Sugiyama."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout

WIDTH, HEIGHT = 168, 34
_GAP_X, _GAP_Y, _MARGIN = 18, 26, 12
_LINE_WIDTH = 6.0  # of a line that passes several layers


@dataclass(frozen=True)
class Layout:
    """The left upper corners of the boxes, the lines between them as points, and the size of the whole; in pixels."""

    corners: tuple[tuple[float, float], ...]
    lines: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float


class _View:
    """The size and the place of one box, as grandalf wants it."""

    def __init__(self) -> None:
        self.w, self.h, self.xy = float(WIDTH), float(HEIGHT), (0.0, 0.0)


def layout(count: int, edges: Collection[tuple[int, int]]) -> Layout:
    """Places `count` boxes; edges are pairs of their numbers."""
    vertices = [Vertex(number) for number in range(count)]
    for vertex in vertices:
        vertex.view = _View()
    graph = Graph(vertices, [Edge(vertices[a], vertices[b]) for a, b in edges])
    left = 0.0
    for component in graph.C:
        placed = SugiyamaLayout(component)
        placed.xspace, placed.yspace, placed.dw = _GAP_X, _GAP_Y, _LINE_WIDTH
        placed.init_all(roots=[vertex for vertex in component.sV if not list(vertex.e_in())])
        placed.draw()
        least = min(vertex.view.xy[0] for vertex in component.sV)
        for vertex in component.sV:
            vertex.view.xy = (vertex.view.xy[0] - least + left, vertex.view.xy[1])
        left = max(vertex.view.xy[0] for vertex in component.sV) + WIDTH + _GAP_X
    top = min((vertex.view.xy[1] for vertex in vertices), default=0.0)
    corners = tuple((vertex.view.xy[0] + _MARGIN, vertex.view.xy[1] - top + _MARGIN) for vertex in vertices)
    lines = tuple(_line(corners[a], corners[b]) for a, b in edges)
    width = max((x for x, _ in corners), default=0.0) + WIDTH + _MARGIN
    height = max((y for _, y in corners), default=0.0) + HEIGHT + _MARGIN
    return Layout(corners, lines, width, height)


def _line(start: tuple[float, float], end: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """A line from the middle of the lower edge to that of the upper edge."""
    return (start[0] + WIDTH / 2, start[1] + HEIGHT), (end[0] + WIDTH / 2, end[1])


def points(line: Sequence[tuple[float, float]]) -> str:
    """A line as the path of an SVG, curved between its ends."""
    (x, y), (u, v) = line[0], line[-1]
    bend = max((v - y) / 2, 8)
    return f"M{x:.0f},{y:.0f} C{x:.0f},{y + bend:.0f} {u:.0f},{v - bend:.0f} {u:.0f},{v:.0f}"
