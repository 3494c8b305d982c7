"""`import_quantized`: operators on codes are taken apart into pairs, and the pairs into pins."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from qconv.errors import ModelError
from qconv.model.traits import Trait, has_trait
from qconv.quant.pins import Pins
from qconv.sentences import counted

from .attention import is_attention_of_codes, take_attention_apart
from .averages import averages_to_layers
from .channel_steps import even_channel_steps
from .fold_parameters import fold_parameters
from .grids import weights_on_grids
from .integer_products import take_products_apart
from .pairs import Pairs
from .unfuse import unfuse_operators
from .unfuse_scores import unfuse_scores


@dataclass(frozen=True)
class Imported:
    """The parameters that a graph had, how many pairs they come from, and sentences about those that are not used."""

    pins: Pins
    pairs: int
    notes: tuple[str, ...]


def is_quantized(model: ir.Model) -> bool:
    """Whether a graph has codes in it."""
    return any(has_trait(node, Trait.ON_CODES) or is_attention_of_codes(node) for node in model.graph.all_nodes())


def import_quantized(model: ir.Model) -> Imported:
    """Turns a quantized graph into a float one, in place. Raises ModelError where a node has no float counterpart."""
    fold_parameters(model)
    take_attention_apart(model)
    take_products_apart(model)
    unfuse_operators(model)
    unfuse_scores(model)
    averages = tuple(averages_to_layers(model))
    even_channel_steps(model)
    pairs = Pairs(model)
    pairs.remove()
    left = [node for node in model.graph.all_nodes() if has_trait(node, Trait.ON_CODES) and not pairs.is_border(node)]
    if left and left[0].graph is not model.graph:
        raise ModelError(
            f"node {left[0].name} ({left[0].op_type}) is within a branch or a loop, where codes stay as they are; fix what "
            "decides it with --pin, or give the float model"
        )
    if left:
        raise ModelError(
            f"node {left[0].name} ({left[0].op_type}) computes with codes in a way that has no float counterpart here; "
            "give the float model, or one with QuantizeLinear and DequantizeLinear"
        )
    pins = pairs.pins().under(Pins(weights=averages))
    found = tuple(weights_on_grids(model, pins))
    notes = [f"{counted(len(found), 'weight')} without scales kept as codes, as whole multiples of a step"] if found else []
    return Imported(pins.under(Pins(weights=found)), pairs.count, (*pairs.notes, *notes))
