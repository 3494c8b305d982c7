from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from qconv.errors import ModelError
from qconv.model.load import load
from qconv.model.read import read_model

from .files import external, linear, write


@pytest.mark.parametrize("length", [1, 10, 60, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    path = write(tmp_path, linear())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"m\.onnx"):
        load(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"this is not a model\n", "is not an ONNX model"),
        (b"\x80\x02}q\x00.", "is not an ONNX model"),
        (onnx.ModelProto(ir_version=10).SerializeToString(), "holds no graph"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=sentence) as refusal:
        load(path)
    assert "\n" not in str(refusal.value)


def test_missing_files_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        load(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="is not a file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="is not a file"):
        load(tmp_path / "pipe.onnx")


def test_a_sparse_file_of_more_than_2_gb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(ModelError, match="larger than 2 GB"):
        load(path)


@pytest.mark.parametrize(
    ("opset", "ir_version", "sentence"),
    [(99, 10, "has opset 99, and the newest known here is"), (21, 99, "has IR version 99, and the newest known here is")],
)
def test_newer_versions_are_refused(tmp_path: Path, opset: int, ir_version: int, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        load(write(tmp_path, linear(opset, ir_version)))


def test_a_model_without_an_opset_is_refused(tmp_path: Path) -> None:
    proto = linear()
    del proto.opset_import[:]
    with pytest.raises(ModelError, match="names no opset"):
        load(write(tmp_path, proto))


@pytest.mark.parametrize(("domain", "name"), [("my.domain", "my.domain.Warp"), ("", "Warp")])
def test_custom_ops_are_refused_by_name(tmp_path: Path, domain: str, name: str) -> None:
    proto = linear()
    proto.graph.node[0].op_type, proto.graph.node[0].domain, proto.graph.node[0].name = "Warp", domain, "bend"
    proto.opset_import.add(domain="my.domain", version=1)
    with pytest.raises(ModelError, match=f"node 'bend' is the custom op {name}, which"):
        load(write(tmp_path, proto))


def test_custom_ops_in_subgraphs_are_refused(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
    g (bool c, float[2] x) => (float[2] y)
    { y = If (c) <then_branch = t () => (float[2] a) { a = my.Warp(x) }, else_branch = e () => (float[2] b) { b = Neg(x) }> }"""
    with pytest.raises(ModelError, match=r"custom op my\.Warp"):
        load(write(tmp_path, text))


def test_the_digest_covers_the_file_and_its_external_data(tmp_path: Path) -> None:
    path = write(tmp_path, linear())
    assert load(path).digest == hashlib.sha256(path.read_bytes()).hexdigest()

    weight = np.ones((3, 2), np.float32)
    proto = linear()
    proto.graph.initializer[0].CopyFrom(external("w", weight, "w.bin"))
    (tmp_path / "w.bin").write_bytes(weight.tobytes())
    path = write(tmp_path, proto)
    assert read_model(path).digest == hashlib.sha256(path.read_bytes() + weight.tobytes()).hexdigest()


def test_maps_are_refused_with_what_to_export_instead(tmp_path: Path) -> None:
    proto = linear()
    maps = onnx.helper.make_map_type_proto(
        onnx.TensorProto.INT64, onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    )
    proto.graph.output.append(onnx.helper.make_value_info("scores", onnx.helper.make_sequence_type_proto(maps)))
    with pytest.raises(ModelError, match="'scores' holds maps, not a tensor, as ZipMap makes them"):
        read_model(write(tmp_path, proto))
