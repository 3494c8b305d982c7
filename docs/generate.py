"""Writes what can be derived: docs/commands.md from `--help`, docs/ops.md from the op table, the keys in docs/settings.md.

python docs/generate.py            writes them
tests/test_cli_docs.py             fails where a committed page is not what this writes
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from qconv.cli.general import settings_of
from qconv.cli.main import cli
from qconv.ops.op_table import TABLE, OpSpec, Role
from qconv.ops.scale_rules import KINDS

DOCS = Path(__file__).parent
WIDTH = 110
PATTERNS = ("attention", "norm", "gate", "block", "head", "sequence", "control")
CLOSE = 2  # codes

ROLES = {
    Role.DATA: "quantized like any activation; may also be a constant",
    Role.WEIGHT: "a constant: signed, symmetric, one scale for each output channel",
    Role.BIAS: "a constant: int32, scale S_x S_w",
    Role.OPERAND: "a weight as above where it is a constant, else quantized like any activation",
    Role.ARGUMENT: "read as it is where it is constant, else quantized like any activation",
    Role.INTEGER: "integers or truth values: read as they are",
    Role.STATIC: "shapes, indices and bounds: read as they are",
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


def settings_page() -> str:
    """docs/settings.md with the table of all keys between its markers."""
    rows = ["| key | value | what it does | commands |", "|---|---|---|---|"]
    for key, (kind, _) in settings_of(cli).items():
        having = {name: _option(command, key) for name, command in sorted(cli.commands.items()) if key in settings_of(command)}
        helps: dict[str, list[str]] = {}
        for name, option in having.items():
            helps.setdefault(_in_a_cell(option.help or ""), []).append(name)
        texts = [text if len(helps) == 1 else f"{', '.join(names)}: {text}" for text, names in helps.items()]
        choices = dict.fromkeys(word for option in having.values() for word in _choices(option))
        value = ", ".join(f"`{word}`" for word in choices) or kind
        rows.append(f"| `{key}` | {value} | {'<br>'.join(texts)} | {', '.join(having)} |")
    begin, end = "<!-- keys -->\n", "<!-- end of keys -->"
    head, _, rest = (DOCS / "settings.md").read_text(encoding="utf-8").partition(begin)
    return f"{head}{begin}{chr(10).join(rows)}\n{end}{rest.partition(end)[2]}"


def _option(command: click.Command, key: str) -> click.Option:
    return next(option for option in command.params if isinstance(option, click.Option) and f"--{key}" in option.opts)


def _choices(option: click.Option) -> list[str]:
    return [str(choice) for choice in option.type.choices] if isinstance(option.type, click.Choice) else []


def _in_a_cell(text: str) -> str:
    """A help text in one line of a table."""
    return " ".join(text.replace("\b", "").split()).replace("|", "\\|").replace("<", "&lt;")


def ops_page() -> str:
    """The op table: what every float op becomes, and how its parameters follow."""
    rows = [f"| {_op(TABLE[key])} |" for key in sorted(TABLE)]
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
            *(f"- **{rule.name}**: {rule.text}" for rule in KINDS),
            "",
            *_probe(),
        ]
    )


def _probe() -> Iterator[str]:
    """What docs/probe.json tells of forms between two layers, and of patterns."""
    record = json.loads((DOCS / "probe.json").read_text(encoding="utf-8"))
    ops: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, entry in record.items():
        op, _, form = name.partition(" / ")
        ops.setdefault(op, []).append((form, entry))
    patterns = {op: ops.pop(op) for op in PATTERNS}
    forms, wholes = [entry for entries in ops.values() for _, entry in entries], sum(map(len, patterns.values()))
    close = sum(entry["state"] == "integer" and (entry["off"] or 0) <= CLOSE for entry in forms)
    whole = sum(entry["state"] == "integer" for entries in patterns.values() for _, entry in entries)
    yield from (
        "## Forms that were tried",
        "",
        f"{len(forms)} forms of {len(ops)} operators, each between two layers (`tests/probe/forms`), and {wholes} patterns of",
        f"several operators. {close} forms are integer, equal to the executor in every element, and at most {CLOSE} codes from",
        f"the float operator on the same inputs; {whole} patterns are integer and equal. `python -m benchmarks.probe` tries them",
        "all; the tests try each tenth.",
        "",
        "| operator | forms | integer | largest difference in codes |",
        "|---|---|---|---|",
    )
    for op, entries in (*sorted(ops.items()), *patterns.items()):
        integer = [entry["off"] for _, entry in entries if entry["state"] == "integer"]
        largest = max((off for off in integer if off is not None), default=None)
        yield f"| {op} | {len(entries)} | {len(integer)} | {'' if largest is None or op in patterns else largest} |"
    far = [(name, entry) for name, entry in record.items() if (entry["off"] or 0) > CLOSE]
    yield from (
        "",
        f"{len(far)} are integer and exact, and more than {CLOSE} codes from the float operator. Beside that stands by how many",
        "codes the float operator itself moves where its inputs move by half a code, which is as much as 8 bits tell of them.",
        "",
        "| form | codes from float | float moves by |",
        "|---|---|---|",
        *(f"| {name} | {entry['off']} | {entry['moved']} |" for name, entry in far),
    )
    yield from ("", "What is not integer, and why:", "", "| form | reason |", "|---|---|")
    for op, entries in (*sorted(ops.items()), *patterns.items()):
        yield from (f"| {op} / {form} | {entry['text']} |" for form, entry in entries if entry["state"] != "integer")
    yield ""


def _op(spec: OpSpec) -> str:
    roles = ", ".join(role.value for role in spec.roles)
    return " | ".join([spec.op_type, roles, spec.usual_rule.name, spec.becomes, spec.condition])


PAGES = {"commands.md": commands_page, "ops.md": ops_page, "settings.md": settings_page}


def main() -> None:
    """Writes all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
