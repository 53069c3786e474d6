"""The report of a demo counts honestly: what was found, what was missed, what was false."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from monitor.incidents.incident import CellReport, Effect, Incident
from monitor.incidents.ranking import harm
from monitor.ingest.demo_faults import (
    ASSOCIATION,
    CALIBRATION,
    FEATURE_DRIFT,
    IMPACT,
    KINDS,
    PERFORMANCE,
    PREDICTION_DRIFT,
    QUALITY,
    SILENT,
    UNEQUAL,
    VOLUME,
    Fault,
    FaultKind,
)
from monitor.ingest.demo_people import OUTCOME_HORIZON
from monitor.ingest.demo_plan import Outlook
from monitor.ingest.demo_report import DemoReport, as_json, as_text, score

BEGAN, ENDED = 10_000.0, 20_000.0
TICK = 60.0
EFFECT = Effect("rate", 0.3, 0.02)


def fault(
    *, moves_prediction: bool = False, alertnames: tuple[str, ...] = (QUALITY,), models: tuple[str, ...] = ("m",)
) -> Fault:
    moves = frozenset(models if moves_prediction else ())
    return Fault(
        FaultKind.MISSING, models, ("income", "rent"), 0.25, BEGAN, ENDED, alertnames, moves, (PREDICTION_DRIFT,)
    )


def of_model(kind: FaultKind, *about: str | None) -> Fault:
    """A fault that no feature shows; ``about`` an attribute, a group and an output."""
    table = KINDS[kind]
    moves = frozenset({"m"})
    return Fault(kind, ("m",), (), 0.25, BEGAN, ENDED, table.alertnames, moves, table.entails, *about)


def cell(feature: str | None, time: float, *about: str | None) -> CellReport:
    attribute, group, output = about or (None, None, None)
    return CellReport("missing", feature, output, attribute, group, EFFECT, 3.0, None, time)


def incident(
    *cells: CellReport, alertname: str = QUALITY, model: str = "m", fired: float | None = None, feature: str | None = ""
) -> Incident:
    first = cells[0]
    return Incident(
        id=f"inc-{model}-{alertname}-{fired or first.fired_time}",
        kind="quality",
        alertname=alertname,
        model=model,
        version="1",
        detector="missing",
        feature=first.feature if feature == "" else feature,
        output=first.output,
        attribute=first.attribute,
        group=first.group,
        severity="warning",
        state="firing",
        onset_time=None,
        fired_time=first.fired_time if fired is None else fired,
        resolved_time=None,
        effect=EFFECT,
        evidence_log10=3.0,
        summary="m: something happened.",
        description="",
        labels={},
        cells=cells,
    )


def judged(*incidents: Incident, faults: tuple[Fault, ...] = (fault(),), chance: float = 1.0) -> DemoReport:
    outlooks = [Outlook(fault, 500.0, chance) for fault in faults]
    return score(outlooks, incidents, tick=TICK, events=1000, seconds=2.0)


def counts(report: DemoReport) -> tuple[int, int, int]:
    return report.found, len(report.false), report.stray_cells


@pytest.mark.parametrize("time", [BEGAN, 15_000.0, ENDED, ENDED + TICK - 1])
def test_a_fault_is_found_in_its_time(time: float) -> None:
    """An incident about one of the fault's features finds it in every tick that has events of its span."""
    assert counts(judged(incident(cell("rent", time)))) == (1, 0, 0)


@pytest.mark.parametrize("time", [BEGAN - 1, ENDED + TICK])
def test_too_early_and_too_late_are_false(time: float) -> None:
    """An incident outside of the fault's time finds nothing and is false."""
    assert counts(judged(incident(cell("rent", time)))) == (0, 1, 0)


def test_another_model_or_feature_is_false() -> None:
    """An incident of another model, or of a feature that was not hit, finds nothing and is false."""
    assert counts(judged(incident(cell("rent", 15_000.0), model="n"))) == (0, 1, 0)
    assert counts(judged(incident(cell("age", 15_000.0)))) == (0, 1, 0)


def test_a_second_alert_of_the_same_fault_is_not_false_and_finds_nothing() -> None:
    """The same feature under another alertname is the same fault, but not how it had to be found."""
    assert counts(judged(incident(cell("rent", 15_000.0), alertname=FEATURE_DRIFT))) == (0, 0, 0)


