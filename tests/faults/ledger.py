"""What a producer wrote, and what of it must stand in the tick log: the ledger of a run with faults."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from monitor.catalog import profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.kafka import Record

MODELS = tuple(f"m{i:02d}" for i in range(12))
DRIFTS, EMPTIES = MODELS[3], MODELS[7]
FLUSH = "flush-"
"""How the models begin that are on no account."""
PARTITIONS = 4
LATENESS = 120.0
STEP = 0.25
"""Event time between two events."""
FAULT, MEND = 0.3, 0.5
"""Shares of a run between which two models are faulty."""
REGIONS = ("north", "south", "west")

Place = tuple[str, str, str]
"""Model, feature, and the bin: a number's place among its edges, a category, or ``null``."""


def write_references(directory: Path) -> list[float]:
    """What the models were trained on, as files; returns the edges of ``income``."""
    directory.mkdir(parents=True)
    n, rng = 10_000, np.random.default_rng(5)
    income = profile.number_series("income", "feature", rng.normal(40.0, 10.0, n), n)
    region = profile.category_series("region", "feature", {"north": 5000, "south": 3000, "west": 2000}, 0, n)
    for model in MODELS:
        made = profile.Profile(model, "", n, "training.csv", [income, region])
        profile.save(made, directory / f"{quote(model)}.mwref")
    assert income.edges is not None
    return list(income.edges)


@dataclass(slots=True)
class Ledger:
    """Writes a run's records in their order and keeps account of them.

    ``duplicated``, ``reordered``, ``late`` and ``broken`` are shares of the events. ``counted`` is what the tick log
    must hold in the end, by place; ``sent`` counts records by what they are.
    """

    start: float
    events: int
    edges: list[float]
    duplicated: float = 0.05
    reordered: float = 0.10
    late: float = 0.01
    broken: float = 0.01
    seed: int = 1
    mend: float = MEND
    """Share of the run at which what is faulty mends; beyond 1 it does not."""
    counted: Counter[Place] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    @property
    def end(self) -> float:
        return self.start + self.events * STEP

    def records(self) -> Iterator[Record]:
        """Every record, in the order in which a producer writes them; the account is right when all were taken."""
        rng = np.random.default_rng(self.seed)
        held: list[tuple[int, Record]] = []
        for i in range(self.events):
            # Some are held back for a while that is within the lateness, whatever the partition.
            for due in [each for each in held if each[0] <= i]:
                held.remove(due)
                yield due[1]
            record = self._event(i, rng)
            wait = int(rng.integers(1, int(LATENESS / STEP / 4)))
            if rng.random() < self.reordered:
                held.append((i + wait, record))
                self.sent["reordered"] += 1
            else:
                yield record
            if rng.random() < self.duplicated:
                held.append((i + 2 * wait, (int(rng.integers(PARTITIONS)), *record[1:])))
                self.sent["duplicated"] += 1
            yield from self._bad(i, rng)
        yield from (record for _, record in held)

    def flush(self) -> list[Record]:
        """Records long behind the last one: they close what is open, and are on no account.

        Of so many models that every shard has some behind all others of its partition: behind one that came before,
        ticks close with the next.
        """
        at, x = self.end + 1800.0, {"x": 1.0}
        return [
            (p, json.dumps({"model": f"{FLUSH}{i}", "id": f"{p}-{i}", "time": at, "features": x}).encode(), at)
            for p in range(PARTITIONS)
            for i in range(40)
        ]

    def _event(self, i: int, rng: np.random.Generator) -> Record:
        at, faulty = self.start + i * STEP, FAULT < i / self.events < self.mend
        model = MODELS[i % len(MODELS)]
        income = round(float(rng.normal(55.0 if faulty and model == DRIFTS else 40.0, 10.0)), 3)
        region = REGIONS[int(np.searchsorted([0.5, 0.8], rng.random()))]
        shown = None if faulty and model == EMPTIES else region
        self.counted[model, "income", str(int(np.searchsorted(self.edges, income)))] += 1
        self.counted[model, "region", shown or "null"] += 1
        self.sent["events"] += 1
        return self._record(i, at, model, income, shown, rng)

    def _bad(self, i: int, rng: np.random.Generator) -> Iterator[Record]:
        at = self.start + i * STEP
        if rng.random() < self.broken:
            self.sent["broken"] += 1
            yield int(rng.integers(PARTITIONS)), b'{"model":"m00","features":{', at
        # Late beyond doubt, for who has read the first half: from before the run, in its second half.
        if i > self.events // 2 and rng.random() < self.late:
            self.sent["late"] += 1
            yield self._record(-i, self.start - 7200.0 + i * 0.01, MODELS[i % len(MODELS)], 40.0, "north", rng)

    @staticmethod
    def _record(
        i: int, at: float, model: str, income: float, region: str | None, rng: np.random.Generator
    ) -> tuple[int, bytes, float]:
        event = {"model": model, "id": f"e{i}", "time": at, "features": {"income": income, "region": region}}
        return int(rng.integers(PARTITIONS)), json.dumps(event).encode(), at


def difference(counted: Counter[Place], found: Counter[Place]) -> tuple[int, int]:
    """How many values are missing in ``found``, and how many are there too often."""
    return sum((counted - found).values()), sum((found - counted).values())
