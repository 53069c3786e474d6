"""Is whom the kernel recalls of matured cases whom the longer way would have found?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import MINUTE, START, decoded, event, new_fleet

from monitor.events.columns import ValueType
from monitor.fleet import Fleet
from monitor.groups import intersections, recalling
from monitor.groups.register import Limits
from monitor.groups.watch import GroupRules
from monitor.kernels.hashing import hash64
from monitor.kernels.library import library
from monitor.outcomes.case import SLOTS

NAMES = np.array([0, *(hash64(name) for name in (b"sex", b"age", b"region", b"x", b"unheard"))], np.uint64)
TEXTS = np.array([hash64(text) for text in (b"f", b"m", b"q", b"z", b"old", b"young", b"north", b"true")], np.uint64)
Cases = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def watching(policy: dict[str, Any]) -> Fleet:
    """A fleet that met events of two models: more sexes than groups are told apart, and numbers that have no bands."""
    fleet: Fleet = new_fleet(policy, group_rules=GroupRules(limits=Limits(groups=3)))
    made = []
    for i in range(200):
        people = {"sex": "fmxyz"[i // 2 % 5], "age": ("old", "young")[i // 4 % 2]}
        parts = {"sensitive": people, "segment": {"region": "north"}, "prediction": "a"}
        made.append(event(START + MINUTE * (i % 2), {"x": float(i % 5)}, model=f"m{i % 2}", **parts))
    batch = decoded(made)
    fleet.absorb(batch, np.zeros(len(batch), bool))
    return fleet


def cases(rng: np.random.Generator, n: int, *, told: bool, asked: bool) -> Cases:
    """What is kept of cases: names with and without a role, values that no event named, numbers."""
    shape = (n, SLOTS)
    names = np.zeros(shape, np.uint64)
    for i in range(n):  # a case has an attribute once
        some = rng.permutation(NAMES[1:])[: rng.integers(0, 4)]
        names[i, : len(some)] = some
    texts, kinds = rng.choice(TEXTS, shape), np.where(rng.random(shape) < 0.1, ValueType.NUMBER, ValueType.TEXT)
    if told:  # only what both events said, so that the kernel leaves nothing
        names[:, 2:], names[:, :2] = 0, NAMES[1:3]
        texts[:, 0], texts[:, 1], kinds[:] = rng.choice(TEXTS[:2], n), rng.choice(TEXTS[4:6], n), ValueType.TEXT
    model = rng.integers(0, 2, n).astype(np.int32)
    return model, names, texts, kinds.astype(np.uint8), rng.random(shape) < 0.7 if asked else None


def state(fleet: Fleet) -> dict[str, list[int]]:
    """The keys of all that the register holds, by row."""
    return {name: table["key"][: len(table)].tolist() for name, table in fleet.groups.register.tables().items()}


@pytest.mark.skipif(library() is None, reason="the kernels are not built")
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("policy", [{}, {"explain_by": ("region",)}, {"sensitive": ("sex", "x")}], ids=str)
def test_the_kernel_recalls_what_the_longer_way_finds(
    policy: dict[str, Any], told: bool, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pairs in the same order, and the same rows come in anew, whatever cases say and policies ask."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 0)
    recall: Any = recalling.recall_groups
    left: list[int] = []

    def watched(*arguments: Any) -> Any:
        made = recall(*arguments)
        left.append(len(made.left))
        return made

    ours, twin = watching(policy), watching(policy)
    rng, pairs = np.random.default_rng(8), 0
    for _ in range(6):
        some = cases(rng, int(rng.integers(0, 120)), told=told, asked=asked)
        monkeypatch.setattr(recalling, "recall_groups", watched)
        found = ours.groups.recaller.recall(*some)
        monkeypatch.setattr(recalling, "recall_groups", lambda *_: None)
        wanted = twin.groups.recaller.recall(*some)
        for name in ("event", "member", "first"):
            assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
        assert state(ours) == state(twin)
        pairs += len(found.event)
    assert pairs
    if told and not policy:
        assert left[1:] == [0] * 5
    else:
        assert any(left)
