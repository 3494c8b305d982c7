"""Writes the pages that can be derived: docs/commands.md from `--help`, docs/ops.md from the op table.

python docs/generate.py            writes both
tests/test_cli_docs.py             fails where a committed page is not what this writes
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from qconv.cli.main import cli
from qconv.ops.op_table import TABLE, OpSpec, Role, ScaleRule

DOCS = Path(__file__).parent
WIDTH = 110

ROLES = {
    Role.DATA: "quantized like any activation; may also be a constant",
    Role.WEIGHT: "a constant: signed, symmetric, one scale for each output channel",
    Role.BIAS: "a constant: int32, scale S_x S_w",
    Role.STATIC: "shapes, indices and bounds: read as they are",
}
RULES = {
    ScaleRule.FREE: "from the calibrated range of the output",
    ScaleRule.SAME: "the parameters of the input: the op selects, moves or clamps values",
    ScaleRule.AVERAGES: "the parameters of the input, though the op averages: an AveragePool whose windows differ in size",
    ScaleRule.SHARED: "inputs and output share parameters where their ranges are alike; else the inputs are rescaled",
    ScaleRule.FIXED: "from the mathematics of the op",
    ScaleRule.WITHIN: "from the calibrated range of the output, within what the mathematics of the op allow",
    ScaleRule.SCALED: "the codes stay, and the scale is multiplied: Mul by a positive constant scalar",
    ScaleRule.NONE: "there is no float output",
}


def commands_page() -> str:
    """The manual: the help of the tool and of every command."""
    parts = [
        "# Commands",
        "Made from `--help` by `make docs`; do not edit.",
        *(f"## {title}\n\n```\n{text}\n```" for title, text in _helps()),
    ]
    return "\n\n".join(parts) + "\n"


def _helps() -> Iterator[tuple[str, str]]:
    root = cli.make_context("qconv", [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    yield "qconv", cli.get_help(root)
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        yield f"qconv {name}", command.get_help(click.Context(command, parent=root, info_name=name))


def ops_page() -> str:
    """The op table: what every float op becomes, and how its parameters follow."""
    rows = [f"| {_op(spec)} |" for _, spec in sorted(TABLE.items())]
    return "\n".join(
        [
            "# Operators",
            "",
            "Made from `qconv/ops/op_table.py` by `make docs`; do not edit.",
            "",
            f"These {len(TABLE)} float operators become integer ones. Whatever is not among them stays in float between a",
            "DequantizeLinear and a QuantizeLinear, and the report says why. [How to add one](adding-an-op.md).",
            "",
            "| float op | inputs | scale of the output | becomes | condition |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## Inputs",
            "",
            *(f"- **{role.value}**: {text}" for role, text in ROLES.items()),
            "",
            "The last role that a row names holds for all further inputs.",
            "",
            "## Scales",
            "",
            *(f"- **{rule.value}**: {text}" for rule, text in RULES.items()),
            "",
        ]
    )


def _op(spec: OpSpec) -> str:
    roles = ", ".join(role.value for role in spec.roles)
    return " | ".join([spec.op_type, roles, spec.rule.value, spec.becomes, spec.condition])


PAGES = {"commands.md": commands_page, "ops.md": ops_page}


def main() -> None:
    """Writes all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
