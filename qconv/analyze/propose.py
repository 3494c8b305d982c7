"""Which few nodes to leave in float: single ones, the worst together, the beginning, the end, or all of one operator.

A front end that computes logarithms is lost as long as any of its nodes is in integers, so groups are tried as wholes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qconv.analyze.places import INPUT, Place
from qconv.analyze.sensitivity import Measure, Sensitivity
from qconv.sentences import counted

LEAST_GAIN_DB = 3.0
_NEAR_DB = 3.0  # of the best group
_MOST_TOGETHER = 8
_MOST_PRUNED = 24
_ENOUGH_DB = 30.0  # more than this is not worth more nodes in float
_SHARE = 0.5  # of the places, at a beginning or an end


@dataclass(frozen=True)
class Proposal:
    """Nodes to leave in float: what they are, the patterns that name them, and the SQNR in dB of the network with them so."""

    what: str
    exclude: tuple[str, ...]
    sqnr_db: float


@dataclass(frozen=True)
class Group:
    """Nodes that are left in float together."""

    what: str
    nodes: tuple[str, ...]


def groups(measure: Measure, found: Sensitivity) -> list[Group]:
    """The group with the fewest nodes among those near the best, and the best single node; none that gains less than 3 dB."""
    before = found.whole_db[max(found.whole_db)]
    tried = {frozenset(group.nodes): group for group in _candidates(measure, found) if group.nodes}
    scored = [(group, measure.sqnr_db(measure.in_float(group.nodes))) for group in tried.values()]
    gains = [(group, db) for group, db in scored if db >= before + LEAST_GAIN_DB]
    if not gains:
        return []
    enough = min(max(db for _, db in gains) - _NEAR_DB, _ENOUGH_DB)
    best, _ = min(((g, db) for g, db in gains if db >= enough), key=lambda pair: (len(pair[0].nodes), -pair[1]))
    single = max(((g, db) for g, db in gains if len(g.nodes) == 1), key=lambda pair: pair[1], default=None)
    small = _pruned(measure, best, enough)
    return [small] if single is None or single[0].nodes == small.nodes else [small, single[0]]


def _pruned(measure: Measure, group: Group, enough: float) -> Group:
    """The group without the nodes that it does not need."""
    kept = list(group.nodes)
    for node in reversed(group.nodes if len(group.nodes) <= _MOST_PRUNED else ()):
        fewer = [other for other in kept if other != node]
        if fewer and measure.sqnr_db(measure.in_float(fewer)) >= enough:
            kept = fewer
    if len(kept) == len(group.nodes):
        return group
    return Group(counted(len(kept), "node"), tuple(kept))


def _candidates(measure: Measure, found: Sensitivity) -> Iterator[Group]:
    ranked, ordered = [loss.place for loss in found.places], [place for place in measure.places if place.op_type != INPUT]
    for place in ranked[:_MOST_TOGETHER]:
        yield Group("one node", _nodes([place], readers=False))
        yield Group("a node and what reads it", _nodes([place], readers=True))
    for count in range(2, min(_MOST_TOGETHER, len(ranked)) + 1):
        for readers in (False, True):
            yield Group(
                f"the {count} most sensitive nodes{' and what reads them' * readers}", _nodes(ranked[:count], readers=readers)
            )
    most = max(1, int(len(ordered) * _SHARE))
    for count in _counts(most):
        yield Group(f"the first {counted(count, 'node')}", _nodes(ordered[:count], readers=False))
        yield Group(f"the last {counted(count, 'node')}", _nodes(ordered[-count:], readers=False))
    for kind in dict.fromkeys(place.op_type for place in ordered):
        alike = [place for place in ordered if place.op_type == kind]
        if 1 < len(alike) <= most:
            yield Group(f"all {kind}", _nodes(alike, readers=False))


def _nodes(places: Sequence[Place], *, readers: bool) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for place in places:
        if place.op_type != INPUT:
            found[place.node] = None
        found |= dict.fromkeys(place.readers if readers or place.op_type == INPUT else ())
    return tuple(found)


def _counts(most: int) -> Sequence[int]:
    """All small counts, and some of the larger ones."""
    return [count for count in range(2, most + 1) if count <= 12 or count % 4 == 0]
