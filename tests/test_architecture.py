"""The house rules that code can check: which way imports go, what the public API offers, and that only the CLI prints."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx
import pytest

import qconv
from qconv.targets import TARGETS

PACKAGE = Path(qconv.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
PARTS = {path.stem for path in PACKAGE.iterdir()}

# What each part may import besides itself. `errors` and `quant` know no graph; stages know each other only where it says so.
BASE = {"errors", "config", "quant", "model", "ops"}
CALIBRATION = {"data", "statistics", "ranges", "data_free"}
STAGES = {"import_", "prepare", "plan", "recover", "analyze", "modes", "lower", "tuning", "integer", "verify", "export"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "sentences": set(),
    "arguments": {"errors"},
    "quant": {"errors"},
    "targets": {"errors"},
    "config": {"errors", "quant", "targets"},
    "config_file": {"errors", "config", "model.near_paths", "model.text_files"},
    "model": {"errors", "quant"},
    "ops": {"errors", "quant", "model"},
    "prepare": BASE,
    "import_": BASE | {"integer"},
    "data": {"errors", "quant", "model"},
    "autodiff": {"errors", "quant", "model", "ops"},
    "statistics": {"errors", "quant", "model", "ops", "data"},
    "data_free": BASE | {"data", "statistics", "autodiff"},
    "ranges": BASE | {"data", "statistics", "plan"},
    "plan": BASE | {"targets"},
    "recover": BASE | {"data", "plan", "ranges", "statistics", "targets"},
    "analyze": BASE | {"plan", "ranges", "recover", "statistics"},
    "lower": BASE | {"plan", "integer", "tuning", "targets"},
    "tuning": {"errors", "quant", "model", "ops", "integer", "targets"},
    "integer": {
        "errors",
        "quant.certify",
        "quant.fixedpoint",
        "quant.types",
        "model",
    },  # it judges what `lower` makes by other arithmetic
    "export": BASE | {"integer", "import_"},
    "verify": BASE | {"integer", "data", "targets"},
    "train": BASE | {"plan", "lower", "targets"},
    "report": BASE | {"targets", "integer", "statistics", "verify"},
    "plot": BASE | {"statistics", "ranges", "analyze"},
    "modes": BASE | {"plan", "recover", "statistics"},  # activations in float
    "pipeline": BASE | CALIBRATION | STAGES | {"targets", "train", "report", "version"},
    "engines": BASE | {"pipeline", "statistics", "data", ""},
    "cli": BASE | CALIBRATION | STAGES | {"config_file", "targets", "engines", "pipeline", "plot", "version", ""},
    "version": set(),
    "": {
        "version",
        "errors",
        "pipeline",
        "config",
        "config_file",
        "analyze",
        "plan",
        "statistics",
        "verify",
    },  # the package itself, which is lazy
    "__main__": {"cli"},
}
# Libraries that a part must not know.
FORBIDDEN = {"quant": {"onnx", "onnx_ir", "onnxruntime", "onnxscript"}, "errors": {"numpy", "onnx", "onnx_ir", "onnxruntime"}}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(path, node)
            yield module
            if module == "qconv":
                yield from (f"qconv.{alias.name}" for alias in node.names if alias.name in PARTS)


def absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parents = ("qconv", *path.relative_to(PACKAGE).parts)[: -node.level]
    return ".".join((*parents, *([node.module] if node.module else [])))


def may_import(importer: str, imported: str) -> bool:
    part = importer.partition(".")[0]
    own = imported.partition(".")[0] in (
        part,
        "sentences",
        "arguments",
    )  # these know nothing of the rest, and everyone may use them
    return own or any(imported == name or imported.startswith(f"{name}.") for name in ALLOWED[part] if name or imported == "")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    importer = name_of(path)
    found = {name for name in imports(path) if name.partition(".")[0] == "qconv"}
    inward = {name.partition(".")[2] for name in found}
    wrong = sorted(f"qconv.{name}".rstrip(".") for name in inward if not may_import(importer, name))
    assert not wrong, f"qconv.{importer} must not import {', '.join(wrong)}"


def within(path: Path) -> set[str]:
    """The other files of the package that a file imports, wherever the statement stands, by their names."""
    known = {name_of(module): module for module in MODULES}
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            module = absolute(path, node).removeprefix("qconv").removeprefix(".")
            parts = {f"{module}.{alias.name}".strip(".") for alias in node.names} & known.keys()
            found |= parts or {module}
    return found & known.keys() - {name_of(path)}


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path).startswith("verify.")], ids=name_of)
def test_rooms_of_verify_import_one_way(path: Path) -> None:
    """What measures knows of no other room, layers and exactness of no report, and nothing of the whole."""
    rooms = ["measure", "layers", "exact", "report", "verify"]
    place = rooms.index(name_of(path).split(".")[1])
    others = {name.split(".")[1] for name in within(path) if name.startswith("verify.")}
    assert others <= set(rooms[: place + 1]) - ({"layers"} if rooms[place] == "exact" else set())


def test_no_files_import_each_other_in_a_circle() -> None:
    """The sorter names the files of a circle in its error."""
    assert list(TopologicalSorter({name_of(path): within(path) for path in MODULES}).static_order())
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_libraries_stay_out(path: Path) -> None:
    forbidden = FORBIDDEN.get(name_of(path).partition(".")[0], set())
    assert not {name.partition(".")[0] for name in imports(path)} & forbidden


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_pictures_know_matplotlib(path: Path) -> None:
    found = {name for name in imports(path) if name.partition(".")[0] == "matplotlib"}
    assert not found or name_of(path).startswith("plot.")
    assert not any("pyplot" in name for name in found)  # it keeps figures in global state


def op_lists(path: Path) -> Iterator[str]:
    """Places where a file compares a node's op type with names, or lists names of operators."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare | ast.Match):
            subject = node.left if isinstance(node, ast.Compare) else node.subject
            asked = any(isinstance(part, ast.Attribute) and part.attr in ("op_type", "op") for part in ast.walk(subject))
            if asked and any(is_operator(text(part) or "") for part in ast.walk(node)):
                yield f"line {node.lineno}"
        elif isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
            parts = node.keys if isinstance(node, ast.Dict) else node.elts
            names = [name for part in parts if part is not None and (name := text(part)) and is_operator(name)]
            if len(names) > 1:
                yield f"line {node.lineno}: {', '.join(names)}"