def test_answers_that_had_to_drift_are_not_false() -> None:
    """A drift of the answers is explained if the score depends on what was hit, and only then."""
    drift = incident(cell(None, 15_000.0), alertname=PREDICTION_DRIFT)
    assert counts(judged(drift)) == (0, 1, 0)
    assert counts(judged(drift, faults=(fault(moves_prediction=True),))) == (0, 0, 0)
    assert counts(judged(drift, faults=(fault(alertnames=(PREDICTION_DRIFT,), moves_prediction=True),))) == (1, 0, 0)


def test_a_group_is_named_rightly_or_not_found() -> None:
    """Only the fault's own group and output find it; the rest of its attribute is explained, others are not."""
    hit = of_model(FaultKind.UNWARRANTED_ASSOCIATION, "age_band", "60+", "garden")
    for about, expected in (
        (("age_band", "60+", "garden"), (1, 0, 0)),
        (("age_band", "18-29", "garden"), (0, 0, 0)),
        (("age_band", "60+", "news"), (0, 1, 0)),
        (("sex", "F", "garden"), (0, 1, 0)),
    ):
        assert counts(judged(incident(cell(None, 15_000.0, *about), alertname=ASSOCIATION), faults=(hit,))) == expected


@pytest.mark.parametrize(
    ("about", "alertname", "expected"),
    [
        (("income", "sex", "F"), FEATURE_DRIFT, (1, 0, 0)),
        (("income", "sex", "M"), FEATURE_DRIFT, (0, 0, 0)),
        (("income", None, None), FEATURE_DRIFT, (0, 0, 0)),
        (("income", "age_band", "60+"), FEATURE_DRIFT, (0, 1, 0)),
        (("rent", "sex", "F"), FEATURE_DRIFT, (0, 1, 0)),
        ((None, "sex", "F"), IMPACT, (0, 0, 0)),
        ((None, "age_band", "60+"), IMPACT, (0, 1, 0)),
        ((None, None, None), PREDICTION_DRIFT, (0, 0, 0)),
    ],
)
def test_a_feature_of_a_group_is_named_rightly_or_not_found(
    about: tuple[str | None, ...], alertname: str, expected: tuple[int, int, int]
) -> None:
    """Only feature and group find it; the others of its attribute, the whole, and what follows from it are explained.

    It is judged by days: what is told within a day of its end has it.
    """
    hit = replace(of_model(FaultKind.GROUP_MOVED, "sex", "F", None), features=("income",))
    in_time, late = (
        incident(cell(about[0], time, *about[1:], None), alertname=alertname) for time in (15_000.0, ENDED + 86_399.0)
    )
    assert counts(judged(in_time, faults=(hit,))) == expected
    by_days = about[0] is not None and about[1] is not None
    assert counts(judged(late, faults=(hit,))) == (expected if by_days else (0, 1, 0))


def test_what_a_refused_group_brings_about_is_explained() -> None:
    """Decisions against a group move answers, errors and its own error rates; no error rates of another attribute."""
    hit = of_model(FaultKind.DISPARATE_IMPACT, "sex", "F", None)
    late = ENDED + OUTCOME_HORIZON
    for told, expected in (
        (incident(cell(None, 15_000.0, "sex", "F", None), alertname=IMPACT), (1, 0, 0)),
        (incident(cell(None, 15_000.0), alertname=PREDICTION_DRIFT), (0, 0, 0)),
        (incident(cell(None, late), alertname=PERFORMANCE), (0, 0, 0)),
        (incident(cell(None, late, "sex", "M", None), alertname=UNEQUAL), (0, 0, 0)),
        (incident(cell(None, late, "age_band", "60+", None), alertname=UNEQUAL), (0, 1, 0)),
    ):
        assert counts(judged(told, faults=(hit,))) == expected


