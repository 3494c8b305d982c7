"""The committed pages that are derived from the code are those that the code gives now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from docs.generate import DOCS, PAGES, WIDTH, commands_page, ops_page
from qconv.cli.main import cli
from qconv.ops.op_table import TABLE
from qconv.ranges.methods import METHODS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), f"docs/{name} is out of date: run `make docs`"


def test_manual_has_every_command_and_option() -> None:
    page = commands_page()
    for name, command in cli.commands.items():
        section = page.partition(f"## qconv {name}\n")[2].partition("\n## ")[0]
        assert section, f"no section on {name}"
        for parameter in command.params:
            for option in parameter.opts:
                assert option in section or option.upper() in section, f"{option} of {name} is missing"


def test_every_option_has_a_help_text() -> None:
    for name, command in cli.commands.items():
        assert command.help, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert getattr(parameter, "help", None), f"{parameter.opts} of {name}"


def test_lines_of_the_manual_are_short() -> None:
    assert max(len(line) for line in commands_page().splitlines()) <= WIDTH


def test_op_page_has_a_row_for_every_op() -> None:
    table = ops_page().partition("## Inputs")[0]
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE) == sorted(op for _, op in TABLE)


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_files_that_pages_name_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for name in re.findall(r"`((?:qconv|tests|docs|sample_models|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), f"docs/{page} names {name}"
    for target in re.findall(r"\]\(([\w./-]+\.md)[^)]*\)", text):
        assert (DOCS / target).exists(), f"docs/{page} links to {target}"


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; from qconv.cli.main import run; run(['--help']); print(*{'numpy', 'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == ""


def test_methods_of_the_command_line_are_those_there_are() -> None:
    choice = next(parameter.type for parameter in cli.commands["calibrate"].params if parameter.name == "method")
    assert isinstance(choice, click.Choice)
    assert sorted(choice.choices) == sorted(METHODS)
