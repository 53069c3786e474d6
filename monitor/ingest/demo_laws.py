"""What the models of the demo fleet are like: their features' laws, their score, their traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NumberKind = Literal["normal", "lognormal", "exponential", "uniform", "count", "bimodal", "zero_inflated"]

RATE_MIN = 20.0
"""Events an hour of the quietest model."""
_RATE_MAX = 800.0
_RATE_EXPONENT = 1.3
"""Traffic follows a power law: the share of models with more than r events an hour falls as r to minus this."""
BUSY_RATE = 60.0
"""Events an hour from which a model is busy."""
BUSY_MODELS_MIN = 10
"""So many models are busy, however small the fleet, so that every kind of fault finds a model."""
DAY_SECONDS = 86400.0
SWING = 0.3
"""Traffic rises and falls by this part of its mean within a day."""

_NUMBERS: dict[NumberKind, tuple[int, tuple[str, ...]]] = {
    "normal": (4, ("credit_rating", "body_temperature", "tenure_months", "battery_volts", "speed_kmh", "humidity")),
    "lognormal": (3, ("income", "basket_value", "loan_amount", "session_bytes", "rent")),
    "exponential": (2, ("minutes_since_login", "queue_seconds", "gap_hours", "latency_ms")),
    "uniform": (2, ("discount_share", "hour_of_day", "screen_share", "slope")),
    "count": (2, ("items", "late_payments", "open_tickets", "stops")),
    "bimodal": (1, ("trip_km", "age", "power_watts")),
    "zero_inflated": (2, ("refund", "claims_paid", "overdraft", "rain_mm")),
}
_CATEGORIES: dict[str, tuple[str, ...]] = {
    "country": ("SE", "DE", "FR", "PL", "ES", "IT", "NL", "FI"),
    "device": ("phone", "desktop", "tablet", "tv"),
    "channel": ("organic", "search", "mail", "partner", "shop"),
    "plan": ("free", "basic", "plus", "family", "business", "edu"),
    "browser": ("chrome", "safari", "firefox", "edge", "other"),
    "payment": ("card", "invoice", "wallet", "transfer"),
}
N_CATEGORIES = 4
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


@dataclass(frozen=True, slots=True)
class NumberLaw:
    """How a number is drawn: independent draws of one law, rounded to ``decimals``.

    ``centre`` and ``spread`` are its mean and standard deviation, found by drawing; ``missing`` the share of events
    in which it is null.
    """

    name: str
    kind: NumberKind
    a: float
    b: float
    decimals: int
    missing: float
    centre: float = 0.0
    spread: float = 1.0

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Fresh values, shape ``(n,)``."""
        return np.round(_raw(self.kind, self.a, self.b, rng, n), self.decimals)


@dataclass(frozen=True, slots=True)
class CategoryLaw:
    """How a category is drawn: ``values`` with ``shares`` that sum to 1, the commonest first."""

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Fresh indices into ``values``, shape ``(n,)``."""
        return np.searchsorted(np.cumsum(self.shares)[:-1], rng.random(n), side="right")


@dataclass(frozen=True, slots=True)
class ModelLaw:
    """One model: what it is asked, what it answers, and how often.

    ``drivers`` are indices into ``numbers`` of what its score depends on, with ``weights`` in logits for a standard
    deviation; ``rate`` is events an hour in the mean, ``phase`` where in the day its traffic peaks, in radians.
    """

    name: str
    numbers: tuple[NumberLaw, ...]
    categories: tuple[CategoryLaw, ...]
    drivers: tuple[int, ...]
    weights: tuple[float, ...]
    bias: float
    labels: tuple[str, str]
    rate: float
    phase: float

    @property
    def busy(self) -> bool:
        """Whether its traffic can show a fault within the demo."""
        return self.rate >= BUSY_RATE

    def logit(self, rng: np.random.Generator, numbers: list[Floats]) -> Floats:
        """The score before its squashing, shape ``(n,)``; what is not a finite number counts as the mean."""
        logit = self.bias + rng.standard_normal(len(numbers[0]))
        for driver, weight in zip(self.drivers, self.weights, strict=True):
            law = self.numbers[driver]
            standard = (numbers[driver] - law.centre) / law.spread
            logit += weight * np.clip(np.where(np.isfinite(standard), standard, 0.0), -4.0, 4.0)
        return logit


def score(logit: Floats) -> Floats:
    """The probability that a model answers with, to four decimals."""
    return np.round(1.0 / (1.0 + np.exp(-logit)), 4)


def model_laws(models: int, seed: int) -> tuple[ModelLaw, ...]:
    """The fleet: the same for the same arguments."""
    rng = np.random.default_rng([seed, 1])
    return tuple(_model(i, rate, rng) for i, rate in enumerate(_rates(models, rng).tolist()))


def _rates(models: int, rng: np.random.Generator) -> Floats:
    """Events an hour of each model, a power law in random order."""
    quantile = (np.arange(models) + 0.5) / models
    rates = np.minimum(RATE_MIN * quantile ** (-1.0 / _RATE_EXPONENT), _RATE_MAX)
    rates[:BUSY_MODELS_MIN] = np.maximum(rates[:BUSY_MODELS_MIN], BUSY_RATE)
    shuffled: Floats = rng.permutation(rates)
    return shuffled


def _model(i: int, rate: float, rng: np.random.Generator) -> ModelLaw:
    domain, *labels = _DOMAINS[i % len(_DOMAINS)]
    numbers = _numbers(rng)
    names = rng.permutation(sorted(_CATEGORIES))[:N_CATEGORIES].tolist()
    return ModelLaw(
        name=f"{domain}-{i:04d}",
        numbers=numbers,
        categories=tuple(_category(name, rng) for name in names),
        drivers=tuple(rng.permutation(len(numbers))[:N_DRIVERS].tolist()),
        weights=tuple((rng.choice([-1.0, 1.0], N_DRIVERS) * rng.uniform(0.4, 0.9, N_DRIVERS)).tolist()),
        bias=float(rng.normal(0.0, 0.5)),
        labels=(labels[0], labels[1]),
        rate=rate,
        phase=float(rng.uniform(0.0, 2.0 * np.pi)),
    )


def _numbers(rng: np.random.Generator) -> tuple[NumberLaw, ...]:
    laws: list[NumberLaw] = []
    for kind, (how_many, names) in _NUMBERS.items():
        laws += [_number(name, kind, rng) for name in rng.permutation(names)[:how_many].tolist()]
    missing = dict(zip(rng.permutation(len(laws)).tolist(), _MISSING_RATES, strict=False))
    return tuple(_measured(law, missing.get(i, 0.0), rng) for i, law in enumerate(laws))


def _number(name: str, kind: NumberKind, rng: np.random.Generator) -> NumberLaw:
    u, v = rng.random(2).tolist()
    return NumberLaw(name, kind, *_parameters(kind, u, v), 0.0)


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


def _measured(law: NumberLaw, missing: float, rng: np.random.Generator) -> NumberLaw:
    sample = law.draw(rng, 512)
    return NumberLaw(law.name, law.kind, law.a, law.b, law.decimals, missing, float(sample.mean()), float(sample.std()))


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


def _category(name: str, rng: np.random.Generator) -> CategoryLaw:
    values = _CATEGORIES[name]
    weights = np.arange(1, len(values) + 1) ** -rng.uniform(0.8, 1.6)
    return CategoryLaw(name, tuple(rng.permutation(values).tolist()), tuple((weights / weights.sum()).tolist()))
