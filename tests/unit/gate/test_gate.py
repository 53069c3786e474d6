"""Whether a candidate passes the gate: what it refuses, and what it lets pass."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

from monitor import cli
from monitor.catalog import profile, training
from monitor.clock import ManualClock
from monitor.config import load
from monitor.errors import UsageError
from monitor.gate.gate import Gated, gate
from monitor.gate.samples import Roles

POLICY = '[[models]]\nmatch = "*"\nfavourable = ["approve"]\nfavourable_outcomes = ["repaid"]\n'


def cases(n: int, seed: int, model: str = "credit", **fault: float) -> list[dict[str, Any]]:
    """Events of a model that is right in four of five cases; in no order of time. The cases are always the same."""
    of_case, of_model = random.Random(7), random.Random(seed)
    events = []
    for i in range(n):
        income, good, sex = of_case.gauss(40.0, 10.0), of_case.random() < 0.5, of_case.choice("FM")
        wrong = of_model.random() < 0.2 + fault.get("wrong", 0.0)
        label = "approve" if good != wrong else "decline"
        if sex == "F" and of_model.random() < fault.get("unfair", 0.0):
            label = "decline"
        features: dict[str, Any] = {"income": None if of_model.random() < fault.get("missing", 0.0) else income}
        score = min(max((0.8 if label == "approve" else 0.2) + of_model.gauss(0, 0.05), 0.0), 1.0)
        events.append(
            {
                "model": model,
                "id": f"c{i}",
                "time": 1_772_409_600 - 60 * i,
                "features": features,
                "prediction": {"label": label, "score": score},
                "sensitive": {"sex": sex},
                "outcome": "repaid" if good else "default",
            }
        )
    return events


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return write(tmp_path / "before.jsonl", cases(3000, 1))


def judge(policy: Path, now: Path, before: Path, roles: Roles | None = None, model: str | None = None) -> Gated:
    return gate(load(policy, {}), ManualClock(1.8e9), now, before, roles=roles or Roles(), model=model)


def failed(gated: Gated) -> set[tuple[str, str]]:
    return {(f.part, f.detector) for v in gated.models for f in v.findings if f.verdict == "fail"}


def test_a_candidate_that_is_no_worse_passes(tmp_path: Path, policy: Path, before: Path) -> None:
    """Other answers of the same quality pass, and every part was asked."""
    found = judge(policy, write(tmp_path / "now.jsonl", cases(3000, 2)), before)
    assert found.passed
    asked = {f.part for f in found.models[0].findings if f.verdict == "pass"}
    assert asked == {"quality", "prediction", "performance", "groups", "inputs"}


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        ({"wrong": 0.1}, ("performance", "performance")),
        ({"missing": 0.05}, ("quality", "missing")),
        ({"unfair": 0.5}, ("groups", "impact")),
        ({"unfair": 0.5}, ("prediction", "drift")),
    ],
)
def test_a_worse_candidate_is_refused(
    tmp_path: Path, policy: Path, before: Path, fault: dict[str, float], part: tuple[str, str]
) -> None:
    """More errors, missing values, unequal decisions and other answers are each refused under their own name."""
    assert part in failed(judge(policy, write(tmp_path / "now.jsonl", cases(3000, 2, **fault)), before))


def test_the_same_cases_are_compared_one_by_one(tmp_path: Path, policy: Path, before: Path) -> None:
    """Where both sides judged the same cases a rise of the error rate is seen that unlike cases would not show."""
    worse = cases(3000, 1)
    for event in worse[:140]:
        event["prediction"]["label"] = "decline" if event["outcome"] == "repaid" else "approve"
    strangers = [event | {"id": f"other-{i}"} for i, event in enumerate(worse)]
    for now, seen in ((worse, True), (strangers, False)):
        found = failed(judge(policy, write(tmp_path / "now.jsonl", now), before))
        assert (("performance", "performance") in found) is seen


def test_a_reference_file_is_held_against(tmp_path: Path, policy: Path, before: Path) -> None:
    """Against a reference quality, answers and groups are judged; performance is said not to be seen."""
    built = training.build(before, "credit", "", training.Columns(), lambda _done, _total: None).profile
    profile.save(built, tmp_path / "credit.mwref")
    now = write(tmp_path / "now.jsonl", cases(3000, 2, missing=0.05))
    found = judge(policy, now, tmp_path / "credit.mwref")
    assert failed(found) == {("quality", "missing")}
    unseen = {f.part for f in found.models[0].findings if f.verdict == "unseen"}
    assert unseen == {"performance"}


def test_a_contract_needs_no_other_side(tmp_path: Path, before: Path) -> None:
    """What a policy allows at most is held against the candidate alone."""
    strict = tmp_path / "strict.toml"
    strict.write_text(POLICY + "limits = { error_rate = 0.1 }\n")
    found = judge(strict, before, before)
    assert failed(found) == {("performance", "performance")}


def test_other_inputs_are_told_and_refuse_nothing(tmp_path: Path, policy: Path, before: Path) -> None:
    """Where the sides were given different cases that is said, for all else that differs may come of it."""
    moved = cases(3000, 2)
    for event in moved:
        event["features"]["income"] += 5.0
    found = judge(policy, write(tmp_path / "now.jsonl", moved), before)
    assert [f.subject for f in found.models[0].findings if f.verdict == "note"] == ["income"]
    assert all(part == "quality" for part, _ in failed(found))


def test_tables_of_cases(tmp_path: Path, policy: Path) -> None:
    """A table says by flags which column is what; codes stay texts, and ids pair the cases."""
    paths = []
    for name, missing in (("before", 0.0), ("now", 0.1)):
        paths.append(tmp_path / f"{name}.csv")
        with paths[-1].open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["case", "zip", "income", "sex", "said", "p", "truth"])
            for event in cases(2000, 3, missing=missing):
                answer, income = event["prediction"], event["features"]["income"]
                place = "00123" if income is None or income > 40 else "20095"
                row = [event["id"], place, "" if income is None else income, event["sensitive"]["sex"]]
                table.writerow([*row, answer["label"], answer["score"], event["outcome"]])
    roles = Roles("said", "p", None, "truth", "case", ("sex",), categories=frozenset({"zip"}))
    assert failed(judge(policy, paths[1], paths[0], roles)) == {("quality", "missing")}
    assert judge(policy, paths[0], paths[0], roles).passed


def test_models_are_matched_by_name(tmp_path: Path, policy: Path) -> None:
    """Of several models each is held against its own; one that is alone on its side may have another name."""
    both = cases(800, 1, "a") + cases(800, 1, "b", missing=0.2)
    fine = cases(800, 2, "a") + cases(800, 2, "b") + cases(50, 1, "c")
    was, now = write(tmp_path / "was.jsonl", fine), write(tmp_path / "now.jsonl", both)
    found = judge(policy, now, was)
    assert {verdict.model: verdict.passed for verdict in found.models} == {"a": True, "b": False}
    assert found.missing == ("c",)
    other = write(tmp_path / "one.jsonl", cases(800, 2, "a-next"))
    (one,) = judge(policy, other, write(tmp_path / "was.jsonl", cases(800, 1, "a"))).models
    assert (one.model, one.was, one.passed) == ("a-next", "a", True)


def test_nothing_in_common(tmp_path: Path, policy: Path) -> None:
    """Sides without a common model, and files that are not there, are named."""
    was = write(tmp_path / "was.jsonl", cases(50, 1, "a") + cases(50, 1, "b"))
    now = write(tmp_path / "now.jsonl", cases(50, 1, "c") + cases(50, 1, "d"))
    with pytest.raises(UsageError, match="no model in common"):
        judge(policy, now, was)
    with pytest.raises(UsageError, match="no such file"):
        judge(policy, tmp_path / "gone.jsonl", was)


def test_the_command(tmp_path: Path, policy: Path, before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 or 3, one JSON object last, and a page that asks nothing of anybody."""
    worse = write(tmp_path / "worse.jsonl", cases(1500, 2, missing=0.2))
    page = tmp_path / "report.html"
    words = ["gate", "--config", str(policy), "--against", str(before), "--candidate"]
    assert cli.main([*words, str(before)]) == 0
    assert "pass: before.jsonl against before.jsonl" in capsys.readouterr().out
    assert cli.main([*words, str(worse), "--json", "--out", str(page)]) == 3
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not told["passed"]
    assert told["parts"]["quality"]["fail"] == 1
    text = page.read_text()
    assert "missing in" in text
    assert "src=" not in text
    assert "href=" not in text
    assert cli.main([*words, str(worse)]) == 3
    assert "FAIL: quality income (missing)" in capsys.readouterr().out
