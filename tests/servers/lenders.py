"""Twenty models that lend money, two of which go wrong: their events, their references, a configuration."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from monitor.catalog import profile

if TYPE_CHECKING:
    from pathlib import Path

    from servers.kafka import KafkaServer, Record

MODELS = [f"credit/{i:02d} ü" for i in range(20)]
DRIFTED, BROKEN = MODELS[3], MODELS[7]
REGIONS = ("north", "south", "west")
SECONDS = 2.0
"""Between two events of one model."""
PARTITIONS = 4
FAULTY = {DRIFTED, BROKEN}


def began_at(minutes: float) -> float:
    """A full minute such that ``minutes`` from it are about now."""
    return float(time.time() // 60 * 60 - minutes * 60)


def write_references(directory: Path) -> None:
    """What every model was trained on, so that judging begins with the first event."""
    directory.mkdir()
    n, rng = 10_000, np.random.default_rng(5)
    series = [
        profile.number_series("income", "feature", rng.normal(40.0, 10.0, n), n),
        profile.number_series("age", "feature", rng.integers(18, 80, n).astype(float), n),
        profile.category_series("region", "feature", {"north": 5000, "south": 3000, "west": 2000}, 0, n),
        profile.category_series("label", "prediction", {"approve": 6000, "reject": 4000}, 0, n),
        profile.number_series("score", "prediction", rng.beta(3.0, 2.0, n), n),
    ]
    for model in MODELS:
        made = profile.Profile(model, "3", n, "training.csv", series)
        profile.save(made, directory / f"{quote(model, safe=' ')}.mwref")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some minutes of the fleet's events in their order: ``records`` by partition with value and model."""

    records: Sequence[Record]
    models: Sequence[str]

    def part(self, first: int, last: int) -> Sequence[Record]:
        return self.records[first:last]


def traffic(start: float, minutes: tuple[float, float], *, faulty: bool = False, seed: int = 1) -> Stretch:
    """Events from the one to the other of ``minutes`` after ``start``, each model's in any partitions.

    While ``faulty`` the incomes of ``DRIFTED`` are higher, within their range, and ``BROKEN`` has lost its region.
    """
    rng = np.random.default_rng([seed, int(minutes[0] * 60)])
    steps = np.arange(minutes[0] * 60.0, minutes[1] * 60.0, SECONDS)
    records, models = list[Any](), list[str]()
    for step in steps.tolist():
        for i, model in enumerate(MODELS):
            at = start + step + i * SECONDS / len(MODELS)
            features = {
                "income": round(float(rng.normal(55.0 if faulty and model == DRIFTED else 40.0, 10.0)), 3),
                "age": int(rng.integers(18, 80)),
                "region": REGIONS[int(np.searchsorted([0.5, 0.8], rng.random()))],
            }
            if faulty and model == BROKEN:
                features["region"] = None
            event = {
                "model": model,
                "version": "3",
                "id": f"{i}-{step}",
                "time": at,
                "features": features,
                "prediction": {
                    "label": "approve" if rng.random() < 0.6 else "reject",
                    "score": round(float(rng.beta(3.0, 2.0)), 4),
                },
            }
            records.append((int(rng.integers(PARTITIONS)), json.dumps(event).encode(), at))
            models.append(model)
    return Stretch(records, models)


def config(
    kafka: KafkaServer, topic: str, references: Path, more: str = "", letters: str = "", idle: str = "60s"
) -> str:
    dead_letters = f'dead_letter_topic = "{letters}"\n' if letters else ""
    return f"""
{more}
[clock]
lateness = "30s"
idle = "{idle}"
[kafka]
bootstrap_servers = "{kafka.bootstrap}"
group_id = "watch-{topic}"
topics = [{{ name = "{topic}" }}]
{dead_letters}
[[models]]
match = "credit/*"
team = "risk"
keep_firing = "2m"
reference = "file:{references}/{{model}}.mwref"
"""
