"""What does each stage cost alone, and how does that grow? Processor time an event, over parsing the same events once.

The whole path but Kafka runs in one process: events come from memory, the store is a real one, the clock is that of the
thread's processor time, so that what else runs on the machine matters little. Each size is a process of its own. The
unit is what ``orjson.loads`` takes for the same events in the same process, right before and right behind: figures are
ratios to it, and those of different sizes and machines can be compared.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import events as bench_events
import orjson

from monitor.clock import SystemClock
from monitor.compose import make_decoders, make_fleet
from monitor.config import Config, load
from monitor.events.raw import Partition, RawBatch
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.publish import Painter
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics
from monitor.web.fleet_metrics import FleetMetrics, Selection

PARTITIONS = tuple(Partition("bench", number) for number in range(4))
FETCHED = 4_000
"""Events that come of one partition in a row, as a broker hands them over."""
COMMIT_SECONDS = 0.2
"""Of processor time: so that the shortest run has several commits. The loop keeps them to a twentieth of it anyway."""
_TRIES = 3
_JOINED_MORE = 4
"""Where outcomes are joined there are so many times as many events: the first ones come when five ticks are full."""
CONFIG = """
[clock]
lateness = "10s"
[store]
path = "{folder}/store"
[[models]]
match = "*"
reference = "file:{folder}/all.mwref"
outcome_horizon = "{horizon}"
"""


class _ProcessorClock(SystemClock):
    """Stages are measured by what they take of a processor."""

    def monotonic(self) -> float:
        return time.thread_time()


class _Memory:
    """Events from memory, in runs of each partition."""

    merged = False

    def __init__(self, values: Sequence[bytes], source: np.ndarray[Any, Any]) -> None:
        self.values, self.source, self.at = values, source, 0
        self.offsets = np.zeros(len(values), np.int64)
        self._next = np.zeros(len(PARTITIONS), np.int64)
        for number in range(len(PARTITIONS)):
            own = source == number
            self.offsets[own] = np.arange(own.sum())

    def poll(self, records_max: int, _timeout_seconds: float) -> RawBatch:
        part = slice(self.at, min(self.at + records_max, len(self.values)))
        self.at = part.stop
        n = part.stop - part.start
        self._next += np.bincount(self.source[part], minlength=len(PARTITIONS))
        return RawBatch(
            self.values[part], np.full(n, np.nan), PARTITIONS, self.source[part], self.offsets[part], [None] * n
        )

    def positions(self) -> Mapping[Partition, int]:
        return dict(zip(PARTITIONS, self._next.tolist(), strict=True))

    def exhausted(self, _partition: Partition) -> bool:
        return False

    def finished(self) -> bool:
        return self.at >= len(self.values)

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Nobody else asks."""


class _Nowhere:
    def add(self, _batch: RawBatch, _indices: Sequence[int], reasons: Sequence[str]) -> None:
        raise SystemExit(f"dead letters: {reasons[:3]}")

    def flush(self, _timeout_seconds: float) -> bool:
        return True


