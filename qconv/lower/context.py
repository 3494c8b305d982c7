"""What every lowering rule works with: codes of float tensors, new integer nodes, their metadata.

Lowering edits the graph in place. A rule asks for the codes of its inputs, emits integer nodes in front of the float node
and says which codes stand for its outputs. Float tensors that something still reads get a DequantizeLinear at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from qconv.errors import ArtifactError
from qconv.integer.metadata import Meaning
from qconv.lower.affine import certified_affine
from qconv.lower.values import Codes, Wide
from qconv.model.graph import const_array
from qconv.model.names import Names
from qconv.ops.forms import bias_of
from qconv.plan.quant_plan import QuantPlan
from qconv.plan.remark import Remark
from qconv.quant.certify import Certificate
from qconv.quant.fixedpoint import Multiplier
from qconv.quant.types import FloatArray, IntArray, QuantParams
from qconv.targets import Target

MS = "com.microsoft"
Attribute = int | float | str | Sequence[int]


class Context:
    """The state of one lowering: the graph, the plan, and the codes made so far."""

    def __init__(self, graph: ir.Graph, plan: QuantPlan, target: Target) -> None:
        self.graph, self.plan, self.target = graph, plan, target
        self.meanings: dict[ir.Node, Meaning] = {}
        self.borders: dict[ir.Value, QuantParams] = {}
        self.notes: list[Remark] = []
        self.names = Names(graph)
        self._codes: dict[ir.Value, Codes] = {}
        self._wide: dict[ir.Value, Wide] = {}
        self._node: ir.Node | None = None
        self._kept: set[ir.Node] = set()
        self._with_reals: set[ir.Value] = set()
        self._pairs: dict[tuple[bytes, bytes, str], tuple[ir.Value, ir.Value]] = {}

    # --- parameters and codes ---------------------------------------------------------------------------------------------

    def begin(self, node: ir.Node | None) -> None:
        """Makes `node` the one being lowered: new nodes go in front of it, or to the end of the graph."""
        self._node = node

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
        return codes if codes.params == params else self.requantize(codes, params, str(value.name))

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

    # --- nodes ------------------------------------------------------------------------------------------------------------

    def initializer(self, array: NDArray[np.generic], wish: str) -> ir.Value:
        """A new constant of its own, named after `wish`."""
        name = self.names.fresh(wish)
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def scale_and_zero_point(self, params: QuantParams, wish: str, scale: FloatArray | None = None) -> tuple[ir.Value, ir.Value]:
        """The two constants of `params`; `scale` overrides the scale (a nudged one).

        Unsigned activations with equal parameters share them. A weight has its own: onnxruntime has crashed on a weight zero
        point that two nodes shared.
        """
        chosen = params.scale if scale is None else np.asarray(scale, np.float32)
        zero_point = np.broadcast_to(params.zero_point, chosen.shape).astype(params.int_type.dtype)
        key = (chosen.tobytes(), zero_point.tobytes(), zero_point.dtype.str)
        if key not in self._pairs or params.int_type.signed:
            self._pairs[key] = self.initializer(chosen, f"{wish}_scale"), self.initializer(zero_point, f"{wish}_zero_point")
        return self._pairs[key]

    def emit(
        self, op_type: str, inputs: Sequence[ir.Value | None], like: ir.Value, dtype: ir.DataType, *,
        name: str, output: str, domain: str = "", attributes: Mapping[str, Attribute | ir.Attr] | None = None,
    ) -> ir.Value:  # fmt: skip
        """A new node in front of the one being lowered; its single output has the shape of `like`."""
        attrs = [a if isinstance(a, ir.Attr) else ir.convenience.convert_attribute(k, a) for k, a in (attributes or {}).items()]
        result = ir.Value(name=self.names.fresh(output), type=ir.TensorType(dtype), shape=like.shape)
        node = ir.Node(domain, op_type, inputs, attrs, outputs=[result], name=self.names.fresh_node(name))
        if self._node is None:
            self.graph.append(node)
        else:
            self.graph.insert_before(self._node, node)
        return result

    def emit_codes(
        self, op_type: str, inputs: Sequence[ir.Value | None], tensor: ir.Value, params: QuantParams, *,
        name: str | None = None, output: str | None = None, final: bool = True, source: str | None = None, domain: str = "",
        attributes: Mapping[str, Attribute | ir.Attr] | None = None, multiplier: Sequence[Multiplier] = (),
        certificate: Certificate | None = None, clamp: bool = True,
    ) -> Codes:  # fmt: skip
        """A quantized node whose output has the shape of `tensor`; narrow types get a Clip behind it.

        Its codes stand for the float tensor `tensor` where they are `final`, and for none on the way to it. `source` is the
        float node that it comes from, by default the one being lowered.
        """
        assert self._node is not None
        source = source or str(self._node.name)
        value = self.emit(
            op_type, inputs, tensor, ir.DataType.from_numpy(params.int_type.dtype),
            name=name or source, output=output or f"{tensor.name}_quantized", domain=domain, attributes=attributes,
        )  # fmt: skip
        maker = value.producer()
        assert maker is not None
        stands_for = str(tensor.name) if final else None
        self.meanings[maker] = Meaning(source, (stands_for,), params, tuple(multiplier), certificate)
        codes = Codes(value, params)
        if not clamp:
            return codes
        return self.clip(codes, tensor, params.int_type.qmin, params.int_type.qmax, final=final, source=source)

    def emit_split(
        self,
        inputs: Sequence[ir.Value | None],
        tensors: Sequence[ir.Value],
        params: QuantParams,
        attributes: Mapping[str, ir.Attr],
    ) -> list[Codes]:
        """A Split of codes: one output for each of the float tensors `tensors`."""
        assert self._node is not None
        dtype = ir.TensorType(ir.DataType.from_numpy(params.int_type.dtype))
        results = [ir.Value(name=self.names.fresh(f"{t.name}_quantized"), type=dtype, shape=t.shape) for t in tensors]
        node = ir.Node(
            "", "Split", inputs, list(attributes.values()), outputs=results, name=self.names.fresh_node(str(self._node.name))
        )
        self.graph.insert_before(self._node, node)
        self.meanings[node] = Meaning(str(self._node.name), tuple(str(t.name) for t in tensors), params)
        return [Codes(result, params) for result in results]

    def shape_of(self, output: ir.Value, like: ir.Value, wish: str) -> ir.Value:
        """The shape of a float tensor as an int64 tensor: a constant if one size at most is unknown, else the shape of `like`."""
        sizes = [d if isinstance(d, int) else -1 for d in output.shape] if output.shape is not None else [-1, -1]
        if sizes.count(-1) <= 1:
            return self.initializer(np.asarray(sizes, np.int64), f"{wish}_shape")
        rank = ir.Value(shape=ir.Shape([len(like.shape) if like.shape is not None else None]))
        return self.emit("Shape", [like], rank, ir.DataType.INT64, name=f"{wish}/shape", output=f"{wish}_shape")

    def clip(
        self, codes: Codes, tensor: ir.Value, lo: int, hi: int, *,
        name: str | None = None, final: bool = True, source: str | None = None,
    ) -> Codes:  # fmt: skip
        """An integer Clip to [lo, hi], unless the container or the type keeps the codes there anyway."""
        limits = np.iinfo(codes.params.int_type.dtype)
        if lo <= limits.min and hi >= limits.max:
            return codes
        assert self._node is not None
        dtype = codes.params.int_type.dtype
        bounds = [
            self.initializer(np.asarray(max(lo, limits.min), dtype), f"{tensor.name}_lowest"),
            self.initializer(np.asarray(min(hi, limits.max), dtype), f"{tensor.name}_highest"),
        ]
        return self.emit_codes(
            "Clip", [codes.value, *bounds], tensor, codes.params,
            name=name or f"{self._node.name}/clip", final=final, source=source, clamp=False,
        )  # fmt: skip

    def requantize(self, codes: Codes, params: QuantParams, name: str) -> Codes:
        """The same reals under other parameters: a QLinearConcat of one input."""
        scale, certificate = certified_affine(codes.params, params)
        assert self._node is not None
        node_name = f"{self._node.name}/requantize"
        if self.names.has_node(node_name):  # another operand of the same node
            node_name = f"{node_name}/{name}"
        wish = f"{name}_requantized"
        value, scalar = codes.value, codes.value.shape is not None and len(codes.value.shape) == 0
        like = ir.Value(shape=ir.Shape([1])) if scalar else codes.value
        dtype = ir.DataType.from_numpy(params.int_type.dtype)
        if scalar:  # which the kernel does not join
            one = self.initializer(np.asarray([1], np.int64), f"{wish}_shape")
            value = self.emit("Reshape", [value, one], like, dtype, name=f"{node_name}/vector", output=f"{wish}_vector")
        inputs = [
            *self.scale_and_zero_point(params, wish),
            value,
            *self.scale_and_zero_point(codes.params, f"{wish}_from", scale),
        ]
        found = self.emit_codes(
            "QLinearConcat", inputs, like, params, name=node_name, output=wish, final=False, domain=MS,
            attributes={"axis": 0}, multiplier=[Multiplier.of(scale / params.scale)], certificate=certificate,
        )  # fmt: skip
        if not scalar:
            return found
        none = self.initializer(np.asarray([], np.int64), f"{wish}_scalar_shape")
        back = self.emit("Reshape", [found.value, none], codes.value, dtype, name=f"{node_name}/scalar", output=f"{wish}_scalar")
        return Codes(back, params)

    def _quantize(self, value: ir.Value) -> Codes:
        self._with_reals.add(value)
        params = self.params(value)
        scale, zero_point = self.scale_and_zero_point(params, str(value.name))
        name = f"{value.name}/quantize"
        # The layer that happens to ask for the codes is not their source.
        return self.emit_codes("QuantizeLinear", [value, scale, zero_point], value, params, name=name, source=name)
