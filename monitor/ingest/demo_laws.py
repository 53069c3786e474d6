"""What the models of the demo fleet are like: their features' laws, their score, their versions, their traffic.

A law is a pool of values, all equally likely, kept in order: what an event has is a place in the pool. So the share of
any bin is known exactly, references are drawn as sums, and every value is written as JSON once and not once an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NumberKind = Literal["normal", "lognormal", "exponential", "uniform", "count", "bimodal", "zero_inflated"]
LawKind = NumberKind | Literal["category"]

POOL = 512
"""Values of a law."""
_PER_VALUE = 64
"""Draws for each value of a pool: it is their middle when they are sorted."""
_VARIANTS = 4
"""Laws of each name; the models of a fleet have them in common, as they have the sources behind them."""
DAY_SECONDS = 86400.0
WEEK_SECONDS = 7 * DAY_SECONDS

STEP_SECONDS = 900.0
"""Traffic is even within so much event time."""
RATE_MIN = 10.0
"""Events an hour of the quietest model."""
_RATE_MAX = 1500.0
_RATE_EXPONENT = 1.3
"""Traffic follows a power law: the share of models with more than r events an hour falls as r to minus this."""
SWING = 0.4
"""Traffic rises and falls by this part of its mean within a day."""
WEEKEND = 0.7
"""Traffic of a Saturday or a Sunday, of that of another day, for the models that people use at work."""
_OFFICE_SHARE = 0.5
SEASON = 0.05
"""Some numbers rise and fall within a day: their distribution function by a quarter of this, at most."""
_SEASONAL_SHARE = 0.25
_VERSION_SHARE = 0.15
"""Of the models change their version within the stream, at a moment of their own, and behave as before."""

_NUMBERS: dict[NumberKind, tuple[int, tuple[str, ...]]] = {
    "normal": (4, ("credit_rating", "body_temperature", "tenure_months", "battery_volts", "speed_kmh", "humidity")),
    "lognormal": (3, ("income", "basket_value", "loan_amount", "session_bytes", "rent")),
    "exponential": (2, ("minutes_since_login", "queue_seconds", "gap_hours", "latency_ms")),
    "uniform": (2, ("discount_share", "hour_of_day", "screen_share", "slope")),
    "count": (2, ("items", "late_payments", "open_tickets", "stops")),
    "bimodal": (1, ("trip_km", "age", "power_watts")),
    "zero_inflated": (2, ("refund", "claims_paid", "overdraft", "rain_mm")),
}
FIRST = "country"
"""The category that every model has, written first."""
_CATEGORIES: dict[str, tuple[str, ...]] = {
    FIRST: ("SE", "DE", "FR", "PL", "ES", "IT", "NL", "FI"),
    "device": ("phone", "desktop", "tablet", "tv"),
    "channel": ("organic", "search", "mail", "partner", "shop"),
    "plan": ("free", "basic", "plus", "family", "business", "edu"),
    "browser": ("chrome", "safari", "firefox", "edge", "other"),
    "payment": ("card", "invoice", "wallet", "transfer"),
}
_N_CATEGORIES = 4
_MISSING_RATES = (0.01, 0.005, 0.02)
"""Of three of each model's numbers, in this order."""
N_DRIVERS = 3
"""Numbers that a model's score depends on."""
_DOMAINS = (
    ("credit-limit", "approve", "decline"),
    ("payment-fraud", "clear", "block"),
    ("churn", "stay", "leave"),
    ("delivery-eta", "on-time", "late"),
    ("claim-triage", "standard", "expert"),
    ("offer-ranking", "show", "skip"),
    ("spam-filter", "keep", "drop"),
    ("pump-failure", "healthy", "service"),
)
LABELS = tuple((yes, no) for _, yes, no in _DOMAINS)
_PEOPLE_SHARE = 0.09
_PEOPLE_MIN = 9
_TAGGERS = 3
"""So many of the models, or at least so many, speak of people; each third of these gives tags, the others decide."""

ATTRIBUTES: dict[str, dict[str, float]] = {
    "sex": {"F": 0.45, "M": 0.55},
    "age_band": {"18-29": 0.2, "30-44": 0.3, "45-59": 0.3, "60+": 0.2},
}
"""The groups of people that a model speaks of, by attribute, and the share of each."""
SEGMENT = "market"
MARKETS = {"north": 0.4, "south": 0.3, "east": 0.2, "west": 0.1}
"""Where these people come from, the commonest first, and the share of each."""
TAGS = {
    "music": 0.35,
    "travel": 0.3,
    "sports": 0.25,
    "food": 0.2,
    "news": 0.15,
    "games": 0.1,
    "fashion": 0.08,
    "garden": 0.05,
}
"""What a tagger gives, and to which share of the people."""
SHARPNESS = 3.0
"""What comes of a case merits its first label with so many times the score's logit: models err in one case of nine."""


