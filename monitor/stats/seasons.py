"""What of a share's movement is a season, and how far the rest of it wanders: from the sums of one or two cycles.

A share is taken to be its mean, plus what the hour of the day adds, plus what the place in a longer cycle adds (of a
week, unless a longer season is declared), plus a rest that wanders. Of the two seasons only what stands out from the
wandering is believed, and shrunk by the part of it that wandering explains (James and Stein); a longer cycle is
believed only when a second one repeats the first. What is not believed is left in the rest, and the rest widens.

The rest is told in two numbers. ``dispersion`` is the variance of its means over the slots of a cycle in units of what
independent events would have, times ``(1 + r) / (1 - r)`` for a correlation ``r`` of neighbouring slots: the factor by
which fewer events would tell as much (Bayley and Hammersley, 1946). Few slots that go on alike tell little of it, so
where the rest wanders beyond chance it is taken two standard errors larger than it looks. ``spread`` is the standard
deviation of its daily means beyond that of independent events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HOURS = 24
"""Places in the day."""
SLOTS = 28
"""Places in the longer cycle: a quarter of a day each where it is a week."""
FOUND = 2.0
"""A season of the day is believed where it stands out from the wandering by this factor, in variance."""
REPEATED = 4.0
"""The longer one is where what two cycles have in common stands out by this from what they have not."""
_PER_DAY = SLOTS // 7
_N_WAVES = 2
_ANGLES = (
    2.0 * np.pi * np.outer(np.arange(1, _N_WAVES + 1), np.subtract.outer(np.arange(HOURS), np.arange(HOURS)).ravel())
)
_WAVES: Array = (2.0 / HOURS * np.cos(_ANGLES / HOURS).sum(axis=0)).reshape(HOURS, HOURS)
"""Takes the values of 24 hours to the waves of a day and of half a day through them."""
_CORRELATION_MAX = 0.85
_UNSURE = 2.0
"""Standard errors that are added to the logarithm of a dispersion which some slots show."""
_SLOTS_MIN = 4
"""Slots with events from which the rest's wandering can be told."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What was seen of ``k`` series and ``c`` shares: shares by hour of the day and by slot of each cycle, and events.

    Shapes: ``hour_share`` (k, 24, c), ``hour_n`` (k, 24), ``slot_share`` (k, cycles, 28, c), ``slot_n``
    (k, cycles, 28). ``weekly`` (k,) tells that a slot is a quarter of a day; else it takes in whole days.
    """

    hour_share: Array
    hour_n: Array
    slot_share: Array
    slot_n: Array
    weekly: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Season:
    """What was found: ``daily`` (k, 24, c) and ``longer`` (k, 28, c) are added to a share's mean; 0 where none is.

    ``terms`` (k,) counts the numbers that were estimated for them; 0 where there is no season. ``dispersion`` >= 1 and
    ``spread`` (k,) tell of the rest.
    """

    daily: Array
    longer: Array
    terms: Array
    dispersion: Array
    spread: Array


def fit(sums: Sums) -> Season:
    """Part the movements of ``sums`` into seasons and a rest that wanders."""
    n = sums.slot_n[..., None]
    events = n.sum(axis=(1, 2))
    mean = (n * sums.slot_share).sum(axis=(1, 2)) / np.maximum(events, 1.0)
    noise = np.maximum((mean * (1.0 - mean)).sum(axis=-1), 1e-9)
    raw = np.where(n > 0, sums.slot_share - mean[:, None, None, :], 0.0)

    hours = np.where(sums.hour_n[..., None] > 0, sums.hour_share - mean[:, None, :], 0.0)
    rest = np.where(n > 0, raw - _by_slot(hours, sums)[:, None], 0.0)
    daily, terms = _daily(hours, sums.hour_n, noise * _wander(rest, sums.slot_n, noise, 1.0 + _PER_DAY))

    rest = np.where(n > 0, raw - _by_slot(daily, sums)[:, None], 0.0)
    longer, longer_terms = _longer(rest, sums.slot_n)
    rest = np.where(n > 0, rest - longer[:, None], 0.0)
    spent = 1.0 + np.where(sums.weekly, np.minimum(terms, _PER_DAY - 1.0), 0.0) + longer_terms
    dispersion = _long_run(rest, sums.slot_n, noise, spent)
    return Season(daily, longer, terms + longer_terms, np.maximum(dispersion, 1.0), _spread(rest, sums, mean))


def wandering(slot_share: Array, slot_n: Array) -> Array:
    """The dispersion of shares before anything is known of their season, shape (k,): all of it may be wandering.

    ``slot_share`` (k, 1, 28, c) and ``slot_n`` (k, 1, 28) are those of a cycle of which only a part was seen.
    """
    n = slot_n[..., None]
    mean = (n * slot_share).sum(axis=(1, 2)) / np.maximum(n.sum(axis=(1, 2)), 1.0)
    noise = np.maximum((mean * (1.0 - mean)).sum(axis=-1), 1e-9)
    rest = np.where(n > 0, slot_share - mean[:, None, None, :], 0.0)
    r = _correlation(rest, slot_n)
    # No upper bound here: in so few slots it would take a drift of the first days for wandering.
    dispersion: Array = _wander(rest, slot_n, noise, 1.0) * (1.0 + r) / (1.0 - r)
    return dispersion


def _daily(hours: Array, hour_n: Array, noise: Array) -> tuple[Array, Array]:
    """The season of the day, (k, 24, c), and its terms: two waves, and single hours where these leave something.

    ``noise`` (k,) is the variance that one event adds to the mean of an hour, all shares together.
    """
    waves = np.einsum("hg,kgc->khc", _WAVES, hours)
    some = (hour_n > 0).sum(axis=1)
    # Waves are laid through evenly weighted hours; without all of them, only single hours can be told.
    whole = some == HOURS
    daily, terms = np.zeros(hours.shape), np.zeros(len(hours))
    for pattern, n_terms in ((waves * whole[:, None, None], 2.0 * _N_WAVES * whole), (hours, some - 1.0)):
        rest = pattern - daily
        left = np.maximum(n_terms - 2.0 * _N_WAVES * (terms > 0), 1.0)
        shown = (hour_n[..., None] * rest**2).sum(axis=(1, 2)) / noise / left
        kept = _believed(shown, FOUND) * (n_terms > 0)
        daily = daily + rest * kept[:, None, None]
        terms = terms + kept * left
    return daily, terms


def _believed(ratio: Array, least: float) -> Array:
    """How much of a pattern is kept that stands out from the wandering by ``ratio``, in variance."""
    return np.where(ratio >= least, 1.0 - 1.0 / np.maximum(ratio, least), 0.0)


def _by_slot(daily: Array, sums: Sums) -> Array:
    """What the hours of the day add to the mean of each slot, shape (k, 28, c); nothing where slots are whole days."""
    k, _, c = daily.shape
    n = sums.hour_n.reshape(k, _PER_DAY, -1, 1)
    by_part = (daily.reshape(k, _PER_DAY, -1, c) * n).sum(axis=2) / np.maximum(n.sum(axis=2), 1.0)
    tiled: Array = np.tile(by_part, (1, SLOTS // _PER_DAY, 1))
    return np.where(sums.weekly[:, None, None], tiled, 0.0)


def _wander(rest: Array, slot_n: Array, noise: Array, spent: Array | float) -> Array:
    """The variance of slots' means, weighted by their events, in units of what independent events have; at least 1."""
    some = (slot_n > 0).sum(axis=(1, 2))
    free = np.maximum(some - spent, 1.0)
    found: Array = (slot_n[..., None] * rest**2).sum(axis=(1, 2, 3)) / noise / free
    return np.where(some >= _SLOTS_MIN, np.maximum(found, 1.0), 1.0)


