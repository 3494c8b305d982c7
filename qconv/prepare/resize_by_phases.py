"""Rows that a linear Resize makes larger by a whole factor, as weighted means of neighbours.

    y[k i + p] = w_p x[i] + (1 - w_p) x[i - 1 or i + 1]          p = 0 .. k - 1, the edges repeated

Each phase p is a sum of two scaled tensors, and the phases are joined behind one another. A product with a matrix multiplies
mostly by zeros: of large maps the sums take a sixth of its time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.model.edit import Editor

_FEWEST = 60_000  # elements of an output for which this is worth while
_LARGEST_FACTOR = 4
_TOLERANCE = 1e-6  # by a factor that is no power of two, weights depend on how float32 rounds a coordinate


@dataclass(frozen=True)
class Phase:
    """One of the k rows for each row of the input: the weight of that row, and where its neighbour is, -1 or 1."""

    weight: float
    neighbour: int


def phases_of(matrix: NDArray[np.float32]) -> list[Phase] | None:
    """The phases of a matrix [height in, height out], or None where it has none."""
    height, factor = matrix.shape[0], matrix.shape[1] // matrix.shape[0]
    if height < 3 or matrix.shape[1] % height or not 2 <= factor <= _LARGEST_FACTOR:
        return None
    middle = height // 2
    found = []
    for number in range(factor):
        column = matrix[:, middle * factor + number]
        found.append(Phase(float(column[middle]), 1 if column[middle + 1] > column[middle - 1] else -1))
    return found if np.abs(_matrix_of(found, height) - matrix).max() <= _TOLERANCE else None


def _matrix_of(phases: list[Phase], height: int) -> NDArray[np.float64]:
    matrix, rows = np.zeros((height, height, len(phases))), np.arange(height)
    for number, phase in enumerate(phases):
        matrix[rows, rows, number] += phase.weight
        matrix[(rows + phase.neighbour).clip(0, height - 1), rows, number] += 1.0 - phase.weight
    return matrix.reshape(height, -1)


def write_phases(editor: Editor, node: ir.Node, x: ir.Value, phases: list[Phase]) -> bool:
    """Turns a Resize of the rows of x, the last axis but one, into phases; False where that is not worth while."""
    shape = x.shape
    if shape is None or math.prod(size for size in shape if isinstance(size, int)) * len(phases) < _FEWEST:
        return False
    rank, height = len(shape), shape[-2]
    assert isinstance(height, int)
    shifted = {step: _shifted(editor, node, x, step, rank - 2) for step in {p.neighbour for p in phases if p.weight < 1.0}}
    tall = ir.Shape([*shape[:-1], 1, shape[-1]])
    parts = []
    for number, phase in enumerate(phases):
        value = x if phase.weight == 1.0 else _mean(editor, node, x, shifted[phase.neighbour], phase, number)
        axis = editor.constant(f"{node.name}/axis", np.asarray([rank - 1], np.int64))
        parts.append(editor.insert_before(node, "Unsqueeze", [value, axis], name=f"{node.name}/phase{number}", shape=tall))
    whole = ir.Shape([*shape[:-1], len(phases), shape[-1]])
    joined = editor.insert_before(node, "Concat", parts, {"axis": rank - 1}, name=f"{node.name}/phases", shape=whole)
    sizes = np.asarray([0] * (rank - 2) + [height * len(phases), shape[-1]], np.int64)
    editor.rewrite(node, "Reshape", [joined, editor.constant(f"{node.name}/sizes", sizes)])
    return True


def _mean(editor: Editor, node: ir.Node, x: ir.Value, neighbour: ir.Value, phase: Phase, number: int) -> ir.Value:
    parts = []
    for value, weight, name in ((x, phase.weight, "near"), (neighbour, 1.0 - phase.weight, "far")):
        factor = editor.constant(f"{node.name}/{name}{number}_weight", np.asarray(weight, np.float32))
        parts.append(editor.insert_before(node, "Mul", [value, factor], name=f"{node.name}/{name}{number}", shape=x.shape))
    return editor.insert_before(node, "Add", parts, name=f"{node.name}/mean{number}", shape=x.shape)


def _shifted(editor: Editor, node: ir.Node, x: ir.Value, step: int, axis: int) -> ir.Value:
    """The rows x[i + step] with the edge repeated."""
    assert x.shape is not None
    height, last = x.shape[axis], np.iinfo(np.int64).max
    assert isinstance(height, int)
    place = f"{node.name}/{'above' if step < 0 else 'below'}"
    bounds = {"edge": (0, 1), "rest": (0, -1)} if step < 0 else {"edge": (-1, last), "rest": (1, last)}
    found = {}
    for name, ends in bounds.items():
        constants = [editor.constant(f"{place}_{name}", np.asarray([number], np.int64)) for number in (*ends, axis)]
        shape = ir.Shape([*x.shape[:axis], 1 if name == "edge" else height - 1, *x.shape[axis + 1 :]])
        found[name] = editor.insert_before(node, "Slice", [x, *constants], name=f"{place}/{name}", shape=shape)
    parts = [found["edge"], found["rest"]][:: 1 if step < 0 else -1]
    return editor.insert_before(node, "Concat", parts, {"axis": axis}, name=place, shape=x.shape)
