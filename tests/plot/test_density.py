from __future__ import annotations

import numpy as np
import pytest

from qconv.plot.axis import MARGIN, Axis
from qconv.plot.density import COLUMNS, density_of

AXIS = Axis(0.0, 100.0, (0.0, 100.0))


def test_bins_of_any_width_have_their_density() -> None:
    edges = np.array([0.0, 10, 30, 90, 100])
    found = density_of(edges, np.array([5, 10, 0, 5]), 40, AXIS)
    assert found.heights == pytest.approx([5 / 10 / 40, 10 / 20 / 40, 0, 5 / 10 / 40])
    assert found.places == pytest.approx(AXIS.place(edges))


def test_narrow_bins_are_pooled_and_their_mass_stays() -> None:
    edges = np.linspace(0, 100, 5001)
    counts = np.random.default_rng(0).integers(0, 9, 5000)
    found = density_of(edges, counts, int(counts.sum()), AXIS)
    assert len(found.heights) <= COLUMNS
    widths = np.diff(found.places) * 100 / (1 - 2 * MARGIN)
    assert (found.heights * widths).sum() == pytest.approx(1.0)


def test_a_gap_is_not_filled_by_its_neighbours() -> None:
    edges = np.array([0.0, 0.01, 0.02, 99.98, 99.99, 100.0])
    found = density_of(edges, np.array([1, 1, 0, 1, 1]), 4, AXIS)
    assert found.heights == pytest.approx([2 / 0.02 / 4, 0, 2 / 0.02 / 4])
