"""Which features tell groups apart, the surest first, and does one alone admit disparate impact? A report, no alarm."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import RETIRED, Series
from monitor.events.columns import Space
from monitor.groups.questions import Kind
from monitor.groups.visible import Attribute, attributes, visible_beside
from monitor.groups.watch import Groups
from monitor.kernels.lean import SLOTS
from monitor.leaning.bill import CASES_MIN, lean
from monitor.leaning.features_by_group import FeaturesByGroup
from monitor.leaning.sums import Leaning
from monitor.stats.distances import total_variation

FEATURES_SHOWN = 20
"""Features of an attribute that are told, those with the largest certain distance."""

Standing = Callable[[int, int], tuple[str, float | None]]
"""How a group (row) stands in a feature (slot): a word, and by how much its difference moved, where that is known."""
Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]


def group_features(
    groups: Groups,
    counted: FeaturesByGroup,
    leaning: Leaning,
    series: Series,
    model: int,
    rows: Rows64,
    standing: Standing,
) -> list[dict[str, Any]]:
    """The ``group_features`` of a model whose series are ``rows``, in JSON types, by attribute.

    Of each feature the group that lies farthest from the rest of its attribute is told, if any may be, and its
    ``standing`` since its past.
    """
    if model not in groups.register.of_model:
        return []
    margins = [of for of in attributes(groups, model) if groups.register.attributes["first"][of.row] < 0]
    protected = {of.name for of in margins}
    rows = rows[(series.rows["space"][rows] == Space.FEATURE) & (series.rows["judging"][rows] != RETIRED)]
    rows = rows[series.rows["local"][rows] < SLOTS]
    rows = rows[np.array([series.names[row] not in protected for row in rows.tolist()], bool)]
    if not len(rows):
        return []
    important = dict(zip(rows.tolist(), lean(leaning.of("answer", rows).sum(axis=1)).tolist(), strict=True))
    told: list[dict[str, Any]] = []
    for of in margins:
        found = _of_attribute(groups, counted, series, model, of, rows)
        found.sort(key=lambda line: (-line["distance"]["low"], -line["distance"]["value"], line["feature"]))
        for line in found[:FEATURES_SHOWN]:
            row = line.pop("row")
            state, moved = standing(line.pop("group_row"), int(series.rows["local"][row]))
            importance = important[row] if math.isfinite(important[row]) else None
            told.append({**line, "lean": importance, "state": state, "moved": moved})
    return told


def _of_attribute(
    groups: Groups, counted: FeaturesByGroup, series: Series, model: int, of: Attribute, rows: Rows64
) -> list[dict[str, Any]]:
    """Each feature with the group that it tells apart the most surely."""

    def events(own: Sequence[int]) -> Array:
        return counted.counts(list(own))[0].astype(np.float64)

    n, counts = counted.counts(of.groups)
    seen = np.array(visible_beside(groups, of.row, of.groups, events), bool)  # none where a number has no bands yet
    counts = counts[:, series.rows["local"][rows]]
    rest = counts.sum(axis=0) - counts
    enough = (np.minimum(counts.sum(axis=-1), rest.sum(axis=-1)) >= max(CASES_MIN, groups.privacy.smallest_group)).T
    value, low = total_variation(counts, rest)
    found = []
    for k, row in enumerate(rows.tolist()):
        best = np.where(seen & enough[k], low[:, k], -np.inf)
        if not np.isfinite(best).any():
            continue
        i = int(np.argmax(best))
        rate = _favourable(groups, model, of.groups[i])
        found.append(
            {
                "row": row,
                "feature": series.names[row],
                "attribute": of.name,
                "group": of.names[i],
                "group_row": of.groups[i],
                "n": int(n[i]),
                "distance": {"name": "total_variation", "value": float(value[i, k]), "low": float(low[i, k])},
                "favourable_rate": rate,
                "certificate": None
                if rate is None
                else {"needed": rate / 4.0, "admits_disparate_impact": bool(low[i, k] > rate / 4.0)},
            }
        )
    return found


def _favourable(groups: Groups, model: int, group: int) -> float | None:
    """The favourable rate of a group; ``None`` where its model takes no such decisions."""
    output = groups.register.find_output(model, Kind.DECISION, "")
    n, s = groups.register.totals(group, output) if output >= 0 else (0.0, 0.0)
    return s / n if n > 0.0 else None
