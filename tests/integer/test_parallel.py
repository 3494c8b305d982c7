"""Parts that several threads make."""

import pytest

from qconv.integer.execution.parallel import in_threads


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_every_part_is_made_once(count: int) -> None:
    made: list[int] = []
    in_threads(made.append, iter(range(count)))
    assert sorted(made) == list(range(count))


@pytest.mark.parametrize("count", [1, 5])
def test_what_a_part_raises_is_raised(count: int) -> None:
    def fail(part: int) -> None:
        if part == count - 1:
            raise ValueError("a sum does not fit")

    with pytest.raises(ValueError, match="does not fit"):
        in_threads(fail, range(count))
