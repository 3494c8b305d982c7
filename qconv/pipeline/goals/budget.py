"""Bits for each layer under a budget of size or of bit operations, by what each layer loses at the outputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import onnx_ir as ir

from qconv.config import QuantConfig, Rule
from qconv.data.source import SampleSource
from qconv.errors import UsageError
from qconv.pipeline.goals.bit_prices import WHOLE, Kind, PriceTable, Width, price_table
from qconv.pipeline.prepared import load_prepared
from qconv.pipeline.quantize import Quantized, quantize
from qconv.statistics.calibration import Calibration
from qconv.statistics.observe import Progress

_ROUNDING, _STEP = 1e-9, 5e-3
_TRIES = 4
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

    What a layer loses is measured around the 8-bit network, with weights that are fitted to it. Raises UsageError where the
    products of a layer cannot be counted.
    """
    whole = replace(config, weight_bits=8, levels="uniform")
    made = quantize(load_prepared(path, config.fixed), calibration, config=whole, samples=samples, threads=threads)
    size = _file_bytes(made)
    table = price_table(
        path, calibration, whole, made.plan, budget.kind, samples, file_bytes=size, threads=threads, progress=progress
    )
    return _Search(path, calibration, whole, made, table, budget, samples, size, threads).best()


@dataclass(frozen=True)
class _Search:
    """Looks for the choice of a table under a budget; `config` and `made` are those of the 8-bit model, of `file_bytes`."""

    path: Path
    calibration: Calibration
    config: QuantConfig
    made: Quantized
    table: PriceTable
    budget: Budget
    samples: SampleSource
    file_bytes: int
    threads: int

    def best(self) -> Within:
        """Of a few models that keep to the budget the one that should lose least: a table only guesses what a file takes.

        What the table says of the loss is the better judge of choices that are nearly alike: most of the noise at the outputs of
        a hundred samples is that of a few doubtful ones.
        """
        room, tried, fitting = self.budget.share, list[Mapping[str, Width]](), list[tuple[float, Within]]()
        while len(tried) < _TRIES or not fitting:
            choice = self.table.choice(room)
            if choice in tried:
                room -= _STEP
            else:
                tried.append(choice)
                found, thought = self._made(choice), self.table.share(choice)
                fits = found.share <= self.budget.share + _ROUNDING
                fitting += [(self.table.loss(choice), found)] if fits else []
                if not fitting and choice == self.table.fewest:
                    return replace(found, shortfall=self._out_of_reach(found.share))
                if found.share == thought:
                    break  # bit operations are no guess
                room = self.budget.share + thought - found.share
            if room < self.table.share(self.table.fewest) and fitting:
                break
        return min(fitting, key=itemgetter(0))[1]

    def _made(self, choice: Mapping[str, Width]) -> Within:
        config = replace(self.config, rules=(*self.config.rules, *_rules(choice)))
        result = self.made if config == self.config else self._quantized(config)
        share = _file_bytes(result) / self.file_bytes if self.budget.kind == "size" else self.table.share(choice)
        return Within(result, config, {node: width.bits for node, width in choice.items()}, share)

    def _out_of_reach(self, share: float) -> str:
        asked = f"the budget {self.budget.share:g}x-{self.budget.kind} is out of reach"
        return f"{asked}: with the fewest bits everywhere it is {share:.2f}x"

    def _quantized(self, config: QuantConfig) -> Quantized:
        loaded = load_prepared(self.path, config.fixed)
        return quantize(loaded, self.calibration, config=config, samples=self.samples, threads=self.threads)


def _file_bytes(result: Quantized) -> int:
    return int(ir.to_proto(result.file_form).ByteSize())


def _rules(choice: Mapping[str, Width]) -> tuple[Rule, ...]:
    """A rule for each way to write weights in fewer bits."""
    found: dict[Width, list[str]] = {}
    for node, width in choice.items():
        if width != WHOLE:
            found.setdefault(width, []).append(node)
    return tuple(width.rule(nodes) for width, nodes in sorted(found.items()))
