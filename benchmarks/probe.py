"""Every form and pattern of tests/probe, into docs/probe.json, from which docs/ops.md has its tables.

python -m benchmarks.probe [GLOB]        all of them takes a minute; with a GLOB only those are tried anew
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from tests.probe.outcome import outcome_of
from tests.probe.read import FORMS, PATTERNS

RECORD = Path(__file__).parents[1] / "docs" / "probe.json"


def main(glob: str) -> None:
    """Tries them one by one."""
    forms = [*FORMS, *PATTERNS]
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record = {str(form): before[str(form)] for form in forms if str(form) in before}
    for form in forms:
        if fnmatchcase(str(form), glob) or str(form) not in record:
            with tempfile.TemporaryDirectory() as folder:
                record[str(form)] = asdict(outcome_of(form, Path(folder)))
                print(form, record[str(form)])
    ordered = {str(form): record[str(form)] for form in forms}
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in ordered.items()]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(Counter(entry["state"] for entry in ordered.values()))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "*")
