"""Is what is laid out for comparisons the same, whether it was kept and added to or laid out anew?"""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from fleets.build import START, event, feed, new_fleet

from monitor.groups import intersections, laying
from monitor.groups.laying import Laying

MODELS = ("a", "b", "c")


@pytest.fixture(autouse=True)
def from_the_first_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models of few events have intersections."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 0)


def test_what_is_kept_is_what_would_be_laid_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """While groups are met and their intersections come to be compared, the latter are added behind, and all agrees."""
    laid_anew, added, n_cells = 0, 0, 0
    whole = laying.compared

    def counted(*asked: object) -> object:
        nonlocal laid_anew
        laid_anew += 1
        return whole(*asked)  # type: ignore[arg-type]

    fleet = new_fleet({"favourable": ("y",), "tick": "1m"})
    register, rng = fleet.groups.register, np.random.default_rng(3)
    kept, models = Laying(register), np.arange(len(MODELS))
    for minute in range(30):
        events = [
            event(
                START + 60 * minute + i / 3,
                model=MODELS[i % 3],
                sensitive={"sex": "FM"[rng.integers(2)], "age": "abcde"[rng.integers(1 + minute // 6)]},
                prediction="yn"[rng.integers(2)],
            )
            for i in range(150)
        ]
        feed(fleet, events)
        with monkeypatch.context() as patched:
            patched.setattr(laying, "compared", counted)
            before = laid_anew
            ours = kept.of(models)
            added += laid_anew == before and len(ours.cell) > n_cells
            theirs, n_cells = Laying(register).of(models), len(ours.cell)
        for each in fields(ours):
            assert np.array_equal(getattr(ours, each.name), getattr(theirs, each.name)), each.name
    crossed = register.crossed(register.cells["group"][ours.cell])
    assert crossed.any()
    assert (ours.margins[crossed] >= 0).all()
    assert (ours.margins[~crossed] < 0).all()
    assert added > 0


def test_no_more_is_kept_than_a_few_times_all() -> None:
    """However models come together, what is kept of them stays within what they have."""
    fleet, names = new_fleet({"favourable": ("y",), "tick": "1m"}), [f"m{i}" for i in range(12)]
    feed(
        fleet,
        [event(START + i, model=names[i % 12], sensitive={"sex": "FM"[i % 2]}, prediction="y") for i in range(96)],
    )
    register, rng = fleet.groups.register, np.random.default_rng(5)
    kept, most = Laying(register), 0
    for _ in range(200):
        kept.of(np.flatnonzero(rng.random(len(names)) < 0.5) if rng.random() < 0.9 else np.arange(len(names)))
        most = max(most, sum(each.size for each in kept._kept.values()))
    assert len(register.tallies) < most <= laying._TIMES * len(register.tallies)