def _longer(rest: Array, slot_n: Array) -> tuple[Array, Array]:
    """The season of the longer cycle, (k, 28, c), and its terms: what a second cycle repeats of the first.

    First of groups of four slots (the days of a week), then of single slots where those leave something.
    """
    k, cycles, _, c = rest.shape
    longer, terms = np.zeros((k, SLOTS, c)), np.zeros(k)
    if cycles == 1:
        return longer, terms
    for group in (_PER_DAY, 1):
        n = slot_n.reshape(k, cycles, SLOTS // group, group)
        weight = n.sum(axis=3)
        left = (rest - longer[:, None]).reshape(k, cycles, -1, group, c)
        means = (left * n[..., None]).sum(axis=3) / np.maximum(weight, 1.0)[..., None]
        both = (weight > 0).all(axis=1)
        total = np.where(both, weight.sum(axis=1), 1.0)
        pattern = np.where(both[..., None], (means * weight[..., None]).sum(axis=1) / total[..., None], 0.0)
        apart = np.where(both, weight.prod(axis=1) / total, 0.0)[..., None] * (means[:, 0] - means[:, 1]) ** 2
        shown = (np.where(both, total, 0.0)[..., None] * pattern**2).sum(axis=(1, 2))
        kept = _believed(shown / np.maximum(apart.sum(axis=(1, 2)), 1e-9), REPEATED) * (both.sum(axis=1) > 1)
        longer += np.repeat(pattern * kept[:, None, None], group, axis=1)
        terms += kept * np.maximum(both.sum(axis=1) - 1.0 - terms, 1.0)
    return longer, terms


def _long_run(rest: Array, slot_n: Array, noise: Array, spent: Array | float) -> Array:
    """The dispersion of what wanders for longer than a slot; where it does beyond chance, its upper bound."""
    some = np.maximum((slot_n > 0).sum(axis=(1, 2)), 1.0)
    found, r = _wander(rest, slot_n, noise, spent), _correlation(rest, slot_n)
    wanders = found > 1.0 + 2.0 * np.sqrt(2.0 / np.maximum(some - spent, 1.0))
    # The variance of slots that go on alike has fewer degrees of freedom (Bartlett, 1935); r has an error of its own.
    error = np.sqrt(2.0 / some * (1.0 + r**2) / (1.0 - r**2) + 4.0 / some / (1.0 - r**2))
    dispersion: Array = found * (1.0 + r) / (1.0 - r) * np.where(wanders, np.exp(_UNSURE * error), 1.0)
    return dispersion


def _correlation(rest: Array, slot_n: Array) -> Array:
    """How alike slots that follow one another go on, 0 to 0.85."""
    k, _, _, c = rest.shape
    z = (np.sqrt(slot_n)[..., None] * rest).reshape(k, -1, c)
    r = (z[:, 1:] * z[:, :-1]).sum(axis=(1, 2)) / np.maximum((z * z).sum(axis=(1, 2)), 1e-9)
    # A mean that was taken from the same slots makes them look less alike (Marriott and Pope, 1954).
    alike: Array = np.clip(r + (1.0 + 3.0 * r) / np.maximum((slot_n > 0).sum(axis=(1, 2)), 1.0), 0.0, _CORRELATION_MAX)
    return alike


def _spread(rest: Array, sums: Sums, mean: Array) -> Array:
    """How far daily means of the rest lie apart beyond chance, of the share that wanders most; (k,)."""
    k, cycles, _, c = rest.shape
    group = _PER_DAY
    n = sums.slot_n.reshape(k, cycles * SLOTS // group, group)
    day_n = n.sum(axis=2)
    day = (rest.reshape(k, -1, group, c) * n[..., None]).sum(axis=2) / np.maximum(day_n, 1.0)[..., None]
    some = day_n > 0
    days = np.maximum(some.sum(axis=1), 1.0)
    seen = (day**2 * some[..., None]).sum(axis=1) / days[:, None]
    chance = mean * (1.0 - mean) * (some / np.maximum(day_n, 1.0)).sum(axis=1)[:, None] / days[:, None]
    # Chance alone may double it: what is told must be more than two standard errors of a variance beyond it.
    beyond = seen - chance * (1.0 + 2.0 * np.sqrt(2.0 / days))[:, None]
    spread: Array = np.sqrt(np.maximum(beyond, 0.0)).max(axis=1)
    return spread
