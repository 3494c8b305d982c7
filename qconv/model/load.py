"""A model file as the graph that all stages work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx import inliner, shape_inference
from onnx_ir.passes import common

from qconv.errors import ModelError, QconvError
from qconv.model.ask import ask_onnxruntime
from qconv.model.bit_planes import fold
from qconv.model.declared import Shapes, believe, forget_declared
from qconv.model.finite import check_finite
from qconv.model.half import half_to_float
from qconv.model.names import name_everything
from qconv.model.opset import to_working_opset
from qconv.model.packed import unpack
from qconv.model.read import read_model
from qconv.model.session import check_file


@dataclass(frozen=True)
class LoadedModel:
    """A float model, ready for preparation.

    `ir` has opset 21 and IR 10: nodes sorted and named, functions inlined, constants as initializers, shapes inferred.
    `digest` is the SHA-256, in hex, of the file and its external data. `declared` are shapes that nothing but the file's word
    stands for.
    """

    path: Path
    digest: str
    ir: ir.Model
    declared: Shapes


def load(path: str | Path) -> LoadedModel:
    """Read, check and normalise a model file; external data stays mapped.

    Raises ModelError where the file cannot be read or trusted, where onnxruntime cannot run it, where it has an op without
    an equivalent at opset 21, or a weight that is not finite.
    """
    path = Path(path)
    try:
        file = read_model(path)
        if not file.rewritten:
            check_file(path, optimize=False)
        return LoadedModel(path, file.digest, *_normalise(file.proto, path.resolve().parent))
    except QconvError:
        raise
    except Exception as error:  # the libraries raise whatever they meet in a malformed graph
        raise ModelError(f"{path} has a malformed graph ({_first_line(error)}): export the model again") from error


def _normalise(proto: onnx.ModelProto, folder: Path) -> tuple[ir.Model, Shapes]:
    fold(proto, folder)
    declared = forget_declared(proto.graph)
    model = _to_ir(proto)
    ir.external_data.set_base_dir(model.graph, folder)
    common.RemoveInitializersFromInputsPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    model.graph.sort()
    model = to_working_opset(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    unpack(model)
    doubtful = believe(model.graph, declared)
    ask_onnxruntime(model)
    half_to_float(model)
    check_finite(model)
    name_everything(model)
    return model, doubtful


def _to_ir(proto: onnx.ModelProto) -> ir.Model:
    if proto.functions:
        # Bodies of another opset are converted, for which the types at each call must be known.
        proto = inliner.inline_local_functions(shape_inference.infer_shapes(proto), convert_version=True)
    return ir.from_proto(proto)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
