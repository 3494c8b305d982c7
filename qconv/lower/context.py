"""What every lowering rule works with: what the plan says, the codes of float tensors, and a builder of integer nodes.

Lowering edits the graph in place. A rule asks for the codes of its inputs, emits integer nodes in front of the float node
and says which codes stand for its outputs. Float tensors that something still reads get a DequantizeLinear at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ArtifactError
from qconv.lower.builder import Builder
from qconv.lower.requantize import requantize
from qconv.lower.values import Codes, Wide
from qconv.model.graph import const_array
from qconv.ops.forms import bias_of
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.remark import Remark
from qconv.quant.grids import Grid
from qconv.quant.types import IntArray, QuantParams
from qconv.targets import Target


class Context(Builder):
    """The state of one lowering: the plan, and which integers stand for which float tensor so far."""

    def __init__(self, graph: ir.Graph, plan: QuantPlan, target: Target, grid: Grid = Grid.FREE) -> None:
        super().__init__(graph)
        self.plan, self.target, self.grid = plan, target, grid
        self.borders: dict[ir.Value, QuantParams] = {}
        self.notes: list[Remark] = []
        self._codes: dict[ir.Value, Codes] = {}
        self._wide: dict[ir.Value, Wide] = {}
        self._kept: set[ir.Node] = set()
        self._with_reals: set[ir.Value] = set()

    def params(self, value: ir.Value | None) -> QuantParams:
        """What the plan decides about a float tensor. Raises ArtifactError where it says nothing."""
        name = str(value.name) if value is not None else ""
        if name not in self.plan.tensors:
            raise ArtifactError(f"the plan has no parameters for tensor {name}; plan the model anew")
        return self.plan.tensors[name]

    def weight_codes(self, value: ir.Value) -> IntArray | None:
        """The codes of a weight in the layout of the float weight, where the plan has some; `check_plan` has seen them."""
        return self.plan.weight_codes.get(str(value.name))

    def bias(self, node: ir.Node) -> NDArray[np.floating] | None:
        """The bias of a layer of weights: that of the plan, else the float model's."""
        planned = self.plan.biases.get(str(node.inputs[1].name)) if node.inputs[1] is not None else None
        return bias_of(node) if planned is None else planned

    def codes(self, value: ir.Value | None) -> Codes:
        """The codes of a float tensor: those of its integer producer, a quantized constant, or a new QuantizeLinear."""
        assert value is not None
        if value not in self._codes:
            array = const_array(value)
            if array is not None:
                return self.constant_codes(array, self.params(value), f"{value.name}_quantized")
            self._codes[value] = self._quantize(value)
        return self._codes[value]

    def codes_as(self, value: ir.Value | None, params: QuantParams) -> Codes:
        """The codes of a float tensor under other parameters, rescaled where they differ."""
        assert value is not None
        array = const_array(value)
        if array is not None:
            return self.constant_codes(array, params, f"{value.name}_quantized")
        codes = self.codes(value)
        return codes if codes.params == params else requantize(self, codes, params, str(value.name), self.grid)

    def constant_codes(self, array: NDArray[np.floating], params: QuantParams, wish: str) -> Codes:
        """A constant, quantized now."""
        return Codes(self.initializer(params.quantize(array), wish), params)

    def has_reals(self, value: ir.Value) -> bool:
        """Whether the float tensor itself is there, its codes made by a QuantizeLinear."""
        return value in self._with_reals

    def keep(self, node: ir.Node) -> None:
        """Says that a float graph's node itself goes on in the integer graph."""
        self._kept.add(node)

    def is_kept(self, node: ir.Node) -> bool:
        """Whether `keep` was called for a node."""
        return node in self._kept

    def lowered(self) -> Mapping[ir.Value, Codes]:
        """All float tensors that have codes."""
        return self._codes

    def set_codes(self, value: ir.Value, codes: Codes) -> None:
        """Says that `codes` stand for the float tensor `value`."""
        self._codes[value] = codes

    def wide(self, value: ir.Value) -> Wide | None:
        """The wide integers of a float tensor, where the plan says that it has some."""
        return self._wide.get(value)

    def set_wide(self, value: ir.Value, wide: Wide) -> None:
        """Says that `wide` stands for the float tensor `value` too, if the plan says that it is wide."""
        if str(value.name) in self.plan.wide:
            self._wide[value] = wide

    def alias(self, value: ir.Value, codes: Codes, source: ir.Value) -> None:
        """Lets `value` share the codes of `source`; they take its name when nothing else reads them under the old one."""
        self._codes[value] = codes
        if len(source.uses()) != 1 or source.is_graph_output() or self._tensor_of(codes.value) != source.name:
            return
        codes.value.name = self.names.fresh(f"{value.name}_quantized")
        held: ir.Value | None = codes.value
        while held is not None and self._tensor_of(held) == source.name:  # a layer, and the Clip of its narrow type
            maker = held.producer()
            assert maker is not None
            self._rename(maker, held, str(value.name))
            held = maker.inputs[0]

    def _tensor_of(self, value: ir.Value) -> str | None:
        """The float tensor that codes stand for."""
        maker = value.producer()
        meaning = None if maker is None else self.meanings.get(maker)
        return None if maker is None or meaning is None else meaning.tensors[maker.outputs.index(value)]

    def _rename(self, maker: ir.Node, value: ir.Value, tensor: str) -> None:
        meaning, place = self.meanings[maker], maker.outputs.index(value)
        self.meanings[maker] = replace(meaning, tensors=(*meaning.tensors[:place], tensor, *meaning.tensors[place + 1 :]))

    def _quantize(self, value: ir.Value) -> Codes:
        self._with_reals.add(value)
        params = self.params(value)
        scale, zero_point = self.scale_and_zero_point(params, str(value.name))
        name = f"{value.name}/quantize"
        # The layer that happens to ask for the codes is not their source.
        return self.emit_codes("QuantizeLinear", [value, scale, zero_point], value, params, name=name, source=name)
