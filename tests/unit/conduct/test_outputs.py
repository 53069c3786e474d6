"""Are outputs outside the list that a policy allows told, by name; and is the list what the file says now?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, START, decoded, event, feed, hourly, new_fleet, replayed, write_lines

from monitor.catalog.outputs import BYTES_MAX, listed, read, with_outputs
from monitor.catalog.policies import Clause, Policies
from monitor.errors import ConfigError
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident

POLICY = {"tick": "1h", "keep_firing": "6h"}
UNIFORM = np.random.default_rng(51).random(60_000)


def watched(allowed: Any) -> Fleet:
    """A fleet whose models may only answer what ``allowed`` says."""
    fleet = new_fleet(POLICY)
    policies = with_outputs(Policies([Clause("*", {**POLICY, "allowed_outputs": allowed}, "test")]))
    fleet.reload_policies(policies.resolve)
    return fleet


def answered(fleet: Fleet, prediction: Any, hours: range) -> list[Incident]:
    return hourly(fleet, lambda i: {"x": float(UNIFORM[i])}, hours, prediction=prediction)


KINDS = {
    "label": (lambda i: "cat" if UNIFORM[i] < 0.5 else "dog", "toaster"),
    "labelled": (lambda i: {"label": "cat", "score": float(UNIFORM[i])}, {"label": "toaster", "score": 0.5}),
    "tags": (lambda i: {"tags": ["cat", "dog"]}, {"tags": ["cat", "toaster"]}),
    "ranking": (lambda i: {"ranking": ["dog", "cat"]}, {"ranking": ["cat", "dog", "toaster"]}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_allowed_is_named(kind: str) -> None:
    """A class, a tag or an item that is not in the list is told by its name, soon and from the first day on."""
    usual, wrong = KINDS[kind]
    fleet = watched(("cat", "dog"))
    assert answered(fleet, usual, range(3)) == []
    changed = answered(fleet, lambda i: wrong if i % 10 == 0 else usual(i), range(3, 9))
    [first] = [i for i in changed if i.alertname == "ModelDataQuality"][:1]
    assert (first.detector, first.output, first.severity) == ("not_allowed", "toaster", "warning")
    assert first.fired_time <= START + 9 * HOUR
    assert "most often toaster" in first.summary
    done = answered(fleet, usual, range(9, 36))
    assert {incident.state for incident in done} == {"resolved"}


def test_classes_are_written_as_ever() -> None:
    """``1``, ``1.0``, ``true`` and ``"1"`` are the same class, in the list as in an event."""
    fleet = watched((1, "0"))
    answers = [{"label": 1}, {"label": "0"}, {"label": True}, {"label": 1.0}]
    assert answered(fleet, lambda i: answers[i % 4], range(12)) == []
    assert not fleet.models.items[0].outside


def test_a_slip_is_no_alarm() -> None:
    """One output in thousands that is not allowed is no incident."""
    fleet = watched(("cat",))
    assert answered(fleet, lambda i: "dog" if i == 300 else "cat", range(60)) == []


def test_without_a_list_everything_is_allowed() -> None:
    """Models that no list is named for are not counted at all."""
    fleet = new_fleet(POLICY)
    assert answered(fleet, lambda i: f"answer {i}", range(5)) == []
    assert not fleet.conduct.shares["not_allowed"].rows["applies"].any()


def test_other_list_other_verdict(tmp_path: Path) -> None:
    """A reload reads the file again: what is now allowed ends the incident, and nothing of it is left."""
    file = tmp_path / "catalogue.txt"
    file.write_text("cat\r\n\n  dog \n")
    said = {**POLICY, "allowed_outputs": f"file:{file}"}
    fleet = watched(f"file:{file}")
    assert answered(fleet, lambda i: ["cat", "dog"][i % 2], range(3)) == []
    assert answered(fleet, lambda i: "emu", range(3, 8))[-1].output == "emu"
    unchanged = with_outputs(Policies([Clause("*", said, "test")]))
    assert fleet.reload_policies(unchanged.resolve) == []
    file.write_text("cat\ndog\nemu\n")
    grown = with_outputs(Policies([Clause("*", said, "test")]))
    assert fleet.reload_policies(grown.resolve) == [0]
    [ended] = answered(fleet, lambda i: "emu", range(8, 12))
    assert (ended.state, ended.resolved_because) == ("resolved", "policy changed")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\n \n", "names no output"),
        (b"caf\xe9\n", "is not UTF-8 (at byte 3)"),
        (b"x" * (BYTES_MAX + 1), "has more than 64 MB"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, content: bytes | None, wrong: str) -> None:
    """A list that is missing, empty, no text or too large is an error that names the place and the file."""
    file = tmp_path / "catalogue.txt"
    if content is not None:
        file.write_bytes(content)
    policies = Policies([Clause("*", {"allowed_outputs": f"file:{file}"}, "config.toml: models[0]")])
    with pytest.raises(ConfigError) as error:
        with_outputs(policies)
    assert str(error.value) == f"config.toml: models[0].allowed_outputs: {file} {wrong}"


@pytest.mark.parametrize("said", ["catalogue.txt", "file:", (), ("",), 5])
def test_keys_that_name_no_list(said: Any) -> None:
    """What is neither a file nor a list is refused."""
    policies = Policies([Clause("*", {"allowed_outputs": said}, "test")])
    with pytest.raises(ValueError, match="allowed_outputs"):
        policies.resolve("m")


def test_lists_are_sets(tmp_path: Path) -> None:
    """Order, doubles and how lines end make no difference."""
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\ncat")
    assert read(tmp_path / "a") == listed(("dog", "cat"))
    assert read(tmp_path / "a") != listed(("dog",))


def test_replay_end_to_end(tmp_path: Path) -> None:
    """``replay`` finds an output that the file beside its configuration does not name."""
    (tmp_path / "catalogue.txt").write_text("cat\ndog\n")
    events = [
        event(START + 60.0 * i, {"x": float(UNIFORM[i])}, prediction="emu" if i > 500 and i % 5 == 0 else "cat")
        for i in range(800)
    ]
    file = write_lines(tmp_path / "events.jsonl", events)
    config = '[[models]]\nmatch = "*"\nallowed_outputs = "file:catalogue.txt"\n'
    result = replayed(tmp_path, config, file)
    assert {(i.alertname, i.detector, i.output) for i in result.incidents} == {
        ("ModelDataQuality", "not_allowed", "emu")
    }


def test_names_are_bounded() -> None:
    """A model that answers anything at all fills no memory with it."""
    fleet = watched(("cat",))
    feed(fleet, decoded([event(START + i, {"x": 1.0}, prediction=f"answer {i}") for i in range(500)]))
    assert len(fleet.models.items[0].outside) <= 20
