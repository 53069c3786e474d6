"""Does a number tell groups and strata apart as finely as it should, and wait until it can?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import MINUTE, START, event, feed, new_fleet

from monitor.fleet import Fleet
from monitor.groups.bands import n_bands
from monitor.groups.shown import associations


def fed(values: list[Any], **policy: Any) -> Fleet:
    """A fleet that met ``values`` of the feature ``x`` in each of three ticks."""
    fleet = new_fleet({"favourable": ("y",), **policy})
    for part in range(3):
        times = (START + part * MINUTE + np.linspace(0, 59, len(values))).tolist()
        said = [
            {"features": {"x": x}, "prediction": "y", "sensitive": {"sex": "FM"[i % 2]}} for i, x in enumerate(values)
        ]
        feed(fleet, [event(t, **s) for t, s in zip(times, said, strict=True)])
    return fleet


@pytest.mark.parametrize("codes", [[1, 2], [1.0, 2.0]])
def test_few_whole_numbers_are_codes(codes: list[float]) -> None:
    """A number of few values names groups by its values, as a class is written; a value that comes later too."""
    fleet = fed([*codes * 100, 9], sensitive=("x",))
    assert fleet.groups.register.group_names == ["1", "2", "9"]


def test_what_explains_is_cut_finely() -> None:
    """A number that explains makes 16 strata of like size; events before they are known are counted, not compared."""
    values = np.random.default_rng(3).permutation(np.linspace(0, 1, 320)).tolist()
    fleet = fed(values, explain_by=("x",), sensitive=("sex",))
    strata = fleet.groups.register.strata
    assert strata["judged"][: len(strata)].tolist() == [0] + [1] * 16
    (entry, _) = associations(fleet.groups, 0)
    assert [rate["n"] for rate in entry["rates"]] == [480, 480]
    tallies = fleet.groups.register.tallies
    judged = tallies["cell"][: len(tallies)] >= 0
    assert tallies["total"][: len(tallies), 0][judged].sum() == 640


def test_strata_stay_within_their_limit() -> None:
    """The more numbers explain, the fewer bands each has, so that all combinations have room."""
    assert [n_bands(k, 128) for k in (1, 2, 3, 4)] == [16, 11, 5, 4]
