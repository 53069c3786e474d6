"""Is what the kernel counts among groups what the longer way would have counted?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import MINUTE, START, decoded, event, new_fleet
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.fleet import Fleet
from monitor.groups import familiar, intersections
from monitor.groups.register import Limits
from monitor.groups.watch import GroupRules
from monitor.kernels import groups
from monitor.kernels.groups import SumTable
from monitor.kernels.library import library

POLICIES: list[dict[str, Any]] = [
    {},
    {"favourable": ("a", "1")},
    {"decision_threshold": 0.5},
    {"decision_threshold": 0.5, "favourable_when": "below"},
    {"explain_by": ("region",)},
    {"sensitive": ("sex", "x")},
]
PREDICTIONS: list[Any] = ["a", "b", True, 0.2, 0.7, {"label": "a", "score": 0.5}, {"score": 0.9}, {"label": "c"}, None]


def said(rng: np.random.Generator, *, tags: bool, entities: bool) -> dict[str, Any]:
    """The parts of an event of any kind."""
    parts: dict[str, Any] = {"features": {"x": float(rng.integers(0, 5)), "y": "u"}}
    prediction = PREDICTIONS[rng.integers(len(PREDICTIONS))]
    if prediction is not None:
        parts["prediction"] = prediction
    if entities and rng.random() < 0.3:
        parts["entity"] = f"e{rng.integers(0, 20)}"
    if tags and rng.random() < 0.02:
        parts["prediction"] = {"tags": ["t", "u"][: rng.integers(0, 3)]}
    if rng.random() < 0.9:
        parts["sensitive"] = {"sex": str(rng.choice(["f", "m", "x", "y"])), "age": str(rng.choice(["old", "young"]))}
    if rng.random() < 0.5:
        parts["segment"] = {"region": str(rng.choice(["north", "south"]))}
    return parts


def counted(policy: dict[str, Any], batches: list[list[bytes]]) -> dict[tuple[float, int], tuple[float, float]]:
    """By tick and tally: cases and those with the output. Quarters of scores are known from the second batch on."""
    fleet: Fleet = new_fleet(policy, group_rules=GroupRules(limits=Limits(groups=3)))
    for batch in batches:
        events = decoded(batch)
        fleet.absorb(events, np.zeros(len(events), bool))
        facts = fleet.groups.counter.known(np.zeros(1, np.int32))
        facts["quarters"][0] = (0.2, 0.4, 0.8)
    register, sums = fleet.groups.register, fleet.groups.sums
    out: dict[tuple[float, int], tuple[float, float]] = {}
    for end in sums.ends():
        each = sums.sums(end)
        keys = register.tallies["key"][each.row].tolist()
        out |= {(end, key): (n, s) for key, n, s in zip(keys, each.n.tolist(), each.s.tolist(), strict=True)}
    return out


@pytest.mark.skipif(library() is None, reason="the kernels are not built")
@pytest.mark.parametrize(("tags", "entities"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_familiar_events_count_alike(
    policy: dict[str, Any], tags: bool, entities: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the kernel and without it each tally has the same cases in each tick, whatever a policy asks."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 0)
    rng = np.random.default_rng(5)
    times = START + MINUTE * rng.integers(0, 2, (4, 150))
    batches = [[event(time, **said(rng, tags=tags, entities=entities)) for time in batch] for batch in times.tolist()]
    left: list[int] = []
    count = familiar.count_groups

    def watched(*arguments: Any) -> Any:
        made = count(*arguments)
        left.append(len(made.left))
        return made

    monkeypatch.setattr(familiar, "count_groups", watched)
    ours = counted(policy, batches)
    monkeypatch.setattr(familiar, "count_groups", lambda *_: None)
    assert ours == counted(policy, batches)
    assert ours
    assert (left[-1] < 100) == (not tags and not entities and not {"explain_by", "sensitive"} & policy.keys())


@pytest.mark.skipif(library() is None, reason="the kernels are not built")
def test_a_tick_grows_while_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tallies come up in a tick that just opened, each event is counted once and among its own people."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 0)
    rng = np.random.default_rng(9)

    def batch(time: float) -> list[bytes]:
        people = ({"sex": "fmx"[i % 3], "age": ("old", "young")[i // 3 % 2]} for i in range(900))
        return [event(time, sensitive=each, prediction=f"class {rng.integers(0, 40)}") for each in people]

    batches = [batch(START), batch(START), batch(START + 10 * MINUTE)]
    known: list[list[tuple[int, int]]] = []
    count = familiar.count_groups

    def watched(*arguments: Any) -> Any:
        made = count(*arguments)
        known.append(list(zip(made.event.tolist(), made.member.tolist(), strict=True)))
        assert sorted({*made.event.tolist(), *made.left.tolist()}) == list(range(900))
        return made

    monkeypatch.setattr(familiar, "count_groups", watched)
    ours = counted({}, batches)
    monkeypatch.setattr(familiar, "count_groups", lambda *_: None)
    assert ours == counted({}, batches)
    assert len({end for end, _ in ours}) == 2
    assert len(ours) > 2 * 256
    assert [len(pairs) for pairs in known[1:]] == [3 * 900, 3 * 900]
    assert len(set(known[2])) == 3 * 900


@pytest.mark.skipif(library() is None, reason="the kernels are not built")
@pytest.mark.parametrize("most", [2, 5, 12])
def test_however_many_attributes_events_name(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event counts once among all it is of, whether those before it named as much, the same people or others."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 0)
    rng = np.random.default_rng(most)

    def someone() -> dict[str, str]:
        return {f"of {k}": "abcd"[rng.integers(4)] for k in range(most) if rng.random() < 0.8}

    answers = [{"label": "a", "score": 0.5}, {"score": 0.9}, {"label": "b"}]
    batches = [
        [event(START, sensitive=someone(), prediction=answers[rng.integers(len(answers))]) for _ in range(200)]
        for _ in range(3)
    ]
    ours = counted({}, batches)
    monkeypatch.setattr(familiar, "count_groups", lambda *_: None)
    assert ours == counted({}, batches)
    assert ours


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 3), st.integers(0, 8)), max_size=400))
def test_sums_are_sums(added: list[tuple[int, int, int]]) -> None:
    """Rows are summed exactly, however many there are, by the kernel and by its twin."""
    expected: dict[int, tuple[float, float]] = {}
    for row, n, s in added:
        before = expected.get(row, (0.0, 0.0))
        expected[row] = (before[0] + n, before[1] + s / 8.0)
    columns = np.array(added, np.float64).reshape(-1, 3)
    table = SumTable()
    table.add(columns[:, 0].astype(np.int64), columns[:, 1], columns[:, 2] / 8.0)
    rows, n, s = table.sums()
    assert dict(zip(rows.tolist(), zip(n.tolist(), s.tolist(), strict=True), strict=True)) == expected
    assert rows.tolist() == sorted(expected)


def test_sums_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the sums is what is used where no kernel is built."""
    monkeypatch.setattr(groups, "_compiled", lambda: None)
    test_sums_are_sums()
