"""The events that the benchmarks are measured with: a fleet of models that share one law, a few of them with a fault.

Events of about 419 bytes with 16 numbers and 4 categories, a label and a score; with two sensitive attributes, if
asked, 472. Bodies are drawn from a pool, because drawing numbers costs more than anything that is measured;
model, id and time are each event's own. If asked, each prediction's outcome follows as an event of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.catalog import profile

NUMBERS = 16
CATEGORIES = 4
_VALUES = ("mobile", "desktop", "tablet", "unknown")
_WEIGHTS = (0.4, 0.3, 0.2, 0.1)
_LABELS = ("approve", "refuse")
_SEXES, _AGES = ("F", "M"), ("18-29", "30-44", "45-59", "60-99")
_POOL = 20_000
_REFERENCE_ROWS = 20_000
START = 1_772_357_400.0
"""Event time of the first event, seconds since the epoch."""
OUTCOME_AFTER, HORIZON = 300.0, "10m"
"""Seconds of event time until an outcome comes, and how long predictions wait for theirs. By then a fleet of 1,000
models with 60 events a tick has more cases than lie in memory, so that outcomes are joined in the store."""
NUMBERED = slice(32, 43)
"""Where an event says its prediction's number."""
_RIGHT = 0.9
"""Part of the predictions that come true."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many events, of how many models, how dense: ``per_tick`` predictions a model and 60-s tick in the mean.

    The last ``faulty`` models have a feature that is a whole standard deviation off from the middle on. ``sensitive``
    events tell two attributes of the person besides, of two and of four groups, and are 472 bytes long. Event time
    begins ``later`` seconds behind :data:`START`. ``skewed`` lets the first model have most events, each further one
    fewer, as 1 over its rank. With ``outcomes`` those that come by the last prediction's time are among the events.
    """

    events: int
    models: int = 1000
    per_tick: float = 8.0
    faulty: int = 5
    sensitive: bool = False
    later: float = 0.0
    numbers: int = NUMBERS
    skewed: bool = False
    outcomes: bool = False

    @property
    def step(self) -> float:
        """Seconds of event time from a prediction to the next."""
        return 60.0 / (self.models * self.per_tick)

    @property
    def behind(self) -> int:
        """Predictions that are made until the first outcome comes."""
        return round(OUTCOME_AFTER / self.step)

    @property
    def predictions(self) -> int:
        """How many of the events are predictions; the rest are outcomes."""
        return min(self.events, (self.events + self.behind + 1) // 2) if self.outcomes else self.events


def events(shape: Shape, seed: int = 1) -> Iterator[bytes]:
    """All events, in the order of their times."""
    rng = np.random.default_rng(seed)
    good, bad = (pooled(rng, shift, shape) for shift in (0.0, 1.0))
    n = shape.predictions
    models = rng.integers(0, shape.models, n)
    if shape.skewed:
        weights = 1.0 / np.arange(1, shape.models + 1)
        models = rng.choice(shape.models, n, p=weights / weights.sum())
    bodies = rng.integers(0, _POOL, n)
    faulty = (models >= shape.models - shape.faulty) & (np.arange(n) >= n // 2)
    heads = [b'{"model":"model-%04d","id":"req-%011d","time":"' % (model, i) for i, model in enumerate(models.tolist())]
    rests = [bad[body] if is_bad else good[body] for body, is_bad in zip(bodies.tolist(), faulty.tolist(), strict=True)]
    right = rng.random(n) < _RIGHT if shape.outcomes else np.zeros(0, bool)
    stamps = _stamps(START + shape.later + np.arange(n) * shape.step)
    for i, (head, rest, stamp) in enumerate(zip(heads, rests, stamps, strict=True)):
        yield b'%s%s",%s' % (head, stamp, rest)
        if shape.outcomes and shape.behind <= i < shape.events - n + shape.behind:
            of = i - shape.behind
            approved = (b'"label":"approve"' in rests[of]) == right[of]
            yield b'%s%s","outcome":"%s"}' % (heads[of], stamp, b"approve" if approved else b"refuse")


def reference(path: Path, n_numbers: int = NUMBERS, seed: int = 2) -> None:
    """Write the reference that all the models share: a sample of the law."""
    rng = np.random.default_rng(seed)
    n = _REFERENCE_ROWS
    numbers = _numbers(rng, n, n_numbers, 0.0)
    series = [profile.number_series(f"f{j:02d}", "feature", numbers[:, j], n) for j in range(n_numbers)]
    for j in range(CATEGORIES):
        counts = np.bincount(rng.choice(len(_VALUES), n, p=_WEIGHTS), minlength=len(_VALUES))
        values = dict(zip(_VALUES, counts.tolist(), strict=True))
        series.append(profile.category_series(f"cat{j}", "feature", values, 0, n))
    score = np.round(rng.random(n), 4)
    accepted = int((score > 0.5).sum())
    series.append(profile.number_series("score", "prediction", score, n))
    labels = {"approve": accepted, "refuse": n - accepted}
    series.append(profile.category_series("label", "prediction", labels, 0, n))
    profile.save(profile.Profile("any", "", n, "the law of the benchmark", series), path)


def _numbers(rng: np.random.Generator, n: int, n_numbers: int, shift: float) -> NDArray[np.float64]:
    values = rng.normal(size=(n, n_numbers))
    values[:, 0] += shift
    rounded: NDArray[np.float64] = np.round(values, 4)
    return rounded


def pooled(rng: np.random.Generator, shift: float, shape: Shape) -> list[bytes]:
    """What stands behind an event's time: a pool of them, the first number moved by ``shift`` standard deviations."""
    numbers = _numbers(rng, _POOL, shape.numbers, shift).tolist()
    places = rng.choice(len(_VALUES), (_POOL, CATEGORIES), p=_WEIGHTS).tolist()
    scores = np.round(rng.random(_POOL), 4).tolist()
    people = rng.integers(0, (len(_SEXES), len(_AGES)), (_POOL, 2)).tolist() if shape.sensitive else [None] * _POOL
    made = []
    for row, categories, score, person in zip(numbers, places, scores, people, strict=True):
        features: dict[str, object] = {f"f{j:02d}": value for j, value in enumerate(row)}
        features |= {f"cat{j}": _VALUES[place] for j, place in enumerate(categories)}
        prediction = {"label": _LABELS[score <= 0.5], "score": score}
        told: dict[str, object] = {"features": features, "prediction": prediction}
        if person is not None:
            told["sensitive"] = {"sex": _SEXES[person[0]], "age_band": _AGES[person[1]]}
        made.append(json.dumps(told, separators=(",", ":"))[1:].encode())
    return made


def _stamps(times: NDArray[np.float64]) -> list[bytes]:
    """RFC 3339 with milliseconds."""
    whole = {
        s: datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        for s in set(times.astype(int).tolist())
    }
    milliseconds = (times * 1000.0).astype(np.int64)
    return [b"%s.%03dZ" % (whole[ms // 1000], ms % 1000) for ms in milliseconds.tolist()]
