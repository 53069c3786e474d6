"""Does a changed policy restart its own cells and no others, alive and at a restart, and the same one nothing?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, LEARNED, START, event, feed, new_fleet, write_lines
from unit.pipeline.stage import Stage

from monitor.catalog.policies import Clause, Policies
from monitor.config import Config, load
from monitor.fleet import Fleet
from monitor.groups.questions import Kind
from monitor.incidents.incident import Incident

NORMAL = np.random.default_rng(62).normal(0, 1, 20_000)
DRIFTING = LEARNED * 50


def lines() -> list[bytes]:
    """Two models that drift for good, and lose a feature a little later."""
    out = []
    for i in range(DRIFTING + 1500):
        drifts, lost = i > DRIFTING, i > DRIFTING + 400
        features = {"a": float(NORMAL[i]) + 3.0 * drifts, "b": None if lost else 1.0}
        out += [event(START + i * HOUR / 50, features, model, id=str(i)) for model in "mn"]
    return out


def config(tmp_path: Path, text: str = "") -> Config:
    file = tmp_path / "config.toml"
    file.write_text(f'[[models]]\nmatch = "*"\ntick = "1h"\n{text}')
    return load(file, {})


@pytest.fixture
def stage(tmp_path: Path):
    file = write_lines(tmp_path / "events.jsonl", lines())
    opened: list[Stage] = []

    def build(settings: Config) -> Stage:
        while opened:
            opened.pop().close()
        opened.append(Stage(settings, [file], tmp_path / "store"))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def state(one: Stage) -> dict[str, Any]:
    return {
        name: {
            field: rows[field][: len(rows)].copy() for field in ("applies", "log_r", "firing", "evidence", "null_low")
        }
        for name, rows in one.fleet.judge.states.items()
    }


def firing(one: Stage) -> set[tuple[str, str]]:
    return {(held.incident.model, held.incident.alertname) for held in one.fleet.book.open.values()}


def resolved(told: list[Incident]) -> set[tuple[str, str, str | None]]:
    return {(i.model, i.alertname, i.resolved_because) for i in told if i.state == "resolved"}


BOTH = {(model, name) for model in "mn" for name in ("ModelFeatureDrift", "ModelDataQuality")}
WIDE = '[[models]]\nmatch = "m"\ntolerance = { drift = 0.95 }\n'


def test_a_changed_tolerance(stage, tmp_path: Path) -> None:
    """The drift cells of the one model begin anew and their incident is resolved; no other cell is touched."""
    one = stage(config(tmp_path))
    one.run()
    assert firing(one) == BOTH
    before = state(one)
    assert one.pipeline.reload(config(tmp_path, WIDE).policies.resolve) == 1
    one.pipeline.commit()
    assert resolved(one.told) == {("m", "ModelFeatureDrift", "policy changed")}
    assert firing(one) == BOTH - {("m", "ModelFeatureDrift")}
    own = one.fleet.lives.series_rows(0)
    for name, fields in state(one).items():
        for field, values in fields.items():
            same = np.array([np.array_equal(x, y) for x, y in zip(values, before[name][field], strict=True)])
            others = np.flatnonzero(fields["applies"])
            others = np.setdiff1d(others, own) if name == "drift" else others
            assert same[others].all(), (name, field)
    drift = one.fleet.judge.states["drift"]
    assert (drift["firing"][own] == 0).all()
    assert np.isinf(drift["log_r"][own]).all()
    assert (drift["null_low"][own] <= before["drift"]["null_low"][own]).all()


def test_the_same_policies_change_nothing(stage, tmp_path: Path) -> None:
    """Reloaded as it was, or with a change that is no null's, nothing is resolved and no evidence is lost."""
    one = stage(config(tmp_path))
    one.run()
    before = state(one)
    assert one.pipeline.reload(config(tmp_path).policies.resolve) == 0
    assert one.pipeline.reload(config(tmp_path, '[[models]]\nmatch = "m"\nteam = "risk"').policies.resolve) == 1
    one.pipeline.commit()
    assert resolved(one.told) == set()
    for name, fields in state(one).items():
        for field, values in fields.items():
            assert np.array_equal(values, before[name][field]), (name, field)


