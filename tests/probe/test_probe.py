"""A part of the probe on every run: each tenth form and pattern, with what docs/probe.json says of it.

python -m benchmarks.probe        tries all of them, and writes that file and the tables of docs/ops.md
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.probe.form import Form
from tests.probe.outcome import CLOSE, outcome_of
from tests.probe.read import FORMS, PATTERNS

RECORD = json.loads((Path(__file__).parents[2] / "docs" / "probe.json").read_text(encoding="utf-8"))
EVERY = 10


@pytest.mark.parametrize("form", [*FORMS, *PATTERNS][::EVERY], ids=str)
def test_a_form_has_the_outcome_of_the_record(form: Form, tmp_path: Path) -> None:
    outcome, recorded = outcome_of(form, tmp_path), RECORD[str(form)]
    assert outcome.state == recorded["state"]
    assert outcome.text == recorded["text"]
    if recorded["off"] is not None and recorded["off"] <= CLOSE:
        assert outcome.off is not None and outcome.off <= CLOSE


def test_the_record_has_every_form_once() -> None:
    names = [str(form) for form in (*FORMS, *PATTERNS)]
    assert len(set(names)) == len(names)
    assert set(names) == set(RECORD)


def test_nearly_all_forms_are_integer_and_close() -> None:
    close = [form for form in FORMS if RECORD[str(form)]["state"] == "integer" and (RECORD[str(form)]["off"] or 0) <= CLOSE]
    whole = [form for form in PATTERNS if RECORD[str(form)]["state"] == "integer"]
    assert len(close) >= 380
    assert len(whole) >= 110


def test_whatever_stays_in_float_has_a_sentence_with_a_remedy() -> None:
    others = [entry["text"] for entry in RECORD.values() if entry["state"] != "integer"]
    assert all(";" in text or ":" in text for text in others)
