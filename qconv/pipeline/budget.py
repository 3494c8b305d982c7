"""Bits for each layer under a budget of size or of bit operations, by what each layer loses at the outputs."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx_ir as ir

from qconv.analyze.knapsack import choose_under
from qconv.analyze.places import Place
from qconv.analyze.sensitivity import Measure
from qconv.config import QuantConfig, Rule
from qconv.data.source import SampleSource
from qconv.errors import UsageError
from qconv.model.graph import const_array
from qconv.ops.forms import uses_of_weight
from qconv.pipeline.choices import choose, spread
from qconv.pipeline.prepared import load_prepared
from qconv.pipeline.quantize import Quantized, quantize
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress

Kind = Literal["size", "bops"]
_BITS: Mapping[Kind, tuple[int, ...]] = {"size": (8, 6, 4, 3), "bops": (8, 6, 4, 3, 2)}
_FULL = 8
_CAST_BYTES = 128  # of a node that unpacks a weight
_SAMPLES = 4
_ROUNDING, _STEP = 1e-3, 5e-3
_FORM = re.compile(r"(0?\.\d+|1(?:\.0*)?)x(?:-(size|bops))?")


@dataclass(frozen=True)
class Budget:
    """The part of what the 8-bit model has: of its file, or of its bit operations (weight bits x activation bits x products)."""

    share: float
    kind: Kind

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads 0.6x, 0.6x-size or 0.5x-bops. Raises UsageError."""
        found = _FORM.fullmatch(text)
        if found is None or float(found[1]) <= 0:
            raise UsageError(f"--budget takes a part of the 8-bit model such as 0.6x-size or 0.5x-bops, not {text!r}")
        return cls(float(found[1]), "bops" if found[2] == "bops" else "size")


@dataclass(frozen=True)
class Within:
    """A model under a budget: the rules that keep to it, the bits of each layer, and which part of the 8-bit model it has.

    `shortfall` is a sentence where the budget is out of reach.
    """

    result: Quantized
    config: QuantConfig
    bits: Mapping[str, int]
    share: float
    shortfall: str | None = None


def quantize_within(
    path: Path, calibration: Calibration, config: QuantConfig, budget: Budget, samples: SampleSource, *, threads: int = 0,
    progress: Progress | None = None,
) -> Within:  # fmt: skip
    """The best bits for the weights of all layers under a budget, and the model with them.

    What a layer loses is measured with nearest weights, on a few samples. Raises UsageError where the products of a layer cannot
    be counted.
    """
    whole = replace(config, weight_bits=8)
    made = quantize(load_prepared(path, config.fixed), calibration, config=whole, samples=samples, threads=threads)
    table = _Table.of(path, calibration, whole, budget.kind, samples, _file_bytes(made), threads, progress)
    room = budget.share
    while True:
        bits = table.bits(room)
        rules = _rules(bits)
        chosen = replace(whole, rules=(*whole.rules, *rules))
        result = (
            quantize(load_prepared(path, config.fixed), calibration, config=chosen, samples=samples, threads=threads)
            if rules
            else made
        )
        share = _file_bytes(result) / _file_bytes(made) if budget.kind == "size" else table.share(bits)
        if share <= budget.share + _ROUNDING or bits == table.fewest:
            break
        room -= max(share - budget.share, _STEP)  # scales and names take more room than was thought
    text = f"the budget {budget.share:g}x-{budget.kind} is out of reach: with the fewest bits everywhere it is {share:.2f}x"
    return Within(result, chosen, bits, share, text if share > budget.share + _ROUNDING else None)


@dataclass(frozen=True)
class _Table:
    """A table: for each layer what it costs and loses by the number of bits; `fixed` is what no choice changes, of `whole`."""

    kind: Kind
    nodes: tuple[str, ...]
    options: tuple[tuple[tuple[float, float], ...], ...]
    fixed: float
    whole: float

    @classmethod
    def of(
        cls, path: Path, calibration: Calibration, config: QuantConfig, kind: Kind, samples: SampleSource, file_bytes: int,
        threads: int, progress: Progress | None,
    ) -> _Table:  # fmt: skip
        loaded = load_prepared(path, config.fixed)
        config = loaded.pinned(config)
        feeds = [sample.feeds for sample in spread(samples)[:_SAMPLES]]
        ranges = {
            name: choice.range for name, choice in choose(loaded, calibration, replace(config, method="minmax")).by_tensor.items()
        }
        measure = Measure(loaded.ir, ranges.get, config, feeds, threads)
        nodes = {str(node.name): node for node in loaded.ir.graph}
        layers = [place for place in measure.places if place.weight is not None]
        options = []
        for number, place in enumerate(layers):
            losses = [_loss(measure, place, bits) for bits in _BITS[kind]]
            options.append(tuple(zip(_costs(nodes[place.node], kind, config), losses, strict=True)))
            if progress is not None:
                progress(number + 1, len(layers))
        most = sum(max(cost for cost, _ in option) for option in options)
        whole = float(file_bytes) if kind == "size" else most
        return cls(kind, tuple(place.node for place in layers), tuple(options), whole - most, whole)

    def bits(self, share: float) -> dict[str, int]:
        """The choice of least loss, or the one of least cost where even that costs more."""
        chosen = choose_under(self.options, share * self.whole - self.fixed)
        return self.fewest if chosen is None else dict(zip(self.nodes, (_BITS[self.kind][i] for i in chosen), strict=True))

    @property
    def fewest(self) -> dict[str, int]:
        """The choice of least cost."""
        return dict.fromkeys(self.nodes, min(_BITS[self.kind]))

    def share(self, bits: Mapping[str, int]) -> float:
        """Which part of the whole a choice costs."""
        places = [_BITS[self.kind].index(bits[node]) for node in self.nodes]
        return (self.fixed + sum(option[i][0] for option, i in zip(self.options, places, strict=True))) / max(self.whole, 1.0)


def _file_bytes(result: Quantized) -> int:
    return int(ir.to_proto(result.file_form).ByteSize())


def _rules(bits: Mapping[str, int]) -> tuple[Rule, ...]:
    """A rule for each number of bits below 8."""
    found: dict[int, list[str]] = {}
    for node, count in bits.items():
        if count < _FULL:
            found.setdefault(count, []).append(glob.escape(node))
    return tuple(Rule(tuple(names), weight_bits=count) for count, names in sorted(found.items()))


def _loss(measure: Measure, place: Place, bits: int) -> float:
    """Noise against signal at the worst output where only this weight is rounded."""
    db = measure.sqnr_db(measure.only(place, bits, activation=False))
    return float(10.0 ** (-db / 10.0))


def _costs(node: ir.Node, kind: Kind, config: QuantConfig) -> list[float]:
    weight = const_array(node.inputs[1])
    elements = 0 if weight is None else int(weight.size)
    if kind == "size":
        return [elements * bits / 8.0 + (_CAST_BYTES if bits < _FULL else 0.0) for bits in _BITS[kind]]
    products = elements * _uses(node)
    return [float(products * bits * config.activation_bits) for bits in _BITS[kind]]


def _uses(node: ir.Node) -> int:
    uses = uses_of_weight(node)
    if uses is None:
        raise UsageError(f"the products of node {node.name} are not known, as its shape is not; take --budget 0.6x-size")
    return uses
