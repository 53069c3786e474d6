"""What are the strata of a number and of a category called?"""

from __future__ import annotations

from fleets.build import LEARNED, hourly, new_fleet, series_named

from monitor.catalog.strata import strata_labels, up_to_label


def test_strata_by_name() -> None:
    """Of a number ranges that meet, up to anything; of a category its first seven values, and the others."""
    fleet = new_fleet({"tick": "1h"})
    hourly(fleet, lambda i: {"x": float(i % 100), "c": "abcdefghij"[i % 10]}, range(LEARNED))
    x, c = series_named(fleet, "x"), series_named(fleet, "c")
    labels = strata_labels(fleet.series, x)
    assert (len(labels), labels[-1]) == (9, "missing")
    assert labels[0] == up_to_label(fleet.series, x, 0)
    ends = [label.split(" to ")[1] for label in labels[1:7]]
    assert [up_to_label(fleet.series, x, stratum) for stratum in range(1, 7)] == [f"<= {end}" for end in ends]
    assert labels[7] == f"> {ends[-1]}"
    assert up_to_label(fleet.series, x, 7) == "any value"
    assert [*strata_labels(fleet.series, c)[:7], strata_labels(fleet.series, c)[7]] == [*"abcdefg", "others"]
