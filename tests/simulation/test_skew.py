"""Is training-serving skew told from day one: columns that changed places, and another unit, from the first event?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import START, event, replayed, write_lines
from numpy.typing import NDArray

from monitor.catalog.profile import Profile, category_series, number_series, save
from monitor.incidents.incident import Incident

TICK = 60.0


def rows(rng: np.random.Generator, n: int) -> dict[str, NDArray[np.float64]]:
    return {
        "age": rng.integers(18, 80, n).astype(np.float64),
        "income": np.exp(rng.normal(10.5, 0.6, n)),
        "tenure": rng.gamma(2.0, 5.0, n),
        "balance": rng.normal(2000, 900, n),
        "ratio": rng.beta(2, 5, n),
        "height_cm": rng.normal(170, 10, n),
    }


def reference(path: Path, rng: np.random.Generator, n: int) -> None:
    parts = [number_series(name, "feature", values, n) for name, values in rows(rng, n).items()]
    parts.append(category_series("region", "feature", {"n": n // 2, "s": n // 4, "e": n - n // 2 - n // 4}, 0, n))
    save(Profile("m", "", n, "training", parts), path)


def incidents(
    directory: Path, per_second: float, swap: tuple[str, str] | None, *, n: int = 1200, trained_on: int = 5000
) -> list[Incident]:
    rng = np.random.default_rng(81)
    reference(directory / "m.mwref", rng, trained_on)
    values = rows(rng, n)
    if swap:
        values[swap[0]], values[swap[1]] = values[swap[1]], values[swap[0]]
        values["height_cm"] = values["height_cm"] / 100

    def features(i: int) -> dict[str, Any]:
        return {**{name: float(v[i]) for name, v in values.items()}, "region": "nnse"[int(rng.integers(4))]}

    lines = (event(START + i / per_second, features(i), prediction=float(rng.random())) for i in range(n))
    text = f'[[models]]\nmatch = "*"\nreference = "file:{directory}/m.mwref"'
    return replayed(directory, text, write_lines(directory / "events.jsonl", lines)).incidents


@pytest.mark.parametrize(
    ("per_second", "swap"),
    [
        *((rate, ("age", "tenure")) for rate in (1 / 3600, 1 / 60, 1.0, 8.0)),
        *((1.0, swap) for swap in (("income", "balance"), ("tenure", "ratio"))),
    ],
)
def test_named_within_five_hundred_events(tmp_path: Path, per_second: float, swap: tuple[str, str]) -> None:
    """Both columns and the other unit are named by the time of the 500th event; nothing else is.

    One event an hour to eight a second. With ticks of 60 s ten a second are named by the 600th: the first tick's end.
    """
    found: dict[str | None, float] = {}
    for incident in incidents(tmp_path, per_second, swap):
        for cell in incident.cells:
            if cell.detector != "far_outside":  # inputs as a whole: of no feature
                found[cell.feature] = min(cell.fired_time, found.get(cell.feature, np.inf))
    assert set(found) == {*swap, "height_cm"}
    assert max(found.values()) <= START + 499 / per_second


@pytest.mark.parametrize("per_second", [10.0, 100.0])
def test_named_with_the_first_tick(tmp_path: Path, per_second: float) -> None:
    """Where more than 500 events come in a tick, the first tick names all three."""
    told = incidents(tmp_path, per_second, ("age", "tenure"), n=int(150 * per_second) if per_second < 50 else 7000)
    of_features = [cell for i in told for cell in i.cells if cell.detector != "far_outside"]
    assert {cell.feature for cell in of_features} == {"age", "tenure", "height_cm"}
    assert {i.fired_time for i in told} == {START + TICK}


@pytest.mark.parametrize("trained_on", [300, 5000])
def test_without_skew(tmp_path: Path, trained_on: int) -> None:
    """A stream like its training set is no incident, after a large training set and after a small one."""
    assert incidents(tmp_path, 1.0, None, n=3000, trained_on=trained_on) == []
