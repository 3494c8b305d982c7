"""Reads the forms and patterns of tests/probe/forms.

op / name: FIRST LAYER
    before: what computes the inputs of the op from h and g
    inputs: further inputs        below: the bound of their integers        shape: of y        opset: 21 unless said
    ends: yes                     where y is an output, and no layer reads it
    the body
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tests.probe import form
from tests.probe.form import Form, Layer

_FOLDER = Path(__file__).parent / "forms"
_HEAD = re.compile(r"(?P<op>\S+(?: decomposed| none)?) / (?P<name>.+): (?P<first>[A-Z0-9_]+)")
_KEY = re.compile(r"(before|inputs|below|shape|opset|ends): (.+)")


def read_forms(name: str) -> list[Form]:
    """The forms of one file."""
    found: list[Form] = []
    for line in (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            found.append(_head(line))
        elif key := _KEY.fullmatch(line.strip()):
            found[-1] = _with(found[-1], *key.groups())
        else:
            found[-1] = replace(found[-1], body=f"{found[-1].body} {line.strip()}".strip())
    return found


def _head(line: str) -> Form:
    match = _HEAD.fullmatch(line)
    assert match is not None, line
    first = getattr(form, match["first"])
    assert isinstance(first, Layer)
    return Form(match["op"], match["name"], first, "")


def _with(form: Form, key: str, value: str) -> Form:
    match key:
        case "before":
            return replace(form, before=value)
        case "inputs":
            return replace(form, inputs=value)
        case "below":
            return replace(form, below=int(value))
        case "shape":
            return replace(form, shape=value)
        case "opset":
            return replace(form, opset=int(value))
        case _:
            return replace(form, ends=True)


FORMS = [form for name in ("elements", "layers", "moves") for form in read_forms(name)]
PATTERNS = read_forms("patterns")
