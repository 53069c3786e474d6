"""The same events give the same incidents, whatever the batch sizes, and whatever is killed on the way."""

from __future__ import annotations

import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event, replayed, write_lines
from unit.pipeline.stage import Stage

from monitor.catalog.profile import Profile, number_series, save
from monitor.config import load
from monitor.incidents.document import incident_document
from monitor.outcomes import pending
from monitor.outcomes.joining import FATES
from monitor.portrait import model_document
from monitor.replay import Replayed, write_documents

MODELS = ("plain", "swings", "versions", "rare", "daily", "follows")
ANSWERS = 1600
DAYS = 5
OF_RECORDS = ("duplicates", "ignored", "dropped_values")
"""Counts that go up with each record that comes twice."""
NOT_IN_THE_STORY = (
    *("repeated", "no_room"),
    "repeated_predictions",
    "late_predictions",
    "parts_without_prediction",
    "attributes_turned_away",
)


def observed(model: str, day: float, rng: np.random.Generator) -> dict[str, Any]:
    """The features of an event of ``model``, with all that befalls them."""
    shift = 1.5 if model == "swings" and (3 < day < 3.6 or day > 4.5) else 0.0
    features: dict[str, Any] = {
        "x": round(rng.normal() + shift, 6),
        "c": ["a", "b", "c"][int(rng.integers(3))],
        "n": int(rng.integers(5)),
        "id": f"{rng.integers(10**9)}",
    }
    if model == "swings" and day > 3:
        features["late"] = round(rng.normal(), 6)
    if model == "daily" and day > 3.5:
        features["x"] = None
    if model == "plain" and rng.random() < 0.02:
        features["x"] = [float("nan"), "text", [1], True][int(rng.integers(4))]
    return features


def context(model: str, day: float, i: int) -> dict[str, Any]:
    """A country that takes over the traffic of one model, and heartbeats among the events of another."""
    if model == "swings":
        return {"segment": {"country": "ABCD"[i % 4 if day < 3.5 else 0]}}
    return {"id": f"heartbeat-{i}"} if model == "plain" and i % 20 == 7 else {}


def story(again: float = 0.05) -> list[bytes]:
    """Five days of a small fleet in which nearly everything happens, a little out of order.

    A share ``again`` of the records of all models but one, which gives no ids, comes a second time.
    """
    rng, shuffle, retry = np.random.default_rng(71), random.Random(71), random.Random(73)
    lines: list[tuple[float, bytes]] = []
    for m, model in enumerate(MODELS):
        n = {"rare": 250, "follows": 4000}.get(model, 1700)
        times = np.sort(rng.uniform(START, START + DAYS * DAY, n))
        if model == "plain":
            times = times[(times < START + 3.2 * DAY) | (times > START + 3.7 * DAY)]
        for i, t in enumerate(times.tolist()):
            day = (t - START) / DAY
            features = observed(model, day, rng)
            rest: dict[str, Any] = {"prediction": {"label": bool(rng.random() < 0.3), "score": round(rng.random(), 6)}}
            rest |= people(model, rng)
            if model == "versions":
                rest["version"] = "1" if day < 2 or rng.random() < 0.1 else "2"
            if model == "follows":
                rest["segment"] = {"country": ["SE", "DE"][i % 2], "arm": i % 40}
                rest |= {"version": str(int(day / 1.3)), "prediction": {"score": round(rng.random() + (day > 2.6), 6)}}
            if model == "plain" and i % 500 == 0:
                rest["lifecycle"] = "retrained"
            if model != "rare":
                rest["id"] = f"{i}"
            rest |= context(model, day, i)
            came = t + shuffle.uniform(0, 150 if i % 100 else 3000)
            line = event(round(t, 3), features, model=model, **rest)
            lines.append((came, line))
            if retry.random() < again and model != "rare":
                lines.append((came + retry.choice([0.0, 40.0, 30_000.0]), line))
        lines += [(START + DAY * (m + 0.5), b"{broken")]
    lines += answers(rng)
    lines += misused(np.random.default_rng(74))
    return [line for _, line in sorted(lines)]