def test_a_model_as_a_whole_is_found_by_its_alert() -> None:
    """Silence and a changed concept name no feature: the alertname finds them, what they bring about is explained."""
    silence, concept = of_model(FaultKind.SILENCE), of_model(FaultKind.CONCEPT_UP)
    for hit, alertname, expected in (
        (silence, SILENT, (1, 0, 0)),
        (silence, VOLUME, (0, 0, 0)),
        (silence, QUALITY, (0, 1, 0)),
        (concept, PERFORMANCE, (0, 1, 0)),
        (concept, SILENT, (0, 1, 0)),
    ):
        assert counts(judged(incident(cell(None, 15_000.0), alertname=alertname), faults=(hit,))) == expected


def test_outcomes_speak_of_the_cases_that_matured() -> None:
    """What outcomes say of the span they say late: sooner it is false; after the end it is right, but finds nothing."""
    hit = of_model(FaultKind.ANSWERS_MIXED_UP)
    for time, expected in (
        (BEGAN + OUTCOME_HORIZON - 1, (0, 1, 0)),
        (ENDED + OUTCOME_HORIZON, (0, 0, 0)),
        (ENDED + OUTCOME_HORIZON + TICK, (0, 1, 0)),
    ):
        assert counts(judged(incident(cell(None, time), alertname=CALIBRATION), faults=(hit,))) == expected


def test_a_cell_of_a_false_incident_finds_and_excuses_nothing_else() -> None:
    """An incident that began falsely stays false though a fault's cell joined it; that cell found the fault."""
    began_early = incident(cell("age", BEGAN - 500), cell("rent", 15_000.0))
    assert counts(judged(began_early)) == (1, 1, 0)


def test_an_unexplained_cell_of_a_right_incident_is_a_stray() -> None:
    """Cells that woke nobody are counted apart, also where they fired in the same tick."""
    later = incident(cell("rent", 15_000.0), cell("age", 16_000.0))
    together = incident(cell("age", 15_000.0), cell("rent", 15_000.0))
    assert counts(judged(later)) == (1, 0, 1)
    assert counts(judged(together)) == (1, 0, 1)


def test_a_cell_that_fired_again_keeps_what_it_found_first() -> None:
    """An incident's own firing counts, although its cell fired anew after the fault had ended."""
    again = incident(cell("rent", ENDED + 5000.0), fired=15_000.0)
    report = judged(again)
    assert counts(report) == (1, 0, 1)
    assert report.findings[0].found_time == 15_000.0


def test_what_the_traffic_cannot_show_was_not_planted() -> None:
    """A fault that was named undetectable is neither found nor missed, and an incident about it is not false."""
    told = incident(cell("rent", 15_000.0))
    for report in (judged(told, chance=0.5), judged(chance=0.5)):
        assert (report.planted, report.undetectable, report.found, report.missed) == (0, 1, 0, 0)
        assert not report.false


def test_one_cause_in_many_models() -> None:
    """A fault that hits many models is one; the first that tells finds it, and how many incidents it took is said."""
    hit = fault(models=("m", "n", "o"))
    told = [incident(cell("rent", 15_000.0 + i), model=name) for i, name in enumerate("nmp")]
    report = judged(*told, faults=(hit,))
    assert counts(report) == (1, 1, 0)
    assert (report.findings[0].found_time, report.findings[0].incidents) == (15_000.0, 2)
    merged = [msgspec.structs.replace(one, merged_into="inc-shared") for one in told]
    assert judged(*merged, faults=(hit,)).findings[0].incidents == 1
    assert any("3 models" in line and "as 2 incidents" in line for line in as_text(report).splitlines())


def test_the_list_is_ranked() -> None:
    """The most harmful comes first, with its harm: of the same traffic, what moved further and is more than a note."""
    made = [incident(cell("rent", 15_000.0 + 60.0 * i)) for i in range(3)]
    mild, bad, note = (msgspec.structs.replace(one, traffic=100.0) for one in made)
    mild = msgspec.structs.replace(mild, effect=Effect("rate", 0.03, 0.02), cells=())
    note = msgspec.structs.replace(note, severity="info", effect=Effect("rate", 0.03, 0.02), cells=())
    report = judged(note, mild, bad)
    assert report.ranked == (bad, mild, note)
    lines = [line.split() for line in as_text(report).splitlines() if line[:4].strip() in {"1.", "2.", "3."}]
    assert [float(line[1]) for line in lines] == [round(harm(one), 1) for one in (bad, mild, note)]
    assert [line[2] for line in lines] == ["warning", "warning", "info"]


