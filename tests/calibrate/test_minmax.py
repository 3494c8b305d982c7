from __future__ import annotations

import json

import numpy as np

from qconv.calibrate.minmax import MinMax
from qconv.calibrate.statistics import Observation


def test_extremes_over_samples() -> None:
    observation = Observation(np.array([-1, -3, 0.5], np.float32), np.array([2, -2, 7], np.float32))
    assert MinMax.of(observation) == MinMax(-3.0, 7.0, 3)


def test_negative_zero_does_not_depend_on_the_order() -> None:
    a, b = (MinMax.of(Observation(np.array([z], np.float32), np.array([z], np.float32))) for z in (0.0, -0.0))
    assert json.dumps(a.merge(b).to_json()) == json.dumps(b.merge(a).to_json()) == '{"lo": 0.0, "hi": 0.0, "samples": 2}'


def test_json_shows_the_shortest_float32() -> None:
    third = np.array([1 / 3], np.float32)
    assert MinMax.of(Observation(-third, third)).to_json() == {"lo": -0.33333334, "hi": 0.33333334, "samples": 1}