@pytest.mark.parametrize(("text", "gone"), [("", set()), (WIDE, {("m", "ModelFeatureDrift")})])
def test_at_a_restart(stage, tmp_path: Path, text: str, gone: set[tuple[str, str]]) -> None:
    """Started again with the same policies nothing is resolved; with another tolerance what it speaks of is, once."""
    one = stage(config(tmp_path))
    one.run()
    one.pipeline.commit()
    for resolves in (gone, set()):
        again = stage(config(tmp_path, text))
        again.pipeline.reload(config(tmp_path, text).policies.resolve)
        again.pipeline.commit()
        assert resolved(again.told) == {(model, name, "policy changed") for model, name in resolves}
        assert firing(again) == BOTH - gone


@pytest.mark.parametrize("alive", [True, False])
def test_a_changed_contract(tmp_path: Path, alive: bool) -> None:
    """Errors held to another limit are judged anew, whether the limit changed while the daemon ran or was down."""
    file = write_lines(tmp_path / "cases.jsonl", people(0, 2000, HOUR / 100))
    strict, loose = (
        config(tmp_path, f'outcome_horizon = "60s"\nlimits = {{ error_rate = {limit} }}\n') for limit in (0.05, 0.9)
    )
    one = Stage(strict, [file], tmp_path / "store")
    one.run()
    one.pipeline.commit()
    told = {("m", "ModelPerformanceDegraded", "policy changed")}
    assert "ModelPerformanceDegraded" in {name for _, name in firing(one)}
    if not alive:
        one.close()
        one = Stage(loose, [file], tmp_path / "store")
    one.pipeline.reload(loose.policies.resolve)
    one.pipeline.commit()
    assert resolved(one.told) & told == told
    assert "ModelPerformanceDegraded" not in {name for _, name in firing(one)}
    one.close()
    again = Stage(loose, [file], tmp_path / "store")
    again.pipeline.reload(loose.policies.resolve)
    again.pipeline.commit()
    assert resolved(again.told) == set()
    again.close()


def test_incidents_name_the_code(stage, tmp_path: Path) -> None:
    """An incident says which version of the program fired it, also after another one took over."""
    one = stage(config(tmp_path))
    one.fleet.book.code_version = "0.0.1"
    one.run()
    one.pipeline.commit()
    again = stage(config(tmp_path))
    assert again.fleet.book.code_version != "0.0.1"
    assert {held.incident.code_version for held in again.fleet.book.open.values()} == {"0.0.1"}


def test_a_reloaded_reference_file_that_is_not_there(stage, tmp_path: Path) -> None:
    """A reference that cannot be read leaves the one in use, and is a fact in the model's life."""
    fleet = new_fleet()
    assert fleet.reload_policies(config(tmp_path).policies.resolve) == []
    one = stage(config(tmp_path))
    one.run()
    before = firing(one)
    other = config(tmp_path, f'[[models]]\nmatch = "m"\nreference = "file:{tmp_path}/none.mwref"')
    one.pipeline.reload(other.policies.resolve)
    assert firing(one) == before
    assert one.fleet.models.items[0].facts[-1].what == "reference file not used"


def people(first: int, n: int, apart: float = 1.0) -> list[bytes]:
    """Cases whose outcomes come at once: half of them approved, and every outcome is the other class.

    They come ``apart`` seconds after one another.
    """
    cases = []
    for i in range(first, first + n):
        said = {"prediction": "approve" if i % 2 else "decline", "sensitive": {"sex": "FM"[i // 2 % 2]}}
        cases.append(event(START + apart * i, None, id=str(i), outcome="decline" if i % 2 else "approve", **said))
    return cases


def test_what_decisions_and_errors_are_asked_for_changes_at_once() -> None:
    """From a reload on groups are compared by the labels that are favourable then, and errors held to that limit."""
    fleet = new_fleet({"outcome_horizon": "60s"})
    feed(fleet, people(0, 400), until=-np.inf)
    assert np.isnan(fleet.outcomes.asked.rows["limit_error_rate"][0])
    assert kinds(fleet) == {Kind.CLASS}
    said = {"outcome_horizon": "60s", "favourable": ("approve",), "limits": {"error_rate": 0.05}}
    fleet.reload_policies(Policies([Clause("*", said, "test")]).resolve)
    feed(fleet, people(400, 400), until=-np.inf)
    assert fleet.outcomes.asked.rows["limit_error_rate"][0] == 0.05
    assert Kind.DECISION in kinds(fleet)


def kinds(fleet: Fleet) -> set[int]:
    outputs = fleet.groups.register.outputs
    return set(outputs["kind"][: len(outputs)].tolist())
