"""Results that nobody should overlook, as sentences with something to try: lost outputs, dead outputs, wrong preprocessing."""

from __future__ import annotations

import glob
import math
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence

import onnx_ir as ir

from qconv.model.traits import TRAITS, Trait
from qconv.sentences import counted
from qconv.verify.layers.reports import LayerReport
from qconv.verify.measure.classes import Accuracy
from qconv.verify.measure.compare import OutputReport, PartReport

LOST_DB = 20.0  # below it the error is more than a tenth of the signal, which few networks bear
_LOWEST_ACCURACY = 0.05
_FEWEST_LABELS = 20  # fewer labelled samples cannot tell a poor network from chance

_BEYOND = 0.05  # of an input's elements at the ends of its codes

Culprit = Callable[[str], str | None]  # a float tensor -> the node that lost it first


def output_warnings(
    outputs: Sequence[OutputReport], model: str, culprit: Culprit, *, made_up: bool, mode: str = "static",
    draws: Culprit = lambda tensor: None,
) -> tuple[str, ...]:  # fmt: skip
    """A sentence for every output, or part of one, that is below 20 dB or dead. `made_up` says that the samples are synthetic,
    `mode` how the model was quantized, `draws` which node a tensor gets random numbers from.
    """
    found = []
    for output in outputs:
        bad = [part for part in output.parts if _trouble(part)] or [output.whole]
        for part in bad:
            trouble = _trouble(part)
            if trouble is not None and (part.similarity.elements or not output.unlike):
                random = draws(part.tensor)
                known = None if random is not None else culprit(part.tensor)
                sentence = _sentence(output.name, part, trouble, model, known, made_up, mode)
                found.append(sentence if random is None else _drawn(output.name, part, trouble, random))
        if output.unlike:
            found.append(_unlike(output))
    return tuple(found)


def accuracy_warnings(accuracy: Accuracy | None, outputs: Sequence[OutputReport]) -> tuple[str, ...]:
    """A sentence where the float model is no better than chance, within two standard deviations, or right below 5 %."""
    if accuracy is None or accuracy.samples < _FEWEST_LABELS:
        return ()
    counts = [output.classes.classes for output in outputs if output.name == accuracy.output and output.classes is not None]
    chance = 1.0 / counts[0] if counts else 0.0
    bound = max(_LOWEST_ACCURACY, chance + 2.0 * math.sqrt(chance * (1.0 - chance) / accuracy.samples))
    if accuracy.float_top1 > bound:
        return ()
    return (
        f"the float model itself is right on {accuracy.float_top1:.2%} of {accuracy.samples} labelled samples, no better than "
        "chance, so the preprocessing is probably wrong; try another --preset, --scale, --mean, --std, --channels or --layout, "
        "and check --labels",
    )


def beyond_calibration(layers: Sequence[LayerReport], inputs: Collection[str]) -> list[LayerReport]:
    """The inputs that samples drive beyond the range which calibration has met, so that nothing behind them can be right."""
    return [
        layer
        for layer in layers
        if layer.tensor in inputs and layer.similarity.sqnr_db < LOST_DB and layer.codes.at_ends > _BEYOND
    ]


def input_warnings(layers: Sequence[LayerReport], inputs: Collection[str], model: str) -> tuple[str, ...]:
    """A sentence for each such input."""
    return tuple(
        f"{layer.codes.at_ends:.0%} of the elements of input {layer.tensor} lie at or beyond the ends of the range that it was "
        "calibrated for; check the preprocessing, or calibrate with samples like these: "
        f"qconv quantize {shlex.quote(model)} --data DATA"
        for layer in beyond_calibration(layers, inputs)
    )


def first_loss(graph: ir.Graph, layers: Sequence[LayerReport]) -> Culprit:
    """Names the first node of the graph that is below 20 dB among those that a tensor is computed from.

    Where reals are quantized, as behind a float node, it is the node that reads their codes.
    """
    lost = {layer.tensor: layer for layer in layers if layer.similarity.sqnr_db < LOST_DB}

    def culprit(tensor: str) -> str | None:
        reached = _ancestors(graph, tensor)
        values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
        first = next((value for value in values if value in reached and value.name in lost), None)
        if first is None:
            return None
        layer = lost[str(first.name)]
        if not TRAITS.get(("", layer.op_type), Trait.NONE) & Trait.QUANTIZES:
            return layer.node
        return next((str(user.name) for user in first.consumers() if reached.intersection(user.outputs)), None)

    return culprit


def random_source(graph: ir.Graph) -> Culprit:
    """Names a node that draws random numbers which a tensor is computed from."""
    drawn = [node for node in graph if TRAITS.get((node.domain, node.op_type), Trait.NONE) & Trait.DRAWS]

    def source(tensor: str) -> str | None:
        reached = _ancestors(graph, tensor) if drawn else set()
        return next((str(node.name) for node in drawn if reached.intersection(node.outputs)), None)

    return source


def _ancestors(graph: ir.Graph, tensor: str) -> set[ir.Value]:
    """The value of that name and all that it is computed from."""
    pending = [value for node in graph for value in node.outputs if value.name == tensor]
    reached = set(pending)
    while pending:
        producer = pending.pop().producer()
        new = [value for value in producer.inputs if value is not None and value not in reached] if producer is not None else []
        reached.update(new)
        pending.extend(new)
    return reached


def _unlike(output: OutputReport) -> str:
    return (
        f"output {output.name} has another size in the integer model in {counted(output.unlike, 'sample')}, as its size follows "
        "from its values, and no figure is of these; score both models on labelled data"
    )


def _trouble(part: PartReport) -> str | None:
    if part.dead:
        return "takes fewer than 4 values while the float model's moves"
    if math.isinf(part.similarity.max_error) and part.similarity.elements:
        return "is not finite in the same places as the float model's"
    if part.similarity.sqnr_db < LOST_DB:
        return f"has an SQNR of {part.similarity.sqnr_db:.1f} dB, below {LOST_DB:g}"
    if part.band_db is not None and part.band_db < LOST_DB:
        return f"lies far from zero, and what varies in it has an SQNR of {part.band_db:.1f} dB, below {LOST_DB:g}"
    return None


def _sentence(name: str, part: PartReport, trouble: str, model: str, node: str | None, made_up: bool, mode: str) -> str:
    return f"{_where(name, part)} {trouble}{_blame(node)}; try: {' or '.join(_remedies(model, node, made_up, mode))}"


def _drawn(name: str, part: PartReport, trouble: str, node: str) -> str:
    return (
        f"{_where(name, part)} {trouble}; node {node} draws random numbers, so that no two runs of either model agree; make them "
        "an input of the model"
    )


def _where(name: str, part: PartReport) -> str:
    return f"output {name}" if part.tensor == name else f"the part {part.tensor} of output {name}"


def _blame(node: str | None) -> str:
    return "" if node is None else f"; node {node} lost it first"


def _remedies(model: str, node: str | None, made_up: bool, mode: str) -> Iterator[str]:
    command = f"qconv quantize {shlex.quote(model)}"
    if mode != "static":
        yield f"{command} --mode {mode} with more --weight-bits" + (" or a smaller --group" if mode == "weight-only" else "")
        return
    if made_up:
        yield f"{command} --data DATA"
    if node is not None:
        yield f"{command} --exclude {shlex.quote(glob.escape(node))}"
    if not made_up:
        yield f"{command} --method auto"
