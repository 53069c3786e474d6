"""Is a model with a reference file judged by it from its first event, and by the next one from its next version?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, START, cell, cells_of, event, feed, hourly, new_fleet, series_named

from monitor.catalog.models import Phase
from monitor.catalog.profile import Profile, category_series, number_series, save
from monitor.catalog.series import JUDGED, RETIRED
from monitor.lives import reference_path
from monitor.portrait import model_document

RNG = np.random.default_rng(51)
NORMAL = RNG.normal(0, 1, 50_000)


def reference(path: Path, shift: float = 0.0, *, extra: tuple[str, ...] = (), n: int = 4000) -> None:
    """A reference of one number, one category and any ``extra`` numbers."""
    parts = [number_series(name, "feature", RNG.normal(shift, 1, n), n) for name in ("x", *extra)]
    parts.append(category_series("c", "feature", {"a": n // 2, "b": n // 4}, n // 4, n))
    save(Profile("m", "", n, "training", parts), path)


def features(i: int, shift: float = 0.0) -> dict[str, Any]:
    return {"x": float(NORMAL[i]) + shift, "c": ("a", "b", None, "a")[i % 4]}


def judged_by(directory: Path, name: str = "m.mwref", **policy: Any):
    return new_fleet({"tick": "1h", "reference": f"file:{directory}/{name}", **policy})


def test_judged_from_the_first_event(tmp_path: Path) -> None:
    """There is no learning: the first tick is judged, and the reference does not grow."""
    reference(tmp_path / "m.mwref")
    fleet = judged_by(tmp_path)
    assert hourly(fleet, features, range(20)) == []
    assert fleet.models.rows["phase"][0] == Phase.FROZEN
    rows = fleet.series.rows
    assert rows["judging"][:2].tolist() == [JUDGED, JUDGED]
    assert rows["reference"][0, :32].sum() == 4000
    assert cell(fleet, "drift", "x", "n_prev") > 0
    [fact] = [fact for fact in fleet.models.items[0].facts if fact.what == "reference file"]
    assert fleet.models.items[0].reference_digest.startswith(fact.subject)


def test_skew_from_the_first_event(tmp_path: Path) -> None:
    """What differs from training at the start is told after the first ticks."""
    reference(tmp_path / "m.mwref")
    [first, *_] = hourly(judged_by(tmp_path), lambda i: features(i, 2.0), range(3))
    assert first.fired_time <= START + 2 * HOUR
    assert ("drift", "x") in cells_of([first])


def test_predictions_beside_a_reference_of_features(tmp_path: Path) -> None:
    """What the reference says nothing of is no fault: predictions are learned, and judged when they are known."""
    reference(tmp_path / "m.mwref")
    fleet = judged_by(tmp_path)
    score = {"prediction": lambda i: {"score": float(abs(NORMAL[-i - 1])), "label": "yes" if i % 3 else "no"}}
    assert hourly(fleet, features, range(60), **score) == []
    assert cell(fleet, "drift", "score", "applies") == 1
    assert cell(fleet, "drift", "label", "applies") == 1
    low = {"prediction": lambda i: {"score": float(abs(NORMAL[-i - 1])) / 3, "label": "yes" if i % 3 else "no"}}
    [first, *_] = hourly(fleet, features, range(60, 70), **low)
    assert first.alertname == "ModelPredictionDrift"


def test_feature_unknown_to_the_reference(tmp_path: Path) -> None:
    """A feature that training did not have is told from the first ticks on."""
    reference(tmp_path / "m.mwref")
    changed = hourly(judged_by(tmp_path), lambda i: features(i) | {"leak": 1.0}, range(3))
    assert cells_of(changed) == {("schema", "leak")}


def test_feature_that_never_comes(tmp_path: Path) -> None:
    """A feature that training had and events do not is missing from the first ticks on."""
    reference(tmp_path / "m.mwref", extra=("gone",))
    changed = hourly(judged_by(tmp_path), features, range(3))
    assert cells_of(changed) == {("missing", "gone")}
    assert "vanished" in changed[0].summary


def test_each_version_has_its_own(tmp_path: Path) -> None:
    """With ``{version}`` a new version is judged by its own reference; what fired under the old one is over."""
    reference(tmp_path / "m-1.mwref")
    reference(tmp_path / "m-2.mwref", 3.0)
    fleet = judged_by(tmp_path, "{model}-{version}.mwref")
    assert hourly(fleet, features, range(10), version="1") == []
    changed = hourly(fleet, lambda i: features(i, 3.0), range(10, 14), version="1")
    assert {i.state for i in changed} == {"firing"}
    changed = hourly(fleet, lambda i: features(i, 3.0), range(14, 40), version="2")
    assert [(i.state, i.resolved_because) for i in changed] == [("resolved", "another reference took over")] * len(
        changed
    )
    assert not fleet.book.open
    judging = fleet.series.rows["judging"][: len(fleet.series.names)].tolist()
    assert judging == [JUDGED if judging[i] == JUDGED else RETIRED for i in range(len(judging))]
    assert judging.count(JUDGED) == 2
    assert fleet.judge.n_cells["drift"] == 2
    shown = [feature["name"] for feature in model_document(fleet, 0, 1)["features"]]
    assert sorted(shown) == ["c", "x"], "what was retired is not shown"


def test_new_version_drops_a_feature(tmp_path: Path) -> None:
    """A feature that only the old reference had is new to the new one."""
    reference(tmp_path / "m-1.mwref", extra=("old",))
    reference(tmp_path / "m-2.mwref")
    fleet = judged_by(tmp_path, "{model}-{version}.mwref")
    both = lambda i: features(i) | {"old": float(NORMAL[-i - 1])}
    assert hourly(fleet, both, range(5), version="1") == []
    changed = hourly(fleet, both, range(5, 9), version="2")
    assert cells_of(changed) == {("schema", "old")}


def test_new_version_keeps_learned_predictions(tmp_path: Path) -> None:
    """Predictions, of which no reference speaks, go on with what was learned of them."""
    for version in "12":
        reference(tmp_path / f"m-{version}.mwref")
    fleet = judged_by(tmp_path, "{model}-{version}.mwref")
    score = {"prediction": lambda i: {"score": float(abs(NORMAL[-i - 1]))}}
    hourly(fleet, features, range(60), version="1", **score)
    row = series_named(fleet, "score")
    assert hourly(fleet, features, range(60, 70), version="2", **score) == []
    assert series_named(fleet, "score") == row
    assert fleet.series.rows["judging"][row] == JUDGED


@pytest.mark.parametrize("damage", ["absent", "text", "cut"])
def test_unusable_file(tmp_path: Path, damage: str) -> None:
    """A file that cannot be used is a fact in the model's life; the model learns like others."""
    path = tmp_path / "m.mwref"
    if damage != "absent":
        reference(path)
        path.write_bytes(b"MWREF2 x\n" if damage == "text" else path.read_bytes()[:-9])
    fleet = judged_by(tmp_path)
    hourly(fleet, features, range(2))
    assert fleet.models.rows["phase"][0] == Phase.LEARNING
    [fact] = fleet.models.items[0].facts
    assert (fact.what, str(path) in fact.subject) == ("reference file not used", True)


