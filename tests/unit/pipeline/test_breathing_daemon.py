"""What does the daemon do beside its turns: answer, say that it turns, and have back what it holds no more?"""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monitor.app import PUBLISH_SECONDS, Daemon
from monitor.clock import ManualClock
from monitor.config import load


@dataclass
class Part:
    """A shard that knows one model."""

    asked: list[str] = field(default_factory=list)

    def detail(self, model: str) -> dict[str, Any]:
        self.asked.append(model)
        return {"model": model}


@dataclass
class Working:
    """What the daemon would be turning."""

    shards: tuple[Part, ...]


def test_it_answers_and_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is answered between two pieces; of the picture nothing changes but when the loop turned."""
    (tmp_path / "config.toml").write_text("")
    clock = ManualClock(1_767_225_600.0)
    daemon = Daemon(load(tmp_path / "config.toml", {}), clock, lambda: pytest.fail("nobody reloads"))
    part = Part()
    monkeypatch.setattr(daemon, "work", Working((part,)), raising=False)
    before, found = daemon.desk.status(), []
    thread = threading.Thread(target=lambda: found.append(daemon.desk.model_detail("m")))
    thread.start()
    while not found:
        clock.advance(PUBLISH_SECONDS / 10.0)
        daemon.breathe()
        thread.join(0.01)
    assert (found, part.asked) == ([{"model": "m"}], ["m"])
    clock.advance(2.0 * PUBLISH_SECONDS)
    daemon.breathe()
    after = daemon.desk.status()
    assert after.loop_turned_at == clock.now() > before.loop_turned_at
    assert (after.published_at, after.watermark) == (before.published_at, before.watermark)


def test_what_a_shard_held_is_had_back_when_it_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet is full of cycles: behind the turn in which its shard left nothing holds its tables and files."""
    (tmp_path / "config.toml").write_text("")
    clock = ManualClock(1_767_225_600.0)
    daemon = Daemon(load(tmp_path / "config.toml", {}), clock, lambda: pytest.fail("nobody reloads"))
    other = SimpleNamespace(pipeline=SimpleNamespace(stuck=False), fleet=fleet_of_cycles())
    monkeypatch.setattr(daemon, "work", Working((other,)), raising=False)
    told = SimpleNamespace(forget=lambda _: None, offer_digest=lambda _: None)
    monkeypatch.setattr(daemon, "_notifications", told, raising=False)
    monkeypatch.setattr(daemon, "_published_at", clock.monotonic())
    shard = SimpleNamespace(fleet=fleet_of_cycles())
    left = weakref.ref(shard.fleet)
    gc.disable()
    try:
        daemon._beside()
        daemon.left(shard)
        del shard
        assert left() is not None
        daemon._beside()
        assert left() is None
    finally:
        gc.enable()


class Ring(SimpleNamespace):
    """Holds itself, as a fleet does."""


def fleet_of_cycles() -> Ring:
    """What is asked of a fleet whose shard leaves."""
    fleet = Ring(book=SimpleNamespace(open={}, digest=list))
    fleet.judge = SimpleNamespace(fleet=fleet)
    return fleet
