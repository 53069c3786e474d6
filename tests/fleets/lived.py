"""Five weeks of a model that a store has lived through, with the events beside it: what is true of any range."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fleets.build import DAY, HOUR, START, event
from unit.pipeline.stage import Stage

from monitor.compose import make_fleet
from monitor.config import Config, load
from monitor.history.history import history_of
from monitor.status import History
from monitor.store.ageing import Ageing
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.figures import FigureLog
from monitor.store.grouplog import GroupLog
from monitor.store.past import records_of
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

DAYS = 35
A_DAY = 60
CONFIG = """
[clock]
lateness = "0s"
[[models]]
match = "*"
tick = "12h"
learn = { events = 1000, for = "7d" }
outcome_horizon = "1d"
sensitive = ["sex"]
favourable = ["yes"]
favourable_outcomes = ["repaid"]
"""


@dataclass(frozen=True)
class Case:
    """One event, and what came of it; seconds since the start."""

    at: float
    x: float
    sex: str
    yes: bool
    repaid: bool


def lived() -> list[Case]:
    """A third are women, who get the favourable answer less often; in the last days ``x`` is another."""
    rng = np.random.default_rng(11)
    cases = []
    for i in range(DAYS * A_DAY):
        at = (i + 0.5) * DAY / A_DAY
        sex = "F" if i % 3 == 0 else "M"
        yes = bool(rng.random() < (0.45 if sex == "F" else 0.6))
        cases.append(Case(at, float(rng.normal(1.5 if at > 25 * DAY else 0.0)), sex, yes, bool(rng.random() < 0.7)))
    return cases


def written(cases: list[Case], path: Path, sex: bool = True) -> Path:
    """The events in order of time, each outcome two hours behind its prediction."""
    told: list[tuple[float, bytes]] = []
    for i, case in enumerate(cases):
        label = "yes" if case.yes else "no"
        attribute: dict[str, Any] = {"sensitive": {"sex": case.sex}} if sex else {}
        one = event(START + case.at, {"x": case.x}, id=str(i), prediction={"label": label}, **attribute)
        told.append((case.at, one))
        came = {"model": "m", "id": str(i), "time": START + case.at + 2 * HOUR}
        told.append(
            (case.at + 2 * HOUR, json.dumps({**came, "outcome": "repaid" if case.repaid else "default"}).encode())
        )
    path.write_bytes(b"".join(one + b"\n" for _, one in sorted(told, key=lambda each: each[0])))
    return path


def settings(directory: Path, more: str = "") -> Config:
    file = directory / "config.toml"
    file.write_text(CONFIG + more)
    return load(file, {})


def store_of(directory: Path, cases: list[Case], *, kills: int = 0) -> Config:
    """Live through ``cases`` with a commit every few turns, rolling up; killed and taken up again ``kills`` times."""
    config = settings(directory)
    file = written(cases, directory / "events.jsonl")
    for i in range(kills + 1):
        stage = Stage(config, [file], directory / "store", batch_records=297)
        ageing = Ageing((stage.log, GroupLog(stage.database), FigureLog(stage.database)))
        turns = 0
        while not stage.source.finished() and not (i < kills and turns > 4):
            stage.pipeline.turn()
            turns += 1
            if turns % 3 == 0:
                stage.pipeline.commit()
                stage.database.commit(ageing.turn(1, 1, stage.pipeline.event_time.watermark))
        if i == kills:
            stage.pipeline.commit()
        stage.close()
    return config


def read(config: Config, store: Path, since: float, until: float, model: str = "m", segment: str = "") -> History:
    """What the store has of a model from ``since`` to ``until``, seconds since the start."""
    with Database(store, to_look=True) as database:
        log, fleet = TickLog(database, np.inf), make_fleet(config)
        Checkpoint(database, log).load(fleet, EventTime(0.0))
        found = history_of(fleet, model, records_of(database, log), segment)
        assert found is not None
        return found(START + since, START + until)
