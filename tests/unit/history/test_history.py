"""Is what is told of a past range what was true of it?"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fleets.build import DAY, HOUR, START, event
from fleets.lived import A_DAY, CONFIG, DAYS, Case, lived, read, settings, store_of
from unit.pipeline.stage import Stage

from monitor.cli import main
from monitor.config import Config

Kept = tuple[Config, Path]
MONTH = 31 * DAY
SEGMENTS = ("country=SE", "country=NO")


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return lived()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, cases: list[Case]) -> Kept:
    """A store that was killed twice on the way."""
    directory = tmp_path_factory.mktemp("history")
    return store_of(directory, cases, kills=2), directory / "store"


def within(cases: list[Case], since: float, until: float) -> list[Case]:
    return [case for case in cases if since <= case.at < until]


def seconds(time: str) -> float:
    """Since the start."""
    return datetime.fromisoformat(time).timestamp() - START


def named(items: list[dict[str, Any]], **named: Any) -> dict[str, Any]:
    (found,) = (item for item in items if all(item[key] == value for key, value in named.items()))
    return found


@pytest.mark.parametrize(("since", "until"), [(3 * DAY, 34 * DAY), (4 * DAY, 9 * DAY), (33.5 * DAY, 34.5 * DAY)])
def test_distributions_are_those_of_the_range(kept: Kept, cases: list[Case], since: float, until: float) -> None:
    """Events, volumes and every bin of a feature, of days, hours and ticks, are what was sent then, over kills."""
    told = read(*kept, since, until).document
    true = within(cases, since, until)
    told_later = sum(since <= case.at + 2 * HOUR < until for case in cases)
    assert told["events"] == len(true) + told_later, "outcomes are events too"
    assert sum(step["predictions"] for step in told["volume"]) == len(true)
    assert seconds(told["covered"]["from"]) == since
    assert seconds(told["covered"]["until"]) == until
    x = named(told["features"], name="x")
    edges = [float(label.removeprefix("<= ").split(" to ")[-1]) for label in x["current"]["bins"][:-1]]
    for j, edge in enumerate(edges):
        at_most = sum(case.x <= edge for case in true)
        assert abs(sum(x["current"]["counts"][: j + 1]) - at_most) <= 1, "the edges are told with six digits"
    label = named(told["features"], name="label")
    counted = dict(zip(label["current"]["bins"], label["current"]["counts"], strict=True))
    assert counted["yes"] == sum(case.yes for case in true)


def test_what_moved_is_told_with_its_day(kept: Kept) -> None:
    """The effect over what is tolerated is small before the 25th day and large after, step by step and as a whole."""
    told = read(*kept, 0.0, DAYS * DAY)
    x = named(told.document["features"], name="x")
    assert told.document["step_seconds"] == DAY
    assert x["cells"][0]["detector"] == "drift"
    assert x["cells"][0]["ratio"] > 1.0
    assert max(x["ratios"][11:25]) < 3.0, "the reference of a week is itself some way off"
    assert min(x["ratios"][26:34]) > 5.0
    label = named(told.document["features"], name="label")
    assert max(label["ratios"][11:]) < 1.0, "nothing but chance"
    week = read(*kept, 0.0, 70 * DAY).document
    steps = named(week["features"], name="x")["ratios"]
    assert week["step_seconds"] == 7 * DAY
    assert max(steps[1:3]) < 3.0 < 10.0 < steps[4]
    drift = [incident for incident in told.incidents if incident.feature == "x"]
    assert drift
    assert read(*kept, 0.0, 20 * DAY).incidents != told.incidents
    assert all(incident.fired_time <= START + 20 * DAY for incident in read(*kept, 0.0, 20 * DAY).incidents)


def test_evidence_gathers_when_something_moves(kept: Kept) -> None:
    """Evidence by step is little while nothing moves, and enough for an alarm soon after something does."""
    told = read(*kept, 12 * DAY, DAYS * DAY).document
    x, label = (named(told["features"], name=name) for name in ("x", "label"))
    steps = [step["from"] for step in told["volume"]]
    assert len(x["evidence_ratios"]) == len(label["evidence_ratios"]) == len(steps)
    moved = next(i for i, step in enumerate(steps) if seconds(step) >= 25 * DAY)
    assert max(x["evidence_ratios"][:moved]) < 1.0
    assert max(x["evidence_ratios"][moved : moved + 5]) >= 1.0
    assert max(label["evidence_ratios"]) < 1.0
    again = read(*kept, 12 * DAY, DAYS * DAY).document
    assert named(again["features"], name="x")["evidence_ratios"] == x["evidence_ratios"], "each reading begins anew"


def test_groups_of_a_month_to_the_case(kept: Kept, cases: list[Case]) -> None:
    """Cases, sums, merit and the customary figures of a whole month are counted as they were, over kills and ages."""
    told = read(*kept, 0.0, 34 * DAY).document["associations"]
    true = within(cases, 0.0, MONTH)
    decision = named(told, detector="impact")
    assert (seconds(decision["from"]), seconds(decision["until"])) == (0.0, MONTH)
    for rate in decision["rates"]:
        (own,) = ({"F", "M"} - {sex} for sex in "FM" if sum(c.sex == sex for c in true) != rate["n"])
        of = [case for case in true if case.sex in own]
        assert rate["n"] == len(of)
        assert rate["favourable"] == sum(case.yes for case in of)
        assert rate["low"] < rate["rate"] < rate["high"]
    merited = named(told, detector="opportunity")
    assert sorted(rate["n"] for rate in merited["rates"]) == sorted(
        sum(case.sex == sex and case.repaid for case in true) for sex in "FM"
    )
    (fixed,) = decision["customary"]
    assert seconds(fixed["date"]) == MONTH
    low, high = sorted(fixed["groups"], key=lambda group: group["rate"])
    assert low["ratio_to_highest"] == pytest.approx(low["rate"] / high["rate"])
    assert low["z"] < -5.0
    assert low["fisher_p"] < 1e-4
    assert (high["z"], high["fisher_p"], high["ratio_to_highest"]) == (None, None, 1.0)
    worst = min(decision["compared"], key=lambda compared: compared["effect"]["value"])
    assert worst["effect"]["value"] == pytest.approx(low["ratio_to_highest"]), "two groups: the rest is the highest"


def test_groups_of_days(kept: Kept, cases: list[Case]) -> None:
    """A range without a whole month is told by pooled days that lie within it; one without a whole day is not."""
    (decision,) = (
        each for each in read(*kept, 4.4 * DAY, 12.7 * DAY).document["associations"] if each["detector"] == "impact"
    )
    since, until = seconds(decision["from"]), seconds(decision["until"])
    assert 5 * DAY <= since < until <= 12 * DAY
    assert sum(rate["n"] for rate in decision["rates"]) == len(within(cases, since, until))
    assert read(*kept, 4.4 * DAY, 4.9 * DAY).document["associations"] == []


def test_performance_of_the_cases_of_the_range(kept: Kept, cases: list[Case]) -> None:
    """The figures are of the cases that were predicted between the moments that stand beside them."""
    told = read(*kept, 10 * DAY, 20 * DAY).document["performance"]
    since, until = seconds(told["from"]), seconds(told["until"])
    assert (since, until) == (10 * DAY, 20 * DAY)
    assert told["cases"] == told["outcomes"] == len(within(cases, since, until)) == 10 * A_DAY
    late = read(*kept, 18.2 * DAY, 50 * DAY).document["performance"]
    assert seconds(late["from"]) == 19 * DAY
    assert late["cases"] == len(within(cases, 19 * DAY, seconds(late["until"])))
    assert seconds(late["until"]) >= 32 * DAY, "a day is known when one that came later has matured"
    assert read(*kept, 40 * DAY, 50 * DAY).document["performance"] is None


def test_nothing_is_known_of_what_was_not(kept: Kept) -> None:
    """A range before the first event holds nothing, and says so."""
    told = read(*kept, -20 * DAY, -10 * DAY)
    assert told.document["covered"] is None
    assert (told.document["events"], told.document["features"], told.document["associations"]) == (0, [], [])
    assert told.incidents == []


def test_a_report_of_a_store(kept: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file that asks nobody for anything, with policy, incidents, figures, the annex, method and limits in it."""
    config, store = kept
    file, out = tmp_path / "config.toml", tmp_path / "report.html"
    file.write_text(CONFIG)
    range_ = ["--since", "2026-01-01", "--until", "2026-02-05"]
    asked = ["report", "--model", "m", *range_, "--store", str(store), "--config", str(file)]
    assert main([*asked, "--out", str(out)]) == 0
    assert "3 incidents" in capsys.readouterr().out
    page = out.read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert " src=" not in page
    assert " href=" not in page
    told = read(config, store, 0.0, DAYS * DAY)
    for words in (
        *("Annex: customary figures", "Method", "Limits", "Exclusions", "favourable_outcomes = "),
        *(incident.id for incident in told.incidents),
        *(incident.policy_digest for incident in told.incidents),
        f"{told.document['associations'][0]['customary'][0]['groups'][0]['z']:.3g}",
    ):
        assert words in page, words
    assert main([*asked, "--out", str(tmp_path / "none" / "report.html")]) == 2
    assert main(["report", "--model", "m", *range_, "--store", str(store), "--out", str(out)]) == 2
    assert main([*asked[:2], "absent", *asked[3:], "--out", str(out)]) == 2
    assert main([*asked, "--since", "2027-01-01", "--out", str(out)]) == 2
    assert "no model 'absent'" in capsys.readouterr().err


