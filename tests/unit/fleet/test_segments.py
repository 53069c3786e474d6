"""The mix of segments through the whole fleet."""

from __future__ import annotations

from fleets.build import LEARNED, hourly, new_fleet, series_named

from monitor.incidents.incident import Incident
from monitor.portrait import model_document


def country(i: int) -> dict[str, str]:
    """Five countries in turn, in equal shares."""
    return {"country": "ABCDE"[i % 5]}


def healthy(i: int) -> dict[str, float]:
    return {"x": float((i * 37) % 101)}


def told(incidents: list[Incident]) -> set[tuple[str, str, str | None]]:
    return {(i.alertname, cell.detector, cell.feature) for i in incidents for cell in i.cells}


def test_a_share_that_moves_is_told_as_mix() -> None:
    """A country that takes half of all is one incident about the mix, not drift of any feature, and says which."""
    fleet = new_fleet({"owners": {"mix": "growth"}})
    quiet = hourly(fleet, healthy, range(LEARNED), segment=country)
    shifted = hourly(fleet, healthy, range(LEARNED, LEARNED + 40), segment=lambda i: {"country": "AAAAABCDEB"[i % 10]})
    assert quiet == []
    assert told(shifted) == {("ModelPopulationMix", "mix", "country")}
    last = shifted[-1]
    assert last.labels["team"] == "growth"
    assert (last.kind, last.effect.name) == ("mix", "share_gap")
    assert "country: share of" in last.summary
    assert "in the traffic went from 20" in last.summary


def test_same_mix_is_quiet() -> None:
    """Days of the same mix give nothing, and the segment is shown with the features as one of its space."""
    fleet = new_fleet()
    assert hourly(fleet, healthy, range(LEARNED + 40), segment=country) == []
    shown = {f["name"]: f for f in model_document(fleet, 0, 1)["features"]}
    assert shown["country"]["space"] == "segment"
    assert {cell["detector"] for cell in shown["country"]["cells"]} == {"mix", "missing", "unseen", "schema"}
    assert "mix" not in {cell["detector"] for cell in shown["x"]["cells"]}


def test_a_value_that_nobody_knew_is_mix_too() -> None:
    """A new country is told under the alert of the mix; a segment that vanishes is a fault of the data."""
    fleet = new_fleet()
    hourly(fleet, healthy, range(LEARNED), segment=country)
    new = hourly(fleet, healthy, range(LEARNED, LEARNED + 10), segment=lambda i: {"country": "ABCDEF"[i % 6]})
    assert ("ModelPopulationMix", "unseen", "country") in told(new)
    gone = hourly(
        fleet, healthy, range(LEARNED + 10, LEARNED + 20), segment=lambda i: country(i) if i % 2 else {"arm": "x"}
    )
    assert ("ModelDataQuality", "missing", "country") in told(gone)


def test_values_are_capped() -> None:
    """Of a segment with more values than are told apart the rest count as one, and no more are remembered."""
    fleet = new_fleet(categories_max=10)
    assert hourly(fleet, healthy, range(LEARNED + 10), segment=lambda i: {"client": f"c{i % 200}"}) == []
    assert len(fleet.series.categories[series_named(fleet, "client")]) == 10