def people(model: str, rng: np.random.Generator) -> dict[str, Any]:
    """Whom an event is about: in one model women are refused more often, in another a tag goes with a group."""
    if model not in {"swings", "daily"}:
        return {}
    sex = "MF"[int(rng.random() < 0.4)]
    who: dict[str, Any] = {"sensitive": {"sex": sex, "race": "ABC"[int(rng.integers(3))]}}
    who["segment"] = {"country": ["SE", "DE"][int(rng.integers(2))]}
    if model == "swings":
        label = bool(rng.random() < (0.25 if sex == "F" else 0.6))
        return who | {"prediction": {"label": label, "score": round(rng.random(), 6)}}
    tags = [f"t{t}" for t in rng.choice(12, 3, replace=False)]
    return who | {"prediction": {"tags": tags + ["ape"] * (rng.random() < (0.3 if sex == "F" else 0.02))}}


def answers(rng: np.random.Generator) -> list[tuple[float, bytes]]:
    """A model that gets outcomes, of all kinds and in every order, and is more often wrong from the fourth day on.

    Until then it is wrong about women above all.
    """
    lines: list[tuple[float, bytes]] = []
    for i, t in enumerate(np.sort(rng.uniform(START, START + DAYS * DAY, ANSWERS)).tolist()):
        label, score = bool(rng.random() < 0.4), round(rng.random(), 3)
        wrong = rng.random() < (0.5 if t > START + 3 * DAY else 0.25 if i % 2 == 0 else 0.02)
        delay = float(rng.exponential(2.5 * HOUR)) if i % 23 else -600.0
        truth = label != wrong
        known = {"id": f"a{i}", "model": "answers"}
        lines.append((t, event(round(t, 3), {"x": i % 7}, prediction={"label": label, "score": score}, **known)))
        if i % 3 == 0:
            lines.append((t + rng.uniform(-900, 900), event(t, sensitive={"sex": "FM"[i % 2]}, **known)))
        elif i % 7:
            lines.append((t + 60.0, event(t, sensitive={"sex": "FM"[i % 2]}, **known)))
        if i % 11:
            lines.append((t + delay, event(round(t + delay, 3), outcome=truth, value=float(i % 5), **known)))
        if i % 13 == 0:
            lines.append((t + delay + HOUR, event(round(t + delay + HOUR, 3), outcome=not truth, **known)))
        if i % 50 == 0:
            lines.append((t, event(t, outcome=1, model="answers", id=f"nobody{i}")))
    return lines


def misused(rng: np.random.Generator) -> list[tuple[float, bytes]]:
    """A model that is asked nearly the same, then far outside, that stands still and answers what it may not."""
    lines: list[tuple[float, bytes]] = []
    for i, t in enumerate(np.sort(rng.uniform(START, START + DAYS * DAY, 4000)).tolist()):
        day = (t - START) / DAY
        features = {name: round(rng.normal(), 6) for name in ("a", "b", "c")}
        features["seen_at"] = round(t - rng.uniform(60, 600) if day < 4 else START + 4 * DAY, 3)
        features["note"] = f"{rng.integers(10**9)}" if day < 3 else "out of order"
        if 2 < day < 2.5 and i % 2:
            features = {"a": 1.25 + 1e-5 * i % 3, "b": 0.5, "c": -0.3, "seen_at": START + DAY, "note": "probe"}
        if 2.6 < day < 3 and i % 4 == 0:
            features |= {"a": 50.0 + i, "b": -70.0}
        label = f"new{i % 3}" if 3.5 < day < 4 and i % 5 == 0 else "yn"[i % 2]
        came = t + float(rng.uniform(0, 150))
        lines.append((came, event(round(t, 3), features, model="misused", id=f"q{i}", prediction=label)))
    return lines


def config(directory: Path) -> str:
    rng = np.random.default_rng(72)
    for version in "12":
        part = number_series("x", "feature", rng.normal(0.0 if version == "1" else 0.8, 1, 3000), 3000)
        save(Profile("versions", version, 3000, "training", [part]), directory / f"versions-{version}.mwref")
    return f"""
[budget]
false_alarms_per_week = 100.0
per_model_per_week = 20.0
[[models]]
match = "*"
tick = "1h"
keep_firing = "4h"
tolerance = {{ drift = 0.02 }}
[[models]]
match = "plain"
ignore = [{{ id_prefix = "heartbeat-" }}]
[[models]]
match = "versions"
reference = "file:{directory}/{{model}}-{{version}}.mwref"
[[models]]
match = "follows"
reference = "previous-version"
split_by = ["country", "arm"]
[[models]]
match = "daily"
tick = "1d"
hold = "1h"
[[models.watch_tags]]
name = "apes"
tags = ["ape", "t1"]
[[models]]
match = "swings"
favourable = ["1"]
sensitive = ["sex", "n", "x"]
explain_by = ["country", "c"]
[[models]]
match = "answers"
outcome_horizon = "6h"
favourable = ["1"]
positive = ["1"]
[[models]]
match = "misused"
allowed_outputs = ["y", "n"]
"""


