"""Are questions asked once, beside the loop, and are their answers kept?"""

from __future__ import annotations

import errno
import json
from contextlib import closing
from threading import Event

import pytest
from fakes.schemas import AVRO_EVENT, Answers, frame

from monitor.clock import ManualClock
from monitor.schemas import registry as module
from monitor.schemas.client import Written
from monitor.schemas.faults import RegistryAwayError, UnknownSchemaError
from monitor.schemas.registry import Registry

EVENT = Written("AVRO", json.dumps(AVRO_EVENT))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.0)


def settled(registry: Registry) -> None:
    """Wait until the thread has no question left."""
    with registry._stirred:
        assert registry._stirred.wait_for(lambda: not registry._questions, 5.0)


def test_a_schema_is_asked_for_once() -> None:
    """What was answered stays known, and nobody is asked for it again."""
    answers = Answers({7: EVENT})
    with closing(Registry(answers, ManualClock(0.0))) as registry:
        assert registry.unanswered({frame(7)}) == {frame(7)}
        settled(registry)
        assert registry.unanswered([frame(7)]) == set()
        assert registry.schema(frame(7)).kind == "AVRO"
        assert (answers.asked, dict(registry.drain()[0])) == ([7], {"found": 1})


def test_an_unknown_schema_is_asked_for_twice_and_believed_for_a_while() -> None:
    """That there is no schema is asked for again behind a minute, and may be otherwise then."""
    answers, clock = Answers(), ManualClock(0.0)
    with closing(Registry(answers, clock)) as registry:
        registry.unanswered({frame(8)})
        settled(registry)
        assert (answers.asked, dict(registry.drain()[0])) == ([8, 8], {"unknown": 1})
        assert not registry.unanswered({frame(8)})
        assert registry.schema(frame(8)).kind == ""
        answers.written[8] = EVENT
        clock.advance(module.UNKNOWN_SECONDS)
        assert registry.unanswered({frame(8)})
        settled(registry)
        assert registry.schema(frame(8)).read is not None


@pytest.mark.parametrize(
    "written",
    [
        Written("JSON", "{}"),
        Written("AVRO", "{"),
        Written("AVRO", '{"type": "array", "items": "null"}'),
        Written("AVRO", '{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"]}]}'),
        Written("AVRO", "[" * 100_000),
        Written("AVRO", '{"type": "record", "name": "R", "fields": [{"name": "x", "type": "other.X"}]}'),
        Written("PROTOBUF", "message"),
        Written("PROTOBUF", 'syntax = "proto3"; import "../x.proto";', {"../x.proto": 'syntax = "proto3";'}),
    ],
    ids=lambda written: written.text[:30],
)
def test_a_schema_that_cannot_be_used(written: Written) -> None:
    """A schema of another kind, or that is none, too deep or too large: unreadable, and counted."""
    with closing(Registry(Answers({1: written}), ManualClock(0.0))) as registry:
        registry.unanswered({frame(1)})
        settled(registry)
        assert registry.schema(frame(1)).read is None
        assert registry.schema(frame(1)).kind == "unreadable"
        counts, faults = registry.drain()
        assert dict(counts) == {"unreadable": 1}
        assert faults[1]


def test_a_registry_that_is_away_is_asked_until_it_is_back() -> None:
    """No answer is no answer: the schema stays unanswered, the trouble is told, and ends with the answer."""
    asked, back = Event(), Event()

    class Away(Answers):
        def schema(self, number: int) -> Written:
            if not back.is_set():
                asked.set()
                raise RegistryAwayError("registry:8081: no answer in time")
            return super().schema(number)

    with closing(Registry(Away({7: EVENT}), ManualClock(0.0), (0.001, 0.001))) as registry:
        registry.unanswered({frame(7)})
        assert asked.wait(5.0)
        assert registry.unanswered({frame(7)})
        back.set()
        settled(registry)
        assert (registry.trouble, registry.unanswered({frame(7)})) == ("", set())
        counts, _ = registry.drain()
        assert counts["found"] == 1
        assert counts["failed"] >= 1


def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its limits a registry forgets the oldest and asks no more at once; what is at hand is never forgotten."""
    monkeypatch.setattr(module, "SCHEMAS_MAX", 3)
    monkeypatch.setattr(module, "ASKED_MAX", 2)
    with closing(Registry(Answers(dict.fromkeys(range(9), EVENT)), ManualClock(0.0))) as registry:
        frames = [frame(n) for n in range(6)]
        for _ in range(20):
            if not registry.unanswered(frames):
                break
            assert len(registry._questions) <= 2
            settled(registry)
        assert not registry.unanswered(frames)
        registry.unanswered([frame(8), frame(5)])
        settled(registry)
        assert not registry.unanswered([frame(8), frame(5)])
        assert len(registry._known) <= 4


def test_an_unknown_reference_is_no_unknown_schema() -> None:
    """What the registry's answers raise decides; only an unknown id is an unknown schema."""
    with closing(Registry(Answers({3: UnknownSchemaError()}), ManualClock(0.0))) as registry:
        registry.unanswered({frame(3)})
        settled(registry)
        assert registry.schema(frame(3)).kind == ""


@pytest.mark.parametrize(
    "written",
    [Written("PROTOBUF", "\ud800"), Written("PROTOBUF", "", {"a.proto": "", "a.proto/b.proto": ""})],
    ids=["text that is no text", "a file within a file"],
)
def test_whatever_a_schema_breaks_is_its_own(written: Written) -> None:
    """A schema at which something unforeseen fails is unreadable; the next question is answered all the same."""
    with closing(Registry(Answers({1: written, 2: EVENT}), ManualClock(0.0))) as registry:
        registry.unanswered({frame(1), frame(2)})
        settled(registry)
        assert (registry.schema(frame(1)).kind, registry.schema(frame(2)).kind) == ("unreadable", "AVRO")
        assert dict(registry.drain()[0]) == {"unreadable": 1, "found": 1}


def test_a_full_disk_is_no_fault_of_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine cannot do now is tried again until it can: no record is turned away for it."""
    told = iter([OSError(errno.ENOSPC, "no space"), None])

    def make(text: str, imports: object, skip: int) -> object:
        error = next(told)
        if error is not None:
            raise error
        return lambda _value, _is_event: {}

    monkeypatch.setattr(module, "_READERS", {"AVRO": make})
    with closing(Registry(Answers({1: EVENT}), ManualClock(0.0), retry_seconds=(0.001, 0.001))) as registry:
        registry.unanswered({frame(1)})
        settled(registry)
        assert registry.schema(frame(1)).kind == "AVRO"
        assert dict(registry.drain()[0]) == {"failed": 1, "found": 1}
