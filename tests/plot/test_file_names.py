from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from qconv.plot.file_names import file_names

NAMES = st.lists(
    st.one_of(st.text(max_size=300), st.sampled_from(["a", "A", "con", "CON", "", ".", "..", "a/b", "a:b"])), unique=True
)


def test_what_people_see() -> None:
    assert list(file_names(["net/conv1/Relu:0", "", "../..", "CON", "con"]).values()) == [
        "001_net_conv1_Relu_0.png", "002_tensor.png", "003_tensor.png", "004_CON.png", "005_con.png",
    ]  # fmt: skip


def test_long_names_keep_their_end() -> None:
    assert file_names(["x" * 500 + "/last"])["x" * 500 + "/last"].endswith("xxx_last.png")


@given(NAMES)
def test_names_are_safe_and_unique_also_where_case_does_not_count(names: list[str]) -> None:
    files = file_names(names)
    assert list(files) == names
    assert len({file.lower() for file in files.values()}) == len(names)
    assert all(re.fullmatch(r"[0-9]{3}_[A-Za-z0-9._-]{1,80}\.png", file) for file in files.values())
    assert sorted(files.values()) == list(files.values())


def test_a_thousand_files_sort_by_number() -> None:
    files = list(file_names([str(k) for k in range(1200)]).values())
    assert files[0].startswith("0001_") and sorted(files) == files
