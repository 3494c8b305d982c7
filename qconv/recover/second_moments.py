"""Takes the second moments of the float network's layers while samples pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from qconv.data.source import Sample
from qconv.errors import DataError
from qconv.model.graph import const_array
from qconv.model.session import open_session
from qconv.quant.types import FloatArray
from qconv.recover.layers import Layer, layer_of
from qconv.statistics.nonfinite import run
from qconv.statistics.sampling import seed_of
from qconv.statistics.second_moments import SecondMoments, Sums, exponent_for, steps_of

PILOTS = 4  # samples that decide how fine the steps are
WIDEST = 4_608  # weights of one output, K: wider layers take more than 170 MB each
_ROWS = 256  # of a sample that are seen of each layer
_MEMORY = 512 << 20  # bytes of all sums together, beyond which they lie on disk


class MomentsObserver:
    """Runs the float network and adds up what each layer of weights reads."""

    def __init__(self, model: ir.Model, pilots: Iterable[Sample], threads: int = 0) -> None:
        """`pilots` are the first samples of the whole set, also where only a part of it will be seen. Raises ModelError."""
        self._layers = observed_layers(model)
        self._names = list(dict.fromkeys(layer.x for layer in self._layers.values()))
        given = {str(value.name) for value in model.graph.inputs}
        self._made = [name for name in self._names if name not in given]
        self._session = open_session(model, outputs=self._made, threads=threads) if self._made else None
        exponents = self._exponents(pilots)
        cells = sum(layer.groups * layer.columns**2 for layer in self._layers.values())
        self._exponent = exponents
        self._sums = {
            sight: Sums(exponents[layer.x], layer.groups, layer.columns, on_disk=8 * cells > _MEMORY)
            for sight, layer in self._layers.items()
        }

    def observe(self, sample: Sample) -> None:
        """One sample. Raises DataError where the network cannot take it."""
        steps = {name: steps_of(array, self._exponent[name]) for name, array in self._read(sample).items()}
        seed = seed_of(sample.feeds)
        for number, (sight, layer) in enumerate(self._layers.items()):
            codes, cut = steps[layer.x]
            if codes.size:
                self._sums[sight].add(layer.inputs(codes, _ROWS, np.random.default_rng([seed, number])), cut)

    def moments(self) -> dict[str, SecondMoments]:
        """What was added up so far, by what the layers see (`Layer.sight`)."""
        return {sight: sums.moments() for sight, sums in self._sums.items()}

    def _exponents(self, pilots: Iterable[Sample]) -> Mapping[str, int]:
        largest = dict.fromkeys(self._names, 0.0)
        for sample in pilots:
            for name, array in self._read(sample).items():
                largest[name] = max(largest[name], float(np.abs(array).max(initial=0.0)))
        return {name: exponent_for(value) for name, value in largest.items()}

    def _read(self, sample: Sample) -> dict[str, FloatArray]:
        """What the layers read. Raises DataError where that is not finite."""
        made = [] if self._session is None else run(self._session, sample)
        arrays = dict(zip(self._made, made, strict=True))
        for name in self._names:
            array = arrays.setdefault(name, sample.feeds.get(name, np.zeros(0, np.float32)))
            if not np.isfinite(array).all():
                raise DataError(f"tensor {name} is not finite for {sample.name}; remove that sample, or mend the model there")
        return arrays


def observed_layers(model: ir.Model) -> dict[str, Layer]:
    """A layer for each sight of which moments are taken, in graph order: one of those that see the same."""
    found: dict[str, Layer] = {}
    for node in model.graph:
        layer = layer_of(node)
        if layer is not None and const_array(node.inputs[0]) is None and 0 < layer.columns <= WIDEST:
            found.setdefault(layer.sight, layer)
    return found
