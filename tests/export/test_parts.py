"""Views of moved elements, and the plan of memory."""

from __future__ import annotations

import numpy as np
import pytest

from qconv.export.c.arena import plan_arena
from qconv.export.moves import elements, view_of
from qconv.export.network import Network, Node, Tensor
from qconv.export.vectors import file_name, hex_words

PLACES = np.arange(96).reshape(2, 4, 12)
MOVED = {
    "as it is": PLACES,
    "transposed": PLACES.transpose(2, 0, 1),
    "cut": PLACES[:, 1:3, ::2],
    "backwards": PLACES[:, ::-1, :],
    "repeated": np.repeat(PLACES, 2, axis=2),
    "tiled": np.tile(PLACES, (1, 2, 1)),
    "expanded": np.broadcast_to(PLACES[:, :1], (2, 4, 12)),
    "depth to space": PLACES.reshape(2, 2, 2, 3, 4).transpose(0, 3, 1, 4, 2).reshape(6, 4, 4),
}


@pytest.mark.parametrize("what", MOVED)
def test_a_view_reads_what_was_moved(what: str) -> None:
    view = view_of(MOVED[what])
    assert view is not None
    assert np.array_equal(elements(view), MOVED[what].reshape(-1))


def test_what_no_strides_say_has_no_view() -> None:
    assert view_of(np.asarray([0, 1, 3, 4, 9])) is None


def tensor(name: str, size: int) -> Tensor:
    return Tensor(name, np.dtype(np.uint8), (size,))


def chain(*sizes: int, op: str = "conv") -> Network:
    tensors = {f"t{i}": tensor(f"t{i}", size) for i, size in enumerate(sizes)}
    nodes = [Node(f"n{i}", op, (f"t{i - 1}",), f"t{i}") for i in range(1, len(sizes))]
    return Network(tensors, nodes, ["t0"], [f"t{len(sizes) - 1}"], {})


def test_memory_is_used_again() -> None:
    arena = plan_arena(chain(8, 64, 32, 64, 16))
    assert arena.size == arena.live == 96


def test_tensors_that_live_together_do_not_overlap() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        count = int(rng.integers(4, 20))
        tensors = {f"t{i}": tensor(f"t{i}", int(rng.integers(1, 100))) for i in range(count)}
        nodes = [Node(f"n{i}", "concat", tuple(f"t{j}" for j in rng.integers(0, i, 2)), f"t{i}") for i in range(1, count)]
        network = Network(tensors, nodes, ["t0"], [f"t{count - 1}"], {})
        arena = plan_arena(network)
        last = {name: max([i for i, n in enumerate(nodes) if name in n.inputs], default=0) for name in tensors}
        last[f"t{count - 1}"] = count
        made = {node.output: index for index, node in enumerate(nodes)}
        for a in made:
            for b in made:
                together = made[a] <= max(last[b], made[b]) and made[b] <= max(last[a], made[a])
                if a < b and together:
                    one, two = (range(arena.offsets[n], arena.offsets[n] + tensors[n].bytes) for n in (a, b))
                    assert one.stop <= two.start or two.stop <= one.start
        assert arena.size <= 1.35 * arena.live  # the greedy plan has no guarantee; networks fit within a tenth


def test_a_function_of_one_code_takes_the_place_of_its_input() -> None:
    arena = plan_arena(chain(8, 64, 64, 64, op="lookup"))
    assert arena.size == 64


def test_words_in_twos_complement() -> None:
    assert hex_words(np.asarray([-1, 127], np.int8)) == "ff\n7f\n"
    assert hex_words(np.asarray([-2], np.int32)) == "fffffffe\n"


def test_names_of_files_never_collide() -> None:
    taken: set[str] = set()
    assert [file_name(name, taken) for name in ("a/b", "a_b", "A:b", "")] == ["a_b", "a_b_2", "A_b_3", "tensor"]
