"""What detections of digits are worth. Needs numpy alone."""

import numpy as np
from numpy.typing import NDArray

NO_CLASS = -1
_SURE, _ALIKE = 0.4, 0.5

Array = NDArray[np.generic]


def f1(detections: Array, boxes: Array, labels: Array) -> float:
    """2 TP / (2 TP + FP + FN): a digit is found where a detection of its class overlaps its box by half.

    `detections` [N, places, 5 + classes] are centre x, y, width, height, and the probabilities of a digit and of each class.
    """
    found = wanted = named = 0
    for rows, truth, classes in zip(detections, boxes, labels, strict=True):
        kept, guesses = _without_doubles(rows)
        present = np.flatnonzero(classes != NO_CLASS)
        wanted, named = wanted + len(present), named + len(kept)
        free = set(present.tolist())
        for box, guess in zip(kept, guesses, strict=True):
            hits = [index for index in free if classes[index] == guess and overlap(box, truth[index]) >= _ALIKE]
            free -= set(hits[:1])
            found += len(hits[:1])
    return 2 * found / (wanted + named)


def _without_doubles(rows: Array) -> tuple[list[Array], list[int]]:
    """The boxes and classes of detections, the surest first, none of which overlaps a surer one by half."""
    scores = rows[:, 4] * rows[:, 5:].max(1)
    kept: list[Array] = []
    classes: list[int] = []
    for index in np.argsort(-scores):
        if scores[index] < _SURE:
            break
        middle, half = rows[index, :2], rows[index, 2:4] / 2
        box = np.concatenate([middle - half, middle + half])
        if all(overlap(box, other) < _ALIKE for other in kept):
            kept.append(box)
            classes.append(int(rows[index, 5:].argmax()))
    return kept, classes


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two boxes."""
    inner = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(inner / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner))
