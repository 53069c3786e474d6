"""What is a model judged by now? Its reference, learned or not, as the profile that a file of it would hold."""

from __future__ import annotations

from typing import Literal, cast

import numpy as np

from monitor.catalog.models import Models
from monitor.catalog.profile import Profile, SeriesProfile
from monitor.catalog.series import JUDGED, SPACE_NAMES, UNJUDGED, Series
from monitor.kernels.tally import KIND_CATEGORY

_SpaceName = Literal["feature", "prediction", "metric", "segment"]


def profile_of(models: Models, series: Series, row: int) -> Profile:
    """The reference of the model in ``row``: all of its series that are judged, in the order in which they were met.

    Read back as a file it gives the same counts, bins, cuts and ranges.
    """
    model, rows = models.items[row], series.rows
    own = [each for each in model.series if rows["judging"][each] == JUDGED]
    parts = [_part(series, each) for each in own]
    source = "file" if models.rows["from_file"][row] else "learned"
    if model.reference_version:
        source = f"version {model.reference_version}"
    return Profile(model.name, model.version, int(models.rows["learned"][row]), source, parts)


def _part(series: Series, row: int) -> SeriesProfile:
    rows = series.rows
    category = rows["kind"][row] == KIND_CATEGORY
    low, high = float(rows["seen_low"][row]), float(rows["seen_high"][row])
    bounded = not category and np.isfinite(low) and np.isfinite(high)
    bounds = float(rows["low"][row]), float(rows["high"][row])
    return SeriesProfile(
        name=series.names[row],
        space=cast("_SpaceName", SPACE_NAMES[int(rows["space"][row])]),
        kind="category" if category else "number",
        counts=rows["reference"][row].tolist(),
        edges=[] if category else rows["edges"][row, : rows["n_edges"][row]].tolist(),
        low=low if bounded else 0.0,
        high=high if bounded else 0.0,
        categories=list(series.categories.get(row, ())) if category else [],
        unjudged=UNJUDGED[int(rows["unjudged"][row])],
        cuts=rows["cuts"][row, : rows["n_cuts"][row]].tolist(),
        bounds=bounds if bounded and np.isfinite(bounds).all() else None,
    )