def is_operator(name: str) -> bool:
    return onnx.defs.has(name) or name.startswith("QLinear") or name == "QGemm"


def text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


# Where knowledge about operators lives: traits, the op table and its rules, the rules of gradients and of old operators.
KNOWS_OPS = (
    "ops.",
    "lower.",
    "prepare.",
    "integer.language.",
    "integer.execution.kernels.",
    "verify.exact.additions",
    "tuning.",
    "autodiff.",
    "import_.",
    "export.layers",
    "export.operators",
    "export.tflite.",
    "train.onnx_",
    "train.sizes",
    "train.from_onnx",
    "model.traits",
    "model.edit",
    "model.meaning",
    "model.newer_",
    "model.opset",
    "model.qonnx",
)


@pytest.mark.parametrize("path", [path for path in MODULES if not name_of(path).startswith(KNOWS_OPS)], ids=name_of)
def test_operators_are_known_in_one_place(path: Path) -> None:
    assert list(op_lists(path)) == []


def test_lists_of_operators_are_found_at_all() -> None:
    assert list(op_lists(PACKAGE / "model" / "meaning.py"))
    assert list(op_lists(PACKAGE / "autodiff" / "layer_rules.py"))


@pytest.mark.parametrize(
    "code", ['a = step.op == "Clip"', 'a = {"QLinearAdd", "QGemm"}', 'a = node.op_type in ("Add",)', 'a = ["Conv", "Gemm"]']
)
def test_a_new_list_of_operators_is_found(code: str, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(code)
    assert list(op_lists(tmp_path / "m.py"))


def target_names(path: Path) -> Iterator[str]:
    """Places where a file compares something with the name of a target."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare | ast.Match) and any(text(part) in TARGETS for part in ast.walk(node)):
            yield f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_target_is_asked_for_what_it_is_and_not_for_its_name(path: Path) -> None:
    assert list(target_names(path)) == []


def test_questions_for_the_name_of_a_target_are_found_at_all(tmp_path: Path) -> None:
    for number, code in enumerate(
        ('a = b.name == "x86"', 'a = c in ("arm", "portable")', 'match a:\n    case "x86-vnni":\n        b = 1')
    ):
        path = tmp_path / f"m{number}.py"
        path.write_text(code)
        assert list(target_names(path)) == ["line 1"]


def test_the_arrows_are_checked_at_all() -> None:
    assert not may_import("integer.execution.executor", "lower.conv")
    assert not may_import("integer.execution.kernels.tables", "quant.tables")
    assert not may_import("quant.fixedpoint", "model.graph")
    assert not may_import("verify.layers.reports", "statistics.observe")
    assert not may_import("prepare.simplify", "cli.main")
    assert not may_import("statistics.calibration", "plot.album")
    assert may_import("verify.layers.reports", "data.source")
    assert may_import("lower.conv", "plan.quant_plan")


def test_public_api_is_sorted_and_complete() -> None:
    assert qconv.__all__ == sorted(qconv.__all__)
    assert len(set(qconv.__all__)) == len(qconv.__all__)
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.asname or alias.name
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == set(qconv.__all__)
    assert set(qconv.__all__) <= set(dir(qconv))


@pytest.mark.parametrize("name", qconv.__all__)
def test_public_name_loads_and_is_documented(name: str) -> None:
    value = getattr(qconv, name)
    assert callable(value)
    assert value.__doc__


def test_functions_are_not_replaced_by_packages_of_their_name() -> None:
    code = "import qconv.data.source, qconv.verify.measure.metrics; print(qconv.calibrate.__module__, qconv.verify.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["qconv.pipeline.calibrate", "qconv.pipeline.verify"]


def test_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        getattr(qconv, "nothing_of_that_name")  # noqa: B009 - mypy rejects the attribute


def test_importing_qconv_loads_no_heavy_library() -> None:
    heavy = "{'matplotlib', 'onnx', 'onnx_ir', 'onnxruntime', 'onnxscript', 'numpy'}"
    code = f"import sys, qconv; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_pipeline_loads_no_matplotlib() -> None:
    code = "import sys, qconv.pipeline, qconv.cli.main; print(*{'matplotlib', 'qconv.plot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", [path for path in MODULES if not name_of(path).startswith("cli")], ids=name_of)
def test_only_the_cli_prints(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            printing = {"print", "click.echo", "click.secho", "rich.print", "sys.stdout.write", "sys.stderr.write"}
            assert called not in printing, f"{path} line {node.lineno} prints"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_imports(path: Path) -> None:
    if name_of(path).startswith("train"):
        pytest.importorskip("torch")
    if name_of(path).startswith("export.tflite"):
        pytest.importorskip("tflite")
    importlib.import_module(f"qconv.{name_of(path)}".rstrip("."))