class Role(StrEnum):
    """What a model is to people."""

    PLAIN = "plain"
    """Nobody knows whom it is about."""
    DECIDER = "decider"
    """Its first label is good for a person; it says of whom it speaks, and what came of it is told later."""
    TAGGER = "tagger"
    """It gives a person tags, and says of whom it speaks."""


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """What a feature is like: ``values``, shape ``(POOL,)`` and sorted, or those of a category, the commonest first."""

    name: str
    kind: LawKind
    decimals: int
    values: NDArray[np.float64] | NDArray[np.str_]

    @property
    def is_number(self) -> bool:
        """Whether it is no category."""
        return self.kind != "category"

    @property
    def numbers(self) -> Floats:
        """The values of a number."""
        assert self.is_number
        return self.values.astype(np.float64)

    @property
    def centre(self) -> float:
        """The mean."""
        return float(self.numbers.mean())

    @property
    def spread(self) -> float:
        """The standard deviation, above 0."""
        return float(self.numbers.std())


@dataclass(frozen=True, slots=True)
class ModelLaw:
    """One model: what it is asked, what it answers, and how often.

    ``laws`` are indices into :attr:`FleetLaws.laws`, its 20 features in the order in which they are written; by
    feature, ``missing`` is the share of events in which it is null and ``seasonal`` whether it moves with the day.
    ``drivers`` are places in ``laws`` of what the score depends on, with ``weights`` in logits for a standard
    deviation; ``rate`` is events an hour in the mean, ``phase`` where in the day its traffic peaks, in radians;
    ``version_at`` the part of the stream after which it serves its second version, 1 for never. ``role`` is what it
    is to people.
    """

    name: str
    laws: tuple[int, ...]
    missing: tuple[float, ...]
    seasonal: tuple[bool, ...]
    drivers: tuple[int, ...]
    weights: tuple[float, ...]
    bias: float
    domain: int
    rate: float
    phase: float
    office: bool
    version_at: float
    role: Role

    @property
    def labels(self) -> tuple[str, str]:
        """What it answers for a score of at least a half, and below."""
        return LABELS[self.domain]