def test_unusable_file_of_a_later_version(tmp_path: Path) -> None:
    """Where the next version's file is missing the old reference stays."""
    reference(tmp_path / "m-1.mwref")
    fleet = judged_by(tmp_path, "{model}-{version}.mwref")
    hourly(fleet, features, range(5), version="1")
    digest = fleet.models.items[0].reference_digest
    assert hourly(fleet, features, range(5, 30), version="2") == []
    assert fleet.models.items[0].reference_digest == digest
    assert fleet.series.rows["judging"][0] == JUDGED


def test_more_versions_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References are taken over as long as there is room for their series, and no further; nothing breaks."""
    monkeypatch.setattr("monitor.lives.LOCAL_MAX", 50)
    reference(tmp_path / "m.mwref", extra=tuple(f"f{i}" for i in range(10)), n=300)
    fleet = judged_by(tmp_path, "m.mwref-{version}")
    for version in range(8):
        (tmp_path / f"m.mwref-{version}").symlink_to(tmp_path / "m.mwref")
        feed(fleet, [event(START + version, {"x": 1.0}, version=str(version))])
    assert len(fleet.models.items[0].series) == 48
    assert [fact.what for fact in fleet.models.items[0].facts[-2:]] == ["version", "reference file not used"]


def test_versions_do_not_use_up_the_limit(tmp_path: Path) -> None:
    """What was retired does not count against the limit of features."""
    reference(tmp_path / "m-1.mwref")
    (tmp_path / "m-2.mwref").symlink_to(tmp_path / "m-1.mwref")
    fleet = new_fleet({"reference": f"file:{tmp_path}/m-{{version}}.mwref"}, series_max=3)
    for version in ("1", "2"):
        feed(fleet, [event(START, {"x": 1.0, "c": "a", f"new{version}": 1.0, "more": 1.0}, version=version)])
    live = [row for row in range(len(fleet.series.names)) if fleet.series.rows["judging"][row] != RETIRED]
    assert [fleet.series.names[row] for row in live] == ["x", "c", "new2"]


@pytest.mark.parametrize(
    ("model", "version", "name"),
    [
        ("credit", "7", "/refs/credit/7.mwref"),
        ("../../etc/passwd", "7", "/refs/..%2F..%2Fetc%2Fpasswd/7.mwref"),
        ("..", ".", "/refs/%2E%2E/%2E.mwref"),
        ("a b", "ö\\", "/refs/a b/%C3%B6%5C.mwref"),
        ("{version}", "1", None),
    ],
)
def test_names_lead_nowhere_else(model: str, version: str, name: str | None) -> None:
    """Names come from events; no name leads out of the place that the policy says."""
    path = str(reference_path("/refs/{model}/{version}.mwref", model, version))
    assert path.startswith("/refs/")
    assert ".." not in Path(path).parts
    if name is not None:
        assert path == name
    else:
        assert path == "/refs/%7Bversion%7D/1.mwref"
