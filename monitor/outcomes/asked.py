"""What policies say of outcomes, as arrays by model and as a table of classes, so that batches are asked at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.catalog.rows import Field, Rows
from monitor.events.columns import EventBatch, Space
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix

FAVOURABLE, MERITS, POSITIVE, SCORED, FALSE = 1, 2, 4, 8, 16
"""What a class is to a model: a favourable decision, an outcome that merits it, the class of precision and recall,
the class whose probability a score is; the other one of a pair of which nobody said more."""

_FIELDS = {
    "threshold": Field(np.float64, (), np.nan),
    "above": Field(bool),
    "numbers_score": Field(bool),
    "numbers_measure": Field(bool),
    "says_favourable": Field(bool),
    "says_merits": Field(bool),
    "own_words": Field(bool),
    "positive_merits": Field(bool),
    "says_positive": Field(bool),
    "answered": Field(np.uint8),
    "says_scored": Field(bool),
    "missing": Field(np.uint64),
    "false_positive": Field(np.float64),
    "false_negative": Field(np.float64),
    "all_sensitive": Field(bool),
    "favourable_only": Field(bool),
    "joins": Field(bool),
    "limit_error_rate": Field(np.float64, (), np.nan),
    "limit_loss": Field(np.float64, (), np.nan),
    "limit_cost": Field(np.float64, (), np.nan),
}
_MAY_BE_NAMED = np.isin(np.arange(256), (Space.SENSITIVE, Space.FEATURE, Space.SEGMENT))
"""By number of a space whether its entries may be attributes."""


def class_hash(name: str) -> int:
    """The hash under which a class stands in columns."""
    return hash64(name.encode())


class Asked:
    """Policies by model row: ``rows`` holds the arrays, :meth:`classes` what a class is, :meth:`wanted` attributes."""

    def __init__(self, models: Models) -> None:
        self.rows = Rows(_FIELDS)
        self._models = models
        self._classes = Table()
        self._names = Table()

    def extend(self) -> None:
        """Read the policies of models that are new."""
        new = range(len(self.rows), len(self._models))
        if new:
            self.rows.add(len(new))
        for policy, own in self._models.by_policy(new):
            self._read(np.array(own), policy)

    def read_again(self) -> None:
        """Read all policies anew, after they changed."""
        self.rows, self._classes, self._names = Rows(_FIELDS), Table(), Table()
        self.extend()

    @property
    def table(self) -> Table:
        """What classes are to models: bits, by ``mix(row + 1, hash)``."""
        return self._classes

    @property
    def named(self) -> Table:
        """The attributes that policies name, by ``mix(row + 1, hash)``."""
        return self._names

    def classes(self, model: NDArray[np.int32], names: NDArray[np.uint64]) -> NDArray[np.int32]:
        """What each class is to its model: bits, 0 for nothing special."""
        return np.maximum(self._classes.find(mix(model.astype(np.uint64) + np.uint64(1), names)), 0)

    def attributes(self, batch: EventBatch, model: NDArray[np.int32]) -> NDArray[np.int64]:
        """The entries that are attributes which cases carry: sensitive ones, and those that explain.

        ``model`` is by event, -1 where it has none: its entries are not among them.
        """
        named = len(self._names) > 0
        entries = np.flatnonzero(_MAY_BE_NAMED[batch.space] if named else batch.in_space(Space.SENSITIVE))
        entries = entries[model[batch.event[entries]] >= 0]
        owner, space, name = model[batch.event[entries]], batch.space[entries], batch.name.hash[entries]
        wanted = (space == Space.SENSITIVE) & self.rows["all_sensitive"][owner]
        if named:
            wanted |= self._names.find(mix(owner.astype(np.uint64) + np.uint64(1), name)) >= 0
        found: NDArray[np.int64] = entries[wanted]
        return found

    def _read(self, at: NDArray[np.int64], policy: Policy) -> None:
        rows, costs, limits = self.rows, policy.costs, policy.limits
        rows["threshold"][at] = np.nan if policy.decision_threshold is None else policy.decision_threshold
        rows["above"][at] = policy.favourable_when == "above"
        rows["numbers_score"][at] = policy.task == "binary"
        rows["numbers_measure"][at] = policy.task == "regression"
        rows["missing"][at] = 0 if policy.missing_outcome == "unknown" else class_hash(policy.missing_outcome)
        rows["false_positive"][at], rows["false_negative"][at] = costs.false_positive, costs.false_negative
        rows["all_sensitive"][at] = policy.sensitive is None
        rows["favourable_only"][at] = policy.outcomes_observed == "favourable"
        rows["joins"][at] = policy.outcome_horizon > 0.0
        for name, limit in (("error_rate", limits.error_rate), ("loss", limits.loss), ("cost", limits.cost)):
            rows[f"limit_{name}"][at] = np.nan if limit is None else limit
        scored = policy.favourable_outcomes or policy.positive
        rows["says_favourable"][at] = bool(policy.favourable)
        rows["says_merits"][at] = bool(policy.favourable_outcomes)
        rows["own_words"][at] = bool(policy.favourable) and set(policy.favourable_outcomes) != set(policy.favourable)
        rows["positive_merits"][at] = not set(policy.positive).isdisjoint(policy.favourable_outcomes)
        rows["says_positive"][at] = bool(policy.positive)
        rows["says_scored"][at] = bool(scored)
        rows["answered"][at] = FAVOURABLE if policy.favourable else POSITIVE if policy.positive else SCORED
        meanings = (
            (FAVOURABLE, policy.favourable),
            (MERITS, policy.favourable_outcomes),
            (POSITIVE, policy.positive),
            (SCORED, scored or ("1",)),
            (FALSE, ("0",)),
        )
        bits: dict[str, int] = {}
        for bit, names in meanings:
            for name in names:
                bits[name] = bits.get(name, 0) | bit
        models = at.astype(np.uint64) + np.uint64(1)
        for name, value in bits.items():
            self._classes.insert_many(mix(models, np.array(class_hash(name), np.uint64)), np.full(len(at), value))
        for name in (*(policy.sensitive or ()), *policy.explain_by):
            self._names.insert_many(mix(models, np.array(hash64(name.encode()), np.uint64)), at)