def test_the_last_state_of_an_incident_counts_once() -> None:
    """An incident that was told several times, as it grew, is one."""
    first = incident(cell("rent", 15_000.0))
    report = judged(first, incident(cell("rent", 15_000.0), cell("income", 15_060.0)))
    assert (report.incidents, *counts(report)) == (1, 1, 0, 0)


def test_the_earliest_claim_is_when_it_was_found() -> None:
    """Of several claims the first counts."""
    report = judged(incident(cell("rent", 15_000.0)), incident(cell("income", 14_000.0), fired=14_000.0))
    assert report.findings[0].found_time == 14_000.0


def test_nothing_told_is_everything_missed() -> None:
    """Without incidents all that was planted was missed, and nothing was false."""
    report = judged()
    assert (report.planted, report.found, report.missed, report.false) == (1, 0, 1, ())


def test_the_object_has_what_scripts_read() -> None:
    """The JSON object has the numbers, and of each fault its kind, model, feature, beginning and if it was found."""
    document = as_json(judged(incident(cell("rent", 15_000.0)), incident(cell("x", 99.0), model="n")))
    assert {name: document[name] for name in ("planted", "found", "missed", "false", "events")} == {
        "planted": 1,
        "found": 1,
        "missed": 0,
        "false": 1,
        "events": 1000,
    }
    assert document["events_per_second"] == 500.0
    assert document["faults"] == [
        {
            "kind": "missing",
            "model": "m",
            "models": ["m"],
            "size": 0.25,
            "detectable": True,
            "feature": "income",
            "features": ["income", "rent"],
            "attribute": None,
            "group": None,
            "output": None,
            "began": "1970-01-01T02:46:40.000Z",
            "ended": "1970-01-01T05:33:20.000Z",
            "found": True,
            "found_time": "1970-01-01T04:10:00.000Z",
            "alertnames": ["ModelDataQuality"],
            "advice": None,
            "asks_for": ["fix_input"],
        }
    ]


def test_people_read_the_same() -> None:
    """The text names every fault with how long it took to find, and every false incident."""
    lines = as_text(judged(incident(cell("rent", 15_000.0)), incident(cell("x", 99.0), model="n"))).splitlines()
    told = ["missing", "0.25", "m", "income,", "rent", "01-01", "02:46", "01-01", "05:33", "1", "h", "23", "min"]
    assert lines[1].split() == told
    assert lines[-2] == "advice given 0, what the cause asks for 0"
    assert lines[-3].startswith("planted 1, found 1, missed 0, false 1 (named undetectable beforehand 0, incidents 2")
    assert "false: 1970-01-01T00:01Z  ModelDataQuality  m: something happened." in lines
    assert lines[-1] == "1000 events in 2.0 s: 500 events/s"
    assert as_text(judged()).splitlines()[1].endswith("missed")
    assert "missed: missing of size 0.25 in m income, rent" in as_text(judged()).splitlines()
    hit = of_model(FaultKind.UNWARRANTED_ASSOCIATION, "age_band", "60+", "garden")
    told = as_text(judged(faults=(hit,))).splitlines()[1].split()
    assert told[:6] == ["unwarranted_association", "0.25", "m", "age_band", "60+:", "garden"]
    assert as_text(judged(chance=0.1)).splitlines()[1].endswith("undetectable (500 events), missed")


@pytest.mark.parametrize(("strangers", "false"), [(1, 1), (3, 4)])
def test_a_shared_cause_is_what_was_merged_into_it(strangers: int, false: int) -> None:
    """It is right where at least half of its members began rightly; those that did not are false by themselves."""
    at = 15_000.0
    members = [incident(cell("rent", at)), *(incident(cell("rent", at), model=f"n{i}") for i in range(strangers))]
    merged = [msgspec.structs.replace(one, state="resolved", merged_into="inc-shared") for one in members]
    shared = incident(cell("rent", at), alertname="FleetSharedCause", model="")
    shared = msgspec.structs.replace(shared, id="inc-shared", models=tuple(one.model for one in members))
    assert counts(judged(*merged, shared)) == (1, false, 0)
