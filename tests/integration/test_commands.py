"""What people tell a running daemon by the command line, with a token, and what it does and answers then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from servers.daemon import Daemon, modelwatch
from servers.lenders import BROKEN, DRIFTED, FAULTY, MODELS, PARTITIONS, began_at, config, traffic

from monitor.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.kafka import KafkaServer, Record

pytestmark = pytest.mark.servers

FAULT, END = 10.0, 40.0
"""Minutes after the first event at which two models go wrong, and at which now is."""
STEADY = MODELS[0]


HIRING = "hiring"
GROUPS = {"f": 90, "m": 120, "x": 5}
"""Applicants of each group; too few are of one to be spoken of."""


def applicants(end: float) -> list[Record]:
    """A model's events that name a group, the last of them at ``end``."""
    groups = [group for group, n in GROUPS.items() for _ in range(n)]
    return [
        (
            i % PARTITIONS,
            json.dumps(
                {
                    "model": HIRING,
                    "id": f"a{i}",
                    "time": (at := end - 60.0 + 60.0 * i / len(groups)),
                    "sensitive": {"sex": group},
                    "prediction": {"label": "invite"},
                }
            ).encode(),
            at,
        )
        for i, group in enumerate(groups)
    ]


class Operator:
    """Somebody with a shell and a token who looks after one daemon."""

    def __init__(self, daemon: Daemon, token: Path) -> None:
        self.daemon, self._token = daemon, token

    def __call__(self, *words: str, code: int = 0) -> str:
        """Run one command; what it printed, on stderr if it failed as ``code`` says."""
        done = modelwatch(*words, "--url", self.daemon.url, "--token-file", self._token)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    def incident(self, model: str) -> Any:
        """The newest incident of a model."""
        return [each for each in self.daemon.incidents() if each["model"] == model][-1]


@pytest.fixture(scope="module")
def start() -> float:
    return began_at(END)


@pytest.fixture(scope="module")
def ask(
    kafka: KafkaServer, references: Path, start: float, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """A daemon that has just seen two models go wrong."""
    folder, topic = tmp_path_factory.mktemp("commands"), kafka.new_topic(PARTITIONS)
    tokens, token = folder / "tokens", folder / "token"
    tokens.write_text("everything status,fairness,write\n")
    token.write_text("everything\n")
    with Daemon(folder, config(kafka, topic, references, f'token_file = "{tokens}"')) as daemon:
        daemon.token = "everything"
        kafka.produce(topic, traffic(start, (0.0, FAULT)).records)
        kafka.produce(topic, applicants(start + FAULT * 60.0))
        kafka.produce(topic, traffic(start, (FAULT, END), faulty=True).records)
        daemon.until(lambda: daemon.status()["incidents"]["firing"] == len(FAULTY))
        yield Operator(daemon, token)


def test_acknowledged_noted_and_taken_back(ask: Operator) -> None:
    """``ack`` says who expects it and until when, ``note`` adds to it, ``unack`` takes it back."""
    incident = ask.incident(DRIFTED)["id"]
    ask("ack", incident, "--reason", "expected", "--for", "2d", "--note", "a campaign", "--by", "ada")
    said = ask.incident(DRIFTED)
    assert (said["acknowledged"]["by"], said["acknowledged"]["reason"]) == ("ada", "expected")
    ask("note", incident, "--note", "marketing confirms it", "--by", "bob")
    note = ask.incident(DRIFTED)["notes"][-1]
    assert (note["by"], note["text"]) == ("bob", "marketing confirms it")
    ask("unack", incident, "--by", "ada")
    assert ask.incident(DRIFTED)["acknowledged"] is None
    assert "inc-0" in ask("ack", "inc-0", code=1)


def test_whose_codes_they_are(ask: Operator) -> None:
    """``groups`` says what is behind the codes of a model's groups, and of how many it may not."""
    lines = ask("groups", HIRING).splitlines()
    assert any("sex = m" in line for line in lines)
    assert not any("sex = x" in line for line in lines)
    assert lines[-1].startswith("sex: ")
    found = json.loads(ask("groups", HIRING, "--json"))
    assert {group["value"] for attribute in found["attributes"] for group in attribute["groups"]} <= {"f", "m"}
    assert "nobody" in ask("groups", "nobody", code=1)


def test_a_fire_drill(ask: Operator) -> None:
    """``drill`` says of a live model what would be seen of its features, and how soon."""
    table = ask("drill", "--model", STEADY)
    assert "income" in table
    faults = json.loads(ask("drill", "--model", STEADY, "--json"))["faults"]
    assert {fault["feature"] for fault in faults} >= {"income", "age", "region"}


def test_a_stretch_taken_out(ask: Operator, start: float) -> None:
    """``exclude`` takes the stretch of a fault out of the past, resolves what it told, and stands in the document."""
    since, until = rfc3339(start + FAULT * 60), rfc3339(start + END * 60)
    ask("exclude", "--model", BROKEN, "--from", since, "--until", until, "--note", "a broken join", "--by", "ada")
    (excluded,) = ask.daemon.model(BROKEN)["excluded"]
    assert (excluded["by"], excluded["note"]) == ("ada", "a broken join")
    assert ask.incident(BROKEN)["state"] == "resolved"


def test_the_present_accepted(ask: Operator) -> None:
    """``baseline accept`` makes what is the reference: the drift is one no more, and the life of the model says so."""
    ask("baseline", "accept", DRIFTED, "--by", "ada")
    assert ask.incident(DRIFTED)["state"] == "resolved"
    assert "the present accepted as the reference" in {fact["what"] for fact in ask.daemon.model(DRIFTED)["facts"]}


def test_a_person_forgotten(ask: Operator) -> None:
    """``store forget`` says what there was of a person and what remains as sums."""
    said = ask("store", "forget", "--id", "0-0.0", "--note", "she asked", "--by", "dpo")
    assert "sums" in said


def test_the_end_of_a_watch(ask: Operator) -> None:
    """``retire`` ends the watch of a model: no cell of it is left."""
    ask("retire", STEADY, "--by", "ada")
    assert {feature["state"] for feature in ask.daemon.model(STEADY)["features"]} <= {"not judged"}
    assert "nobody" in ask("retire", "nobody", code=1)
