"""Weeks: what the same hour held a week before is read back, and is what a series is judged by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fleets.build import hourly, new_fleet

from monitor.catalog.policies import Clause, Policies
from monitor.catalog.rows import CHUNK
from monitor.catalog.series import CUTS
from monitor.store.database import Database, Writes
from monitor.weeks import HOURS, Weeks

N = CHUNK + 3
"""Slots in two volumes."""
ALL = np.arange(N)


def told(hour: int) -> tuple[np.ndarray, np.ndarray]:
    """What an hour held of all slots."""
    n = np.full(N, 100.0 + hour % HOURS)
    return np.outer(n, np.linspace(0.1, 0.9, CUTS)).round(), n


def lived(weeks: Weeks, hours: range, doubted: tuple[int, ...] = (), save=lambda: None) -> None:
    for hour in hours:
        weeks.turn(ALL, np.full(N, hour))
        s, n = told(hour)
        weeks.add(ALL, s, n, np.full(N, hour not in doubted))
        if hour % 5 == 0:
            save()


def fresh() -> Weeks:
    weeks = Weeks()
    weeks.rows.add(N)
    weeks.rows["series"][:N] = ALL
    return weeks


def test_the_same_hour_a_week_later(tmp_path: Path) -> None:
    """What an hour held comes back with the same hour of the week, from memory or from a store, hour for hour."""
    with Database(tmp_path / "store") as database:
        stored = fresh()
        stored.attach(database)

        def save() -> None:
            writes = Writes()
            stored.save(writes)
            database.commit(writes)

        for weeks, keep in ((fresh(), lambda: None), (stored, save)):
            lived(weeks, range(HOURS), save=keep)
            assert not weeks.rows["last_n"][:N].any()
            for hour in range(HOURS, HOURS + 30):
                lived(weeks, range(hour, hour + 1), save=keep)
                assert weeks.rows["last_n"][:N].tolist() == told(hour)[1].tolist()
                assert np.array_equal(weeks.rows["last_s"][:N], told(hour)[0])


def test_what_is_doubted_takes_no_place() -> None:
    """An hour that is doubted leaves what is known of it; one of which nothing is known is taken as it is."""
    weeks = fresh()
    lived(weeks, range(2), doubted=(1,))
    weeks.turn(ALL, np.full(N, HOURS + 1))
    assert weeks.rows["last_n"][:N].tolist() == told(1)[1].tolist()
    weeks.add(ALL, told(0)[0] * 0, told(0)[1] + 1.0, np.full(N, False))
    weeks.turn(ALL, np.full(N, 2 * HOURS + 1))
    assert weeks.rows["last_n"][:N].tolist() == told(1)[1].tolist()


def test_what_was_erased_is_gone() -> None:
    """A slot that is somebody else's knows nothing of whoever had it; its neighbours know what they knew."""
    weeks = fresh()
    lived(weeks, range(3))
    weeks.turn(ALL, np.full(N, 3))
    weeks.erase(np.array([0, CHUNK]))
    weeks.turn(ALL, np.full(N, HOURS + 1))
    assert np.flatnonzero(weeks.rows["last_n"][:N] == 0).tolist() == [0, CHUNK]


def test_weeks_that_lie_further_apart_count_for_less() -> None:
    """Hours that differ from those of the week before by more than chance say so, those that do by chance do not."""
    rng, gaps = np.random.default_rng(5), []
    for extra in (0.0, 0.1):
        weeks = fresh()
        for hour in range(HOURS + 60):
            weeks.turn(ALL, np.full(N, hour))
            share = np.clip(0.5 + extra * rng.normal(0, 1, N), 0.05, 0.95)
            weeks.add(ALL, rng.binomial(200, share[:, None], (N, CUTS)).astype(float), np.full(N, 200.0), ALL >= 0)
        gaps.append(float(np.mean(weeks.rows["gap"][:N])))
    assert gaps[0] == pytest.approx(1.0 + 1.0 / 7, abs=0.05)  # ten hours of the first word, 2, beside sixty of 1
    assert gaps[1] > 5.0


def test_a_series_is_judged_by_the_week_before() -> None:
    """After a week the null is that of the same hour a week before; until then, and for other models, the reference."""
    fleet, begun = new_fleet({"tick": "1h"}, clauses=[("w", {"reference": "same-slot-last-week"})]), 40

    def live(hours: range) -> np.ndarray:
        hourly(fleet, lambda i: {"x": i * 7919 % 1000 / 10}, hours, model=lambda i: ("w", "other")[i % 2])
        return fleet.judge.states["drift"]["null_n"][:2].copy()

    assert live(range(begun + HOURS - 3)).min() >= 1000
    w = [model.name for model in fleet.models.items].index("w")
    known = live(range(begun + HOURS - 3, begun + HOURS + 3))
    assert known[w] == 25
    assert known[1 - w] >= 1000
    assert np.flatnonzero(fleet.judge.seasons.paired(np.arange(2))).tolist() == [w]
    fleet.reload_policies(Policies([Clause("*", {"tick": "1h", "tolerance": {"drift": 0.02}}, "test")]).resolve)
    assert not fleet.judge.seasons.paired(np.arange(2)).any()
    assert fleet.judge.states["drift"]["null_n"][w] >= 1000