def said(replayed: Replayed, directory: Path) -> dict[str, Any]:
    """Everything that a replay says, but for times and rates."""
    write_documents(replayed, directory)
    summary = {key: value for key, value in replayed.summary().items() if "second" not in key}
    documents = {path.name: path.read_text() for path in sorted((directory / "models").iterdir())}
    return {"incidents": [incident_document(i) for i in replayed.incidents], "summary": summary, **documents}


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return story()


@pytest.fixture(scope="module")
def undisturbed(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("story")
    file, text = write_lines(directory / "events.jsonl", lines), config(directory)
    return directory, text, file, said(replayed(directory, text, file), directory / "whole")


def test_the_story_tells_something(undisturbed) -> None:
    """The fleet that the other tests compare has incidents of several kinds, late events and dead letters."""
    _, _, _, whole = undisturbed
    alertnames = {incident["alertname"] for incident in whole["incidents"]}
    assert alertnames >= {"ModelFeatureDrift", "ModelDataQuality", "ModelDisparateImpact"}
    assert "ModelUnwarrantedAssociation" in alertnames
    assert alertnames >= {"ModelFeatureDrift", "ModelDataQuality", "ModelPerformanceDegraded"}
    assert alertnames >= {"ModelSilent", "ModelPopulationMix", "ModelUnequalErrors"}
    detectors = {cell["detector"] for incident in whole["incidents"] for cell in incident["cells"]}
    assert detectors >= {"stuck", "stale", "repeated", "far_outside", "not_allowed"}
    assert {incident["reference_version"] for incident in whole["incidents"]} >= {None, "1"}
    fates = json.loads(whole["answers.json"])["performance"]["fates"]
    assert min(fates[name] for name in FATES if name not in NOT_IN_THE_STORY) > 0
    assert {incident["state"] for incident in whole["incidents"]} == {"firing", "resolved"}
    assert len(whole["incidents"]) >= 6
    assert whole["summary"]["late"] > 0
    assert whole["summary"]["rejected"] == len(MODELS)
    assert 350 < whole["summary"]["duplicates"] < 650


def test_duplicates_change_nothing(undisturbed, tmp_path: Path) -> None:
    """The story without its duplicates gives the same incidents and documents (V21 of statistics.md, section 12).

    What is counted as records are read, before duplicates are known, counts theirs too.
    """
    directory, text, _, whole = undisturbed
    file = write_lines(tmp_path / "once.jsonl", story(again=0.0))
    once = said(replayed(directory, text, file), tmp_path / "out")
    rest = [{name: n for name, n in said["summary"].items() if name not in OF_RECORDS} for said in (once, whole)]
    assert json.dumps({**once, "summary": rest[0]}) == json.dumps({**whole, "summary": rest[1]})
    assert once["summary"]["duplicates"] == 0
    for name in OF_RECORDS:
        assert once["summary"][name] < whole["summary"][name] < once["summary"][name] * 1.2 + 650, name


def test_any_batch_size(undisturbed, tmp_path: Path) -> None:
    """Incidents, summary and the documents of all models are the same bytes for batches of any size."""
    directory, text, file, whole = undisturbed
    again = said(replayed(directory, text, file, batch_records=200), tmp_path / "out")
    assert json.dumps(again) == json.dumps(whole)


def test_batches_of_one(undisturbed, lines: list[bytes], tmp_path: Path) -> None:
    """The beginning of the story, record by record, says what it says at once."""
    directory, text, _, _ = undisturbed
    file = write_lines(tmp_path / "beginning.jsonl", lines[: len(lines) // 16])
    whole = said(replayed(directory, text, file), tmp_path / "whole")
    again = said(replayed(directory, text, file, batch_records=1), tmp_path / "out")
    assert json.dumps(again) == json.dumps(whole)


def test_little_memory_for_cases(undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay that has to put cases into a store on its way says the same, and leaves nothing behind."""
    directory, text, file, whole = undisturbed
    monkeypatch.setattr(pending, "BUFFERED_MAX", 50)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = len(list(tmp_path.iterdir()))
    again = said(replayed(directory, text, file), tmp_path / "out")
    assert json.dumps(again) == json.dumps(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert made == 0


def test_several_files(undisturbed, lines: list[bytes], tmp_path: Path) -> None:
    """The same events in several files, one behind the other, say the same; ids do not depend on the files."""
    directory, text, _, whole = undisturbed
    third = len(lines) // 3
    parts = [write_lines(tmp_path / f"{i}.jsonl", lines[i * third : (i + 1) * third]) for i in range(3)]
    parts.append(write_lines(tmp_path / "3.jsonl", lines[3 * third :]))
    again = said(replayed(directory, text, *parts, batch_records=100_000), tmp_path / "out")
    assert again["summary"]["events"] == whole["summary"]["events"]
    named = [
        {(i["model"], i["alertname"], c["feature"]) for i in s["incidents"] for c in i["cells"]} for s in (again, whole)
    ]
    assert named[0] == named[1]


def everything(stage: Stage) -> dict[str, Any]:
    """All that a store and its fleet know at the end."""
    stage.pipeline.finish(DAY)
    fleet = stage.fleet
    known = [*(held.incident for held in fleet.book.open.values()), *fleet.book.resolved]
    # Models, and models within, each have their order whatever the batches; which of both came first may differ.
    rows = sorted(range(len(fleet.models)), key=lambda row: fleet.models.items[row].split is not None)
    ticks = [
        (place, t.end, t.counts.tobytes(), t.moments.tobytes())
        for place, row in enumerate(rows)
        for t in stage.log.read(row, -np.inf, START + 100 * DAY)
    ]
    assert not len(fleet.blocks)
    return {
        "incidents": sorted(json.dumps(incident_document(i)) for i in known),
        "models": [json.dumps(model_document(fleet, row, 1)) for row in rows],
        "events": fleet.models.rows["events"][rows].tolist(),
        "spent": fleet.judge.budget.spent,
        "ticks": ticks,
        "watermark": stage.pipeline.event_time.watermark,
        "remembered": len(fleet.duplicates),
    }


@pytest.fixture(scope="module")
def expected(undisturbed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a daemon that nobody kills knows at the end."""
    directory, _, file, _ = undisturbed
    whole = Stage(load(directory / "config.toml", {}), [file], tmp_path_factory.mktemp("whole"))
    whole.run(commit_every=3)
    known = everything(whole)
    whole.close()
    return known


def test_killed_anywhere(undisturbed, expected: dict[str, Any], tmp_path: Path) -> None:
    """A daemon killed again and again between commits ends with the same incidents, totals and tick log.

    Every other life has memory for few cases only, so that most cases are read from the store. Of every incident the
    outside hears its last state.
    """
    directory, _, file, _ = undisturbed
    settings = load(directory / "config.toml", {})
    rng = random.Random(0)
    told: dict[str, str] = {}
    kills = 0
    while True:
        stage = Stage(settings, [file], tmp_path / "killed", batch_records=rng.choice([1, 50, 100, 300]))
        stage.fleet.outcomes.pending.buffered_max = [40, 100_000][kills % 2]
        turns = None if kills > 15 else rng.randint(0, 20)
        ended = stage.run(turns=turns, commit_every=rng.randint(1, 5))
        if ended:
            got = everything(stage)
        told |= {incident.id: incident.state for incident in stage.told}
        known = {incident.id: incident.state for incident in stage.fleet.book.newest()}
        stage.close()
        if ended:
            break
        kills += 1
    assert kills > 8
    assert told == known
    for part, value in expected.items():
        assert got[part] == value, part


def test_killed_behind_every_commit(undisturbed, expected: dict[str, Any], tmp_path: Path) -> None:
    """Taken up again behind each single commit, the fleet is no other than one that never stopped."""
    directory, _, file, _ = undisturbed
    settings = load(directory / "config.toml", {})
    while True:
        stage = Stage(settings, [file], tmp_path / "killed", batch_records=800)
        if stage.run(turns=1, commit_every=1):
            break
        stage.close()
    got = everything(stage)
    stage.close()
    for part, value in expected.items():
        assert got[part] == value, part


def test_json_is_one_object_a_line(undisturbed) -> None:
    """Ids are hexadecimal, times are RFC 3339 in UTC, and nothing in an incident is not JSON."""
    _, _, _, whole = undisturbed
    for incident in whole["incidents"]:
        json.dumps(incident, allow_nan=False)
        assert re.fullmatch(r"inc-[0-9a-f]{16}", incident["id"])
        for key in ("onset_time", "fired_time", "resolved_time"):
            assert incident[key] is None or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", incident[key])
        assert incident["onset_time"] <= incident["fired_time"]
