"""How much of the outputs is lost by each place of a network alone, and what is gained where it alone stays in float.

    alone      SQNR of the outputs, worst output, when only this place is rounded: its weight, its activations, or both
    without    SQNR when everything is rounded to 8 bits but this place

Both are simulated in float, with nearest weights: they tell where a loss comes from, not what recovery makes good of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from qconv.analyze.places import INPUT, Place, places
from qconv.analyze.switches import Array, Feeds, Setting, Switches
from qconv.config import QuantConfig
from qconv.plan.activations import ActivationPlan, RangeOf
from qconv.plan.weights import rounded_weight
from qconv.statistics.observe import Progress

BITS = (8, 6, 4)
BEST_DB = 120.0  # no more is told apart in float32


@dataclass(frozen=True)
class Loss:
    """SQNR of the worst output in dB by number of bits, where only this is rounded; None where there is nothing of the kind."""

    both: Mapping[int, float]
    weight: Mapping[int, float] | None
    activation: Mapping[int, float] | None


@dataclass(frozen=True)
class PlaceLoss:
    """What one place costs; `without_db` is the SQNR of the 8-bit network that leaves it in float."""

    place: Place
    alone: Loss
    without_db: float


@dataclass(frozen=True)
class Sensitivity:
    """All places, the one that costs most first; `whole_db` is the SQNR of the whole network by number of bits."""

    whole_db: Mapping[int, float]
    places: tuple[PlaceLoss, ...]
    samples: int


class Measure:
    """Asks one simulated network with any part of its roundings, on the same samples."""

    def __init__(
        self, model: ir.Model, range_of: RangeOf, config: QuantConfig, samples: Sequence[Feeds], threads: int = 0
    ) -> None:
        self.plan = ActivationPlan(model.graph, config)
        self.places = places(model.graph, self.plan)
        self._model, self._range_of, self._config, self._samples = model, range_of, config, samples
        weights = [place.weight for place in self.places if place.weight is not None]
        self._switches = Switches(model, self.plan, list(dict.fromkeys(weights)), threads)
        self._exact = [self._switches.run(feeds, Setting()) for feeds in samples]
        self._settings: dict[int, Setting] = {}

    def setting(self, bits: int) -> Setting:
        """Everything rounded to so many bits; activations to 4 at least."""
        if bits not in self._settings:
            config = replace(self._config, weight_bits=bits, activation_bits=max(bits, 4), rules=())
            params = ActivationPlan(self._model.graph, config).params(self._range_of)
            nodes = {str(node.name): node for node in self._model.graph}
            arrays = {place.weight: nodes[place.node] for place in self.places if place.weight is not None}
            weights = {name: rounded_weight(node, _weight(node), config) for name, node in arrays.items() if name is not None}
            self._settings[bits] = Setting({name: params[name] for name in self.plan.rounded}, weights)
        return self._settings[bits]

    def sqnr_db(self, setting: Setting) -> float:
        """The signal-to-noise ratio of the worst output over all samples, in dB."""
        return worst_sqnr_db([self._switches.run(feeds, setting) for feeds in self._samples], self._exact)

    def only(self, place: Place, bits: int, *, weight: bool = True, activation: bool = True) -> Setting:
        """The ratio where only this place is rounded."""
        whole = self.setting(bits)
        return Setting(
            {name: whole.activations[name] for name in place.tensors} if activation else {},
            {place.weight: whole.weights[place.weight]} if weight and place.weight is not None else {},
        )

    def without(self, place: Place, bits: int = 8) -> Setting:
        """The ratio where everything is rounded but this place."""
        return self.setting(bits).without(place.tensors, [] if place.weight is None else [place.weight])

    def in_float(self, nodes: Collection[str], bits: int = 8) -> Setting:
        """Everything is rounded but what nodes in float leave: their weights, and tensors that only they make and read."""
        left = [place for place in self.places if place.op_type == INPUT or place.node in nodes]
        tensors = [name for place in left if all(reader in nodes for reader in place.readers) for name in place.tensors]
        weights = [place.weight for place in left if place.weight is not None and place.node in nodes]
        return self.setting(bits).without(tensors, weights)


def sensitivity(measure: Measure, samples: int, bits: Sequence[int] = BITS, progress: Progress | None = None) -> Sensitivity:
    """Measures every place by itself."""
    found = []
    for number, place in enumerate(measure.places):
        parts = {
            "both": {b: measure.sqnr_db(measure.only(place, b)) for b in bits},
            "weight": None,
            "activation": None,
        }
        if place.weight is not None and place.tensors:
            parts["weight"] = {b: measure.sqnr_db(measure.only(place, b, activation=False)) for b in bits}
            parts["activation"] = {b: measure.sqnr_db(measure.only(place, b, weight=False)) for b in bits}
        elif place.weight is not None:
            parts["weight"] = parts["both"]
        else:
            parts["activation"] = parts["both"]
        both = parts["both"]
        assert both is not None
        loss = Loss(both, parts["weight"], parts["activation"])
        found.append(PlaceLoss(place, loss, measure.sqnr_db(measure.without(place))))
        if progress is not None:
            progress(number + 1, len(measure.places))
    whole = {b: measure.sqnr_db(measure.setting(b)) for b in bits}
    ranked = sorted(found, key=lambda item: (item.alone.both[max(bits)], item.alone.both[min(bits)]))
    return Sensitivity(whole, tuple(ranked), samples)


def worst_sqnr_db(found: Sequence[Sequence[Array]], exact: Sequence[Sequence[Array]]) -> float:
    """10 log10(signal / error) over all samples, of the output where it is least; at most `BEST_DB`."""
    worst = BEST_DB
    for ours, theirs in zip(zip(*found, strict=True), zip(*exact, strict=True), strict=True):
        pairs = [
            (np.asarray(a, np.float64), np.asarray(b, np.float64))
            for a, b in zip(ours, theirs, strict=True)
            if b.dtype.kind == "f"
        ]
        if not pairs:
            continue
        signal = sum(float(np.square(b).sum()) for _, b in pairs)
        error = sum(float(np.square(a - b).sum()) for a, b in pairs)
        if not math.isfinite(error):
            return -BEST_DB
        worst = min(worst, 10.0 * math.log10(max(signal, 1e-30) / max(error, 1e-30)))
    return max(worst, -BEST_DB)


def _weight(node: ir.Node) -> Array:
    value = node.inputs[1]
    assert value is not None and value.const_value is not None
    return value.const_value.numpy()
