"""Shows what the program does without anything around it: an embedded fleet with planted faults, and what was found."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from monitor.catalog import profile
from monitor.clock import Clock
from monitor.compose import make_decoders, make_fleet
from monitor.config import Config, load
from monitor.errors import WebError
from monitor.events.columns import EventBatch
from monitor.fleet import Fleet
from monitor.ingest.demo import PARTITION, DemoFleet, DemoSource
from monitor.ingest.demo_ahead import drawn_ahead
from monitor.ingest.demo_faults import SOURCE
from monitor.ingest.demo_laws import Role
from monitor.ingest.demo_people import OUTCOME_HORIZON
from monitor.ingest.demo_plan import Outlook, plan
from monitor.ingest.demo_report import DemoReport, as_json, as_text, score
from monitor.pipeline import Pipeline
from monitor.publish import LoopDesk, Painter
from monitor.replay import replay
from monitor.telemetry import logs
from monitor.telemetry.metrics import Metrics
from monitor.web.server import WebServer

SERVING_MINUTES = 10.0
"""How long the status page stays after a demo on a terminal."""
_PUBLISH_SECONDS = 0.5
TICK = "1h"
"""Most models of the demo have some dozen events an hour: ticks of a minute would hold one or none."""


class _Show:
    """The status page of a running demo: published now and then, asked between batches."""

    def __init__(self, config: Config, painter: Painter, desk: LoopDesk, clock: Clock, speed: float) -> None:
        self._config = config
        self._painter = painter
        self._desk = desk
        self._clock = clock
        self._speed = speed
        self._published_at = clock.monotonic()
        self._began: tuple[float, float] | None = None
        self._watermark = -math.inf

    def turned(self, pipeline: Pipeline) -> None:
        """Publish, answer, and wait where event time is told to run no faster than ``speed``."""
        watermark = self._watermark = pipeline.event_time.watermark
        self._desk.answer(self._painter.detail)
        if self._clock.monotonic() - self._published_at >= _PUBLISH_SECONDS:
            self._desk.publish(self._painter.status(watermark, ready=True))
            self._published_at = self._clock.monotonic()
        if self._speed > 0 and watermark > 0:
            self._began = self._began or (self._clock.monotonic(), watermark)
            due = self._began[0] + (watermark - self._began[1]) / self._speed
            self._clock.sleep(max(due - self._clock.monotonic(), 0.0))

    def serve(self, seconds: float) -> None:
        """Go on answering for ``seconds``."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            self._desk.publish(self._painter.status(self._watermark, ready=True))
            self._desk.answer(self._painter.detail)
            self._clock.sleep(0.1)


def run(
    clock: Clock, *, models: int, minutes: float | None, seed: int, speed: float, headless: bool, print_json: bool
) -> int:
    """Run the demo and print what it planted and found; returns the exit code."""
    logs.configure(clock, level="warning")
    fleet = DemoFleet(models=models, seed=seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="modelwatch-demo-")))
        expected = fleet.events_expected()
        _say(f"{models} models, about {expected:,} events of a week")
        config = prepare(fleet, folder)
        outlooks = planned(fleet, config)
        _announce(outlooks)
        watched = make_fleet(config)
        painter = Painter(watched, config, "demo", clock)
        desk = LoopDesk(painter.status(ready=True), keeps_past=False)
        show = _Show(config, painter, desk, clock, speed)
        serving = not headless and _serve(stack, config, desk, clock)
        report = judged(outlooks, fleet, config, clock, watched, show.turned)
        print(as_text(report))
        if minutes is None:
            minutes = SERVING_MINUTES if serving and sys.stdout.isatty() else 0.0
        if print_json:
            print(json.dumps(as_json(report)), flush=True)
        if serving and minutes > 0:
            _say(f"the status page stays for {minutes:g} minutes (Ctrl-C ends it)")
            show.serve(minutes * 60.0)
    return 0


def prepare(fleet: DemoFleet, folder: Path) -> Config:
    """The references of the weeks before as files, and a configuration that names them: what a user would have."""
    total, quiet = len(fleet.models), _quiet()
    with tqdm(fleet.references(), "references", total, unit="model", file=sys.stderr, disable=quiet) as profiles:
        for built in profiles:
            profile.save(built, folder / f"{built.model}.mwref")
    file = folder / "demo.toml"
    file.write_text(_configuration(fleet))
    return load(file, {})


def _configuration(fleet: DemoFleet) -> str:
    """What a user of such a fleet would write.

    Ticks that its slow models can fill, what feeds which models, and what is good for the people that some speak of.
    """
    lines = [
        "[clock]",
        f'tick = "{TICK}"',
        "[[models]]",
        'match = "*"',
        'reference = "file:{model}.mwref"',
        'outcome_horizon = "0s"',
    ]
    fed = sorted({model for fault in fleet.faults for model in fault.models if len(fault.models) > 1})
    for model in fed:
        lines += ["[[models]]", f'match = "{model}"', f'upstreams = ["{SOURCE}"]']
    for law in fleet.models:
        if law.role is not Role.PLAIN:
            lines += ["[[models]]", f'match = "{law.name}"', "include_group_values = true"]
        if law.role is Role.DECIDER:
            lines += [f'favourable = ["{law.labels[0]}"]', f'outcome_horizon = "{OUTCOME_HORIZON:.0f}s"']
    return "\n".join(lines) + "\n"


def planned(fleet: DemoFleet, config: Config) -> tuple[Outlook, ...]:
    """Of each fault, before anything is judged, whether the traffic can show it under ``config``."""
    decoder = make_decoders(config)(PARTITION.topic)

    def decode(values: Sequence[bytes]) -> EventBatch:
        return decoder.decode(values, np.full(len(values), np.nan))

    return plan(fleet, make_fleet(config), decode)


def judged(
    outlooks: Sequence[Outlook],
    fleet: DemoFleet,
    config: Config,
    clock: Clock,
    watched: Fleet | None = None,
    beside: Callable[[Pipeline], None] = lambda _pipeline: None,
) -> DemoReport:
    """Let the week go by, and compare what was planted with what was told."""
    bar = tqdm(desc="a week", total=fleet.events_expected(), unit_scale=True, file=sys.stderr, disable=_quiet())
    with bar, drawn_ahead(fleet.recipe) as slices:
        source = DemoSource(slices)
        replayed = replay(config, source, clock, fleet=watched, progress=bar.update, beside=beside)
    tick = config.clock.tick
    return score(outlooks, replayed.incidents, tick=tick, events=replayed.events, seconds=replayed.seconds)


def _announce(outlooks: Sequence[Outlook]) -> None:
    hidden = [outlook.fault for outlook in outlooks if not outlook.visible]
    _say(f"planted {len(outlooks)} faults; of these the traffic cannot show {len(hidden)}:")
    for fault in hidden:
        _say(f"  {fault.kind} of size {fault.size:g} in {fault.model}")


def _serve(stack: ExitStack, config: Config, desk: LoopDesk, clock: Clock) -> bool:
    """Serve the status page; on the usual port, or on a free one where that is taken."""
    metrics = Metrics()
    metrics.read_status(desk.status)
    try:
        web = WebServer(config.http, desk, metrics, clock)
    except WebError:
        web = WebServer(config.http.model_copy(update={"listen": "127.0.0.1:0"}), desk, metrics, clock)
    web.start()
    stack.callback(web.stop)
    _say(f"status page: http://127.0.0.1:{web.port}/")
    return True


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _quiet() -> bool:
    """Progress bars are for terminals."""
    return not sys.stderr.isatty()
