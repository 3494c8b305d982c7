"""Which outputs are class scores, and how often two models name the same class."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qconv.verify.measure.metrics import Array

_SUM_TOLERANCE = 1e-3  # a float32 Softmax over thousands of classes sums to 1 within this
_TOP = 5

Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class ClassAxis:
    """Where an output has its classes, and why it is taken for class scores."""

    axis: int
    classes: int
    reason: str


def class_axis(output: Array, input_shapes: Iterable[tuple[int, ...]]) -> ClassAxis | None:
    """The class axis of an output, judged by one example from the float model; None where it is not class scores.

    1. The shape of an input is never scores: a network that gives back what it gets reconstructs it.
    2. Rank 1, [C]; or [N, C] and [N, C, 1, ...]: axis 1 (or 0), with C >= 2.
    3. Any higher rank: the last axis, or else axis 1, if the values along it are probabilities (none negative, sum 1).
    """
    shape = output.shape
    if output.dtype.kind != "f" or not output.size or shape in set(input_shapes):
        return None
    if len(shape) == 1 and shape[0] >= 2:
        return ClassAxis(0, shape[0], "a vector")
    if len(shape) >= 2 and shape[1] >= 2 and all(size == 1 for size in shape[2:]):
        return ClassAxis(1, shape[1], f"one row of {shape[1]} for each sample")
    for axis in (len(shape) - 1, 1):
        if len(shape) > 2 and shape[axis] >= 2 and _are_probabilities(output, axis):
            return ClassAxis(axis, shape[axis], f"values along axis {axis} sum to 1")
    return None


def _are_probabilities(output: Array, axis: int) -> bool:
    sums = output.sum(axis, dtype=np.float64)
    return bool((output >= 0).all() and (np.abs(sums - 1.0) <= _SUM_TOLERANCE).all())


@dataclass(frozen=True)
class ClassAgreement:
    """Shares in [0, 1] of the decisions: the same class first; the float model's class among the integer model's first five.

    `loss` is the share of right answers that is lost, as far as the probabilities of the float model tell, with its standard
    error: where another class comes first, the difference of the probabilities of both.
    """

    axis: int
    classes: int
    reason: str
    decisions: int
    top1: float
    top5: float | None  # None where there are only five classes or fewer
    loss: float = 0.0
    loss_error: float = 0.0


@dataclass(frozen=True)
class Accuracy:
    """Shares in [0, 1] of the labelled samples whose class a model names first, or among its first five."""

    output: str
    samples: int
    float_top1: float
    integer_top1: float
    float_top5: float | None
    integer_top5: float | None

    @property
    def drop(self) -> float:
        """What the integer model loses of the float model's top-1 accuracy; negative where it gains."""
        return self.float_top1 - self.integer_top1


class AgreementMeter:
    """Counts over samples for one output of class scores."""

    def __init__(self, axis: ClassAxis) -> None:
        self._axis = axis
        self._decisions = self._same = self._within = 0
        self._lost = self._lost_squared = 0.0

    def add(self, reference: Array, other: Array) -> None:
        """One more sample."""
        best = ranking(reference, self._axis.axis)[:, 0]
        theirs = ranking(other, self._axis.axis)
        self._decisions += best.size
        self._same += int((theirs[:, 0] == best).sum())
        self._within += int((theirs == best[:, None]).any(axis=1).sum())
        shares, every = probabilities(reference, self._axis.axis), np.arange(best.size)
        lost = shares[every, best] - shares[every, theirs[:, 0]]
        self._lost, self._lost_squared = self._lost + float(lost.sum()), self._lost_squared + float((lost**2).sum())

    def result(self) -> ClassAgreement:
        """The shares over everything that was added."""
        total = max(self._decisions, 1)
        top5 = self._within / total if self._axis.classes > _TOP else None
        loss = self._lost / total
        error = math.sqrt(max(self._lost_squared / total - loss**2, 0.0) / total)
        axis = self._axis
        return ClassAgreement(axis.axis, axis.classes, axis.reason, self._decisions, self._same / total, top5, loss, error)


class AccuracyMeter:
    """Counts labelled samples for one output that has a single row of scores per sample."""

    def __init__(self, output: str, axis: ClassAxis) -> None:
        self._output, self._axis = output, axis
        self._samples = 0
        self._hits = np.zeros((2, 2), np.int64)  # float, integer x first, within five

    def add(self, reference: Array, other: Array, label: int) -> None:
        """One more sample of a known class; those with several rows of scores cannot be judged by one label and are left out."""
        ranks = [ranking(scores, self._axis.axis) for scores in (reference, other)]
        if len(ranks[0]) != 1:
            return
        self._samples += 1
        self._hits += [[int(rank[0, 0] == label), int((rank[0] == label).any())] for rank in ranks]

    def result(self) -> Accuracy | None:
        """The shares, or None where no sample could be judged."""
        if not self._samples:
            return None
        (float1, float5), (integer1, integer5) = (self._hits / self._samples).tolist()
        few = self._axis.classes <= _TOP
        return Accuracy(self._output, self._samples, float1, integer1, None if few else float5, None if few else integer5)


def probabilities(scores: Array, axis: int) -> NDArray[np.float64]:
    """The rows of scores as they are where they are probabilities, else their softmax: [rows, C]."""
    rows = np.moveaxis(scores, axis, -1).reshape(-1, scores.shape[axis]).astype(np.float64)
    if _are_probabilities(rows, 1):
        return rows
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def ranking(scores: Array, axis: int) -> Ranks:
    """The first five classes of each row, best first, lower class first among equals: [rows, min(5, C)]."""
    rows = np.moveaxis(scores, axis, -1).reshape(-1, scores.shape[axis])
    if rows.shape[1] > 64:
        return _ranking_of_many(rows)
    return np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :_TOP]


def _ranking_of_many(rows: Array) -> Ranks:
    """The same without sorting all classes: five times the first maximum."""
    left = rows.astype(np.float64)
    found = np.empty((len(left), _TOP), np.int64)
    every = np.arange(len(left))
    for place in range(_TOP):
        found[:, place] = left.argmax(axis=1)
        left[every, found[:, place]] = -np.inf
    return found
