"""How long does it take to read a model's past? Milliseconds of a range, with and without what the loop copies for it.

A model of twenty features with ticks of a minute, a week of them in a store as the tick log keeps it: two days of
ticks, then hours. Prints the fastest and the median of ten readings.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from fleets.build import DAY, START
from unit.pipeline.stage import Stage

from monitor.compose import make_fleet
from monitor.config import load
from monitor.history.history import history_of
from monitor.store.ageing import Ageing
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.figures import FigureLog
from monitor.store.grouplog import GroupLog
from monitor.store.past import records_of
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

CONFIG = """
[clock]
lateness = "0s"
[[models]]
match = "*"
learn = { events = 1000, for = "1d" }
"""


def times(days: float) -> list[float]:
    """Many events in the first minute of each hour, then twelve a minute for the last two days."""
    hourly = [hour * 3600.0 + i * 0.2 for hour in range(int((days - 2) * 24)) for i in range(250)]
    minutely = [(days - 2) * DAY + i * 5.0 for i in range(2 * 24 * 60 * 12)]
    return hourly + minutely


def lived(folder: Path, days: float) -> None:
    """A store that has seen the events."""
    rng, file = np.random.default_rng(5), folder / "events.jsonl"
    values = rng.normal(size=(len(times(days)), 20)).round(4)
    with file.open("w") as out:
        for at, row in zip(times(days), values.tolist(), strict=True):
            features = {f"f{i:02d}": value for i, value in enumerate(row)}
            out.write(json.dumps({"model": "m", "time": START + at, "features": features, "prediction": row[0]}) + "\n")
    (folder / "config.toml").write_text(CONFIG)
    stage = Stage(load(folder / "config.toml", {}), [file], folder / "store", batch_records=4000)
    ageing = Ageing((stage.log, GroupLog(stage.database), FigureLog(stage.database)))
    while not stage.source.finished():
        stage.pipeline.turn()
        stage.pipeline.commit()
        stage.database.commit(ageing.turn(1, 1, stage.pipeline.event_time.watermark))
    stage.pipeline.commit()
    stage.close()


def main() -> None:
    """Measure each range."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", action="store_true", help="show where a week's time goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lived(folder, 7.0)
        with Database(folder / "store", to_look=True) as database:
            log, fleet = TickLog(database, np.inf), make_fleet(load(folder / "config.toml", {}))
            Checkpoint(database, log).load(fleet, EventTime(0.0))
            records = records_of(database, log)
            for days in (0.25, 1.0, 7.0):
                copying, reading = [], []
                for _ in range(10):
                    began = time.perf_counter()
                    read = history_of(fleet, "m", records)
                    assert read is not None
                    copied = time.perf_counter()
                    told = read(START + (7.0 - days) * DAY, START + 7.0 * DAY)
                    reading.append(1e3 * (time.perf_counter() - copied))
                    copying.append(1e3 * (copied - began))
                    assert told.document["events"]
                print(
                    f"{days:5.2f} days  read {min(reading):6.1f} {statistics.median(reading):6.1f} ms"
                    f"  copied on the loop {min(copying):5.1f} {statistics.median(copying):5.1f} ms"
                )
            if arguments.profile:
                profiler = cProfile.Profile()
                read = history_of(fleet, "m", records)
                assert read is not None
                profiler.runcall(read, START, START + 7.0 * DAY)
                pstats.Stats(profiler).sort_stats("tottime").print_stats(18)


if __name__ == "__main__":
    main()