class _Kept:
    """What was written lasts, as the pipeline wants to hear: else it writes all closed ticks again with each commit."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def save(self, *what: Any) -> bool:
        self._checkpoint.save(*what)
        return True


def arranged(shape: bench_events.Shape, *, keyed: bool) -> _Memory:
    """The events as four partitions hand them over: by model (``keyed``), or whatever comes."""
    values = list(bench_events.events(shape))
    numbers = np.arange(len(values)) % len(PARTITIONS)
    if keyed:
        numbers = np.array([int(value[16:20]) % len(PARTITIONS) for value in values])
    order: list[int] = []
    for start in range(0, len(values), FETCHED * len(PARTITIONS)):
        window = slice(start, start + FETCHED * len(PARTITIONS))
        order += (start + np.argsort(numbers[window], kind="stable")).tolist()
    return _Memory([values[i] for i in order], numbers[order].astype(np.int32))


def parsing(values: Sequence[bytes]) -> float:
    """Microseconds of ``orjson.loads`` an event."""
    began = time.thread_time()
    for value in values:
        orjson.loads(value)
    return (time.thread_time() - began) / len(values) * 1e6


def measured(shape: bench_events.Shape, *, keyed: bool) -> dict[str, float]:
    """One size: what an event takes by stage behind the first third, while models are met; and moments alone.

    In units of parsing, as is ``process``: the whole loop, and what the store's threads do beside it.
    """
    with tempfile.TemporaryDirectory(prefix="modelwatch-stages-") as name:
        folder = Path(name)
        bench_events.reference(folder / "all.mwref", shape.numbers)
        file = folder / "config.toml"
        file.write_text(CONFIG.format(folder=folder, horizon=bench_events.HORIZON if shape.outcomes else "0s"))
        config, source, metrics = load(file, {}), arranged(shape, keyed=keyed), Metrics()
        sample = list(islice(source.values, 20_000))
        unit = [parsing(sample)]
        database = Database(folder / "store")
        pipeline = made(config, database, source, metrics)
        gc.collect()
        gc.freeze()
        gc.disable()
        longest, began, first, process = 0.0, {}, 0, 0.0
        while not source.finished():
            if not first and source.at >= len(source.values) // 3:
                pipeline.commit(whatever=True)  # the first is of all models, and the next one a good while later
                first, began, process = source.at, _stages(metrics), time.process_time()
            judged = _stages(metrics).get("judge", 0.0)
            pipeline.turn()
            longest = max(longest, _stages(metrics)["judge"] - judged)
        pipeline.commit(whatever=True)
        n, process = source.at - first, time.process_time() - process
        spent = {stage: (value - began.get(stage, 0.0)) / n * 1e6 for stage, value in _stages(metrics).items()}
        unit.append(parsing(sample))
        found = {stage: each / statistics.mean(unit) for stage, each in spent.items() if stage != "poll"}
        found |= {"all": sum(found.values()), "process": process / n * 1e6 / statistics.mean(unit)}
        found |= {"parsing_us": statistics.mean(unit), "judged_longest_s": longest}
        found |= _shown(pipeline, config)
        database.close()
        return found | {"recover_s": _recover(config, folder)}


def made(config: Config, database: Database, source: _Memory, metrics: Metrics) -> Pipeline:
    fleet, event_time = make_fleet(config), EventTime(config.clock.lateness, config.clock.leap)
    checkpoint = Checkpoint(database, TickLog(database, config.privacy.retention.ticks))
    checkpoint.load(fleet, event_time)
    around = Surroundings(_ProcessorClock(), metrics, _Nowhere(), _Kept(checkpoint), told=lambda _incidents: None)
    pace = Pace(live=True, idle=config.clock.idle, commit=COMMIT_SECONDS, future=float("inf"))
    return Pipeline(source, make_decoders(config), fleet, event_time, around, pace)


def _shown(pipeline: Pipeline, config: Config) -> dict[str, float]:
    """Seconds for a picture of the fleet, which the loop paints once a second, and for a scrape of all models."""
    painter, models = Painter(pipeline.fleet, config, "bench", SystemClock()), FleetMetrics()
    spent: dict[str, float] = {}
    for _ in range(2):  # names are put together when they are first asked for
        began = time.thread_time()
        status = painter.status(pipeline.event_time.watermark)
        painted = time.thread_time()
        models.render(status, Selection())
        spent = {"publish_s": painted - began, "scrape_s": time.thread_time() - painted}
    return spent


def _recover(config: Config, folder: Path) -> float:
    """Seconds until a fleet is what it was, from its store."""
    database = Database(folder / "store")
    began = time.thread_time()
    fleet = make_fleet(config)
    Checkpoint(database, TickLog(database, config.privacy.retention.ticks)).load(
        fleet, EventTime(config.clock.lateness)
    )
    spent = time.thread_time() - began
    database.close()
    return spent


def _stages(metrics: Metrics) -> dict[str, float]:
    found = {s.labels["stage"]: s.value for m in metrics.loop_seconds.collect() for s in m.samples if s.value}
    return {"judge": 0.0, **found}


SIZES: dict[str, dict[str, Any]] = {
    "100 models": {"models": 100},
    "1,000 models": {"models": 1_000},
    "5,000 models": {"models": 5_000},
    "20,000 models": {"models": 20_000},
    "5 features": {"numbers": 1},
    "100 features": {"numbers": 96},
    "keyed": {"keyed": True},
    "skewed": {"skewed": True},
    "without groups": {"sensitive": False},
    "joined": {"outcomes": True},
}
"""What differs from 1,000 models, 16 numbers and 4 categories, keys at random, two attributes and nothing joined."""


def of_size(name: str, per_model: int) -> dict[str, float]:
    """One of :data:`SIZES`: so many events a model in the mean, but between 60,000 and 1.2 million in all."""
    asked = {"models": 1_000, "sensitive": True, **SIZES[name]}
    keyed, joined = asked.pop("keyed", False), asked.get("outcomes", False)
    wanted = asked["models"] * per_model * (_JOINED_MORE if joined else 1)
    shape = bench_events.Shape(min(max(60_000, wanted), 1_200_000), per_tick=60.0, faulty=0, **asked)
    found = measured(shape, keyed=keyed)
    return found | {"values_per_unit": (shape.numbers + bench_events.CATEGORIES) / found["all"]}


def everything(names: Sequence[str], per_model: int, repeats: int) -> dict[str, dict[str, float]]:
    """The medians of every size, each run in a process of its own, in turn."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(repeats):
        for name in names:
            command = [sys.executable, __file__, "--one", name, "--per-model", str(per_model)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{turn + 1} of {repeats}: {name}: {runs[name][-1]['all']:.2f}", file=sys.stderr)
    return {
        name: {key: round(statistics.median(run[key] for run in many), 4) for key in many[0]}
        for name, many in runs.items()
    }


def over(found: Mapping[str, float], budgets: Mapping[str, float]) -> dict[str, float]:
    """The figures that are above their budgets."""
    return {stage: found[stage] for stage, budget in budgets.items() if found[stage] > budget}


def within(file: Path, names: Sequence[str], per_model: int) -> bool:
    """Whether those of ``names`` that are in ``file`` keep their budgets in one of a few runs each.

    What is too slow is so in all of them.
    """
    kept = True
    for name, budgets in tomllib.loads(file.read_text()).items():
        if name not in names:
            continue
        for _ in range(_TRIES):
            found = everything([name], per_model, 1)[name]
            if not (above := over(found, budgets)):
                break
        for stage, figure in above.items():
            print(f"{file}: {name}: {stage} took {figure:.3g}, its budget is {budgets[stage]:g}")
        kept &= not above
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=SIZES, help=argparse.SUPPRESS)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--per-model", type=int, default=180, help="events a model in the mean: three ticks of 60")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--within", type=Path, metavar="FILE", help="compare with the budgets of a file, and fail above"
    )
    arguments = parser.parse_args()
    if arguments.within:
        sys.exit(not within(arguments.within, arguments.sizes, arguments.per_model))
    if arguments.one:
        print(json.dumps(of_size(arguments.one, arguments.per_model)))
    else:
        print(json.dumps(everything(arguments.sizes, arguments.per_model, arguments.repeats)))


if __name__ == "__main__":
    main()