def test_a_segment_has_a_past_of_its_own(tmp_path: Path) -> None:
    """What moved with one value of `split_by` alone is told of that value, with its own events, and of no other."""
    events = [
        event(
            START + (i + 0.5) * 8 * DAY / 1200,
            {"x": float((i * 7919 % 1000) / 1000 + (2.0 if i > 900 and i % 2 else 0.0))},
            segment={"country": "SE" if i % 2 else "NO"},
        )
        for i in range(1200)
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(one + b"\n" for one in events))
    config = settings(tmp_path, 'split_by = ["country"]\n')
    stage = Stage(config, [file], tmp_path / "store", batch_records=297)
    stage.run()
    stage.pipeline.commit()
    stage.close()
    told = {name: read(config, tmp_path / "store", 0.0, 8 * DAY, segment=name).document for name in ("", *SEGMENTS)}
    assert sorted(told[""]["segments"]) == sorted(SEGMENTS)
    assert [told[name]["segment"] for name in ("", *SEGMENTS)] == [None, *SEGMENTS]
    assert sum(told[name]["events"] for name in SEGMENTS) == told[""]["events"] > 1000
    assert abs(told[SEGMENTS[0]]["events"] - told[SEGMENTS[1]]["events"]) <= 1
    counts = {name: named(told[name]["features"], name="x")["current"]["counts"] for name in SEGMENTS}
    assert counts["country=SE"][-1] > 5 * counts["country=NO"][-1] > 0