class FleetLaws:
    """All of it, drawn from ``seed``: the same for the same arguments."""

    def __init__(self, models: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self.laws: list[Law] = []
        self._named: dict[str, list[int]] = {}
        for kind, (_, names) in _NUMBERS.items():
            for name in names:
                self._add(name, [_number(name, kind, rng) for _ in range(_VARIANTS)])
        for name in _CATEGORIES:
            self._add(name, [_category(name, rng) for _ in range(_VARIANTS)])
        rates, roles = _rates(models, rng).tolist(), _roles(models, seed)
        self.models = tuple(self._model(i, rate, roles[i], rng) for i, rate in enumerate(rates))

    def law_of(self, model: ModelLaw, name: str) -> Law:
        """The law of a model's feature by its name."""
        return next(self.laws[i] for i in model.laws if self.laws[i].name == name)

    def names_of(self, model: ModelLaw) -> list[str]:
        """The model's features, in their order."""
        return [self.laws[i].name for i in model.laws]

    @cached_property
    def rates(self) -> Floats:
        """Events an hour by model."""
        return np.array([model.rate for model in self.models])

    def traffic(self, times: Floats) -> Floats:
        """Events an hour at ``times`` (seconds since the epoch), shape ``(times, models)``: by day and by week."""
        phases = np.array([model.phase for model in self.models])
        office = np.array([model.office for model in self.models])
        day = 1.0 + SWING * np.sin(2.0 * np.pi * times[:, None] / DAY_SECONDS + phases)
        # The epoch began on a Thursday. A week's mean stays what it is said to be.
        weekend = np.floor(times / DAY_SECONDS + 3.0) % 7.0 >= 5.0
        week = np.where(office, np.where(weekend, WEEKEND, 1.0)[:, None] * 7.0 / (5.0 + 2.0 * WEEKEND), 1.0)
        traffic: Floats = self.rates * day * week
        return traffic

    def season(self, model: ModelLaw) -> float:
        """How far :func:`tilt` moves a seasonal number of ``model`` in the mean of a day, weighted with its traffic."""
        return 0.5 * SEASON * SWING * float(np.cos(model.phase))

    def _add(self, name: str, laws: list[Law]) -> None:
        self._named[name] = list(range(len(self.laws), len(self.laws) + len(laws)))
        self.laws += laws

    def _model(self, i: int, rate: float, role: Role, rng: np.random.Generator) -> ModelLaw:
        domain = i % len(_DOMAINS)
        names = [name for how_many, known in _NUMBERS.values() for name in rng.permutation(known)[:how_many].tolist()]
        categories = rng.permutation(sorted(_CATEGORIES.keys() - {FIRST}))[: _N_CATEGORIES - 1].tolist()
        laws = [int(rng.choice(self._named[name])) for name in (FIRST, *names, *categories)]
        numbers = 1 + rng.permutation(len(names))
        missing = np.zeros(len(laws))
        missing[numbers[: len(_MISSING_RATES)]] = _MISSING_RATES
        seasonal = np.zeros(len(laws), bool)
        seasonal[1 : 1 + len(names)] = rng.random(len(names)) < _SEASONAL_SHARE
        return ModelLaw(
            name=f"{_DOMAINS[domain][0]}-{i:04d}",
            laws=tuple(laws),
            missing=tuple(missing.tolist()),
            seasonal=tuple(seasonal.tolist()),
            drivers=tuple((1 + rng.permutation(len(names))[:N_DRIVERS]).tolist()),
            weights=tuple((rng.choice([-1.0, 1.0], N_DRIVERS) * rng.uniform(0.4, 0.9, N_DRIVERS)).tolist()),
            bias=float(rng.normal(0.0, 0.5)),
            domain=domain,
            rate=rate,
            phase=float(rng.uniform(0.0, 2.0 * np.pi)),
            office=bool(rng.random() < _OFFICE_SHARE),
            version_at=float(rng.uniform(0.2, 0.8)) if rng.random() < _VERSION_SHARE else 1.0,
            role=role,
        )


def tilt(u: Floats, by: Floats) -> Floats:
    """Move uniform ``u`` such that its distribution function becomes ``x + by x (1 - x)``; ``by`` within [-1, 1]."""
    slope = 1.0 + by
    root = np.sqrt(slope * slope - 4.0 * by * u)
    moved: Floats = 2.0 * u / (slope + root)
    return moved


def _roles(models: int, seed: int) -> list[Role]:
    """What each model is to people, whatever its traffic."""
    roles = [Role.PLAIN] * models
    about_people = max(round(_PEOPLE_SHARE * models), _PEOPLE_MIN)
    for place, i in enumerate(np.random.default_rng([seed, 5]).permutation(models)[:about_people].tolist()):
        roles[i] = Role.TAGGER if place % _TAGGERS == _TAGGERS - 1 else Role.DECIDER
    return roles


def _rates(models: int, rng: np.random.Generator) -> Floats:
    """Events an hour of each model, a power law in random order."""
    quantile = (np.arange(models) + 0.5) / models
    rates = np.minimum(RATE_MIN * quantile ** (-1.0 / _RATE_EXPONENT), _RATE_MAX)
    shuffled: Floats = rng.permutation(rates)
    return shuffled


def _category(name: str, rng: np.random.Generator) -> Law:
    values = rng.permutation(_CATEGORIES[name])
    weights = np.arange(1, len(values) + 1) ** -rng.uniform(0.8, 1.6)
    ends = np.round(POOL * np.cumsum(weights) / weights.sum()).astype(int)
    return Law(name, "category", 0, np.repeat(values, np.diff(ends, prepend=0)))


def _number(name: str, kind: NumberKind, rng: np.random.Generator) -> Law:
    u, v = rng.random(2).tolist()
    a, b, decimals = _parameters(kind, u, v)
    drawn = np.sort(_raw(kind, a, b, rng, POOL * _PER_VALUE))[_PER_VALUE // 2 :: _PER_VALUE]
    return Law(name, kind, decimals, np.round(drawn, decimals))


def _parameters(kind: NumberKind, u: float, v: float) -> tuple[float, float, int]:
    """``a`` and ``b`` of a law (what they are says :func:`_raw`) and its decimals, from two numbers in [0, 1)."""
    match kind:
        case "normal":
            return 30.0 + 170.0 * u, 4.0 + 16.0 * v, 2
        case "lognormal":
            return 5.0 + 4.0 * u, 0.4 + 0.6 * v, 2
        case "exponential":
            return 5.0 + 200.0 * u, 0.0, 2
        case "uniform":
            return 0.0, 1.0 + 23.0 * u, 3
        case "count":
            return 1.0 + 11.0 * u, 0.0, 0
        case "bimodal":
            return 5.0 + 20.0 * u, 40.0 + 40.0 * v, 1
        case "zero_inflated":
            return 0.4 + 0.4 * u, 2.0 + 3.0 * v, 2


def _raw(kind: NumberKind, a: float, b: float, rng: np.random.Generator, n: int) -> Floats:
    match kind:
        case "normal":
            return rng.normal(a, b, n)
        case "lognormal":
            return rng.lognormal(a, b, n)
        case "exponential":
            return rng.exponential(a, n)
        case "uniform":
            return rng.uniform(a, b, n)
        case "count":
            return rng.poisson(a, n).astype(np.float64)
        case "bimodal":
            return rng.normal(np.where(rng.random(n) < 0.6, a, b), 0.12 * b, n)
        case "zero_inflated":
            return np.where(rng.random(n) < a, 0.0, rng.lognormal(b, 0.7, n))
