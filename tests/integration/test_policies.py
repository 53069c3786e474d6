"""What a policy says, on a running daemon: each key on a model of its own, which would else say other things.

One stream of forty hours, in which models go wrong one after the other, each in a feature of its own: what happens at
once would have a cause in common. What is told is asked of the API and of Alertmanager.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from servers.alertmanager import TO_WEBHOOK, AlertmanagerServer
from servers.daemon import Daemon
from servers.webhook import WebhookReceiver

from monitor.catalog import profile
from monitor.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.kafka import KafkaServer, Record

pytestmark = pytest.mark.servers

HOURS, EVERY = 40.0, 60.0
"""How long it goes on, and seconds between two events of a model."""
SHARED = ("up-a", "up-b", "up-c", "up-d")
FAULTS = {
    "catalogue": 26.0,
    "shadow": 27.5,
    "tolerant": 29.0,
    "held": 30.5,
    "planned": 32.0,
    "strict": 33.5,
    "split": 35.0,
    "renewed": 36.5,
    **dict.fromkeys(SHARED, 38.0),
}
"""The hour from which on a model goes wrong."""
PLANNED = 35.0
"""The hour in which the campaign ends, and what it brings."""
SALT = b"tests"
POLICIES = """
[[models]]
match = "*"
team = "platform"
tick = "10m"
reference = "file:{folder}/{{model}}.mwref"
[models.tolerance]
drift = 0.02
[[models]]
match = "catalogue"
allowed_outputs = "file:{folder}/catalogue.txt"
owners = {{ quality = "data-eng" }}
[[models]]
match = "shadow"
mode = "shadow"
[[models]]
match = "planned"
planned = [{{ from = "{fault}", until = "{planned}", note = "campaign" }}]
[[models]]
match = "beats"
ignore = [{{ segment = {{ arm = "shadow" }} }}, {{ id_prefix = "heartbeat-" }}]
[[models]]
match = "split"
reference = "learn"
split_by = ["country"]
[[models]]
match = "up-*"
upstreams = ["bureau-x"]
[[models]]
match = "*groups"
favourable = ["yes"]
sensitive = ["sex"]
[[models]]
match = "open-groups"
include_group_values = true
[[models]]
match = "explained"
favourable = ["yes"]
explain_by = ["region"]
[[models]]
match = "tags"
reference = "learn"
include_group_values = true
[[models.watch_tags]]
name = "primates"
tags = ["gorilla", "gibbon"]
budget_share = 0.2
[[models]]
match = "priced"
outcome_horizon = "1h"
positive = ["yes"]
limits = {{ error_rate = 0.05 }}
costs = {{ currency = "EUR", false_positive = 900.0, false_negative = 120.0 }}
[[models]]
match = "silence-is-no"
outcome_horizon = "1h"
missing_outcome = "no"
[[models]]
match = "tolerant"
[models.tolerance]
drift = 0.45
[[models]]
match = "held"
hold = "2d"
[[models]]
match = "renewed"
reference = "previous-version"
"""
INCLUDED = """
[[models]]
match = "shadow"
team = "candidates"
"""


def feature_of(model: str) -> str:
    return f"x_of_{model}"


Made = tuple[float, dict[str, Any]]


class Maker:
    """Makes the events of the models; ``faulty`` ones are moved by one and a half standard deviations."""

    def __init__(self, start: float) -> None:
        self.start, self._rng = start, np.random.default_rng(41)

    def plain(self, model: str, i: int, at: float, *, faulty: bool = False, **rest: Any) -> dict[str, Any]:
        x = round(float(self._rng.normal(1.5 if faulty else 0.0)), 4)
        said = {"prediction": "yes" if self._rng.random() < 0.5 else "no", "features": {feature_of(model): x}}
        return {"model": model, "time": rfc3339(at), "id": f"{model}-{i}", **said, **rest}

    def wrong(self, model: str, at: float) -> bool:
        """Whether a model has gone wrong by ``at``."""
        return at >= self.start + FAULTS[model] * 3600

    def events(self) -> list[tuple[float, dict[str, Any]]]:
        """All events by their time."""
        made: list[Made] = []
        for i in range(round(HOURS * 3600 / EVERY)):
            at = self.start + i * EVERY
            for kind in (self._of_data, self._of_people, self._of_outcomes):
                made += [(at, event) for event in kind(i, at)]
        return sorted(made, key=lambda pair: pair[1]["time"])

    def _of_data(self, i: int, at: float) -> Iterator[dict[str, Any]]:
        odd = self.wrong("catalogue", at) and self._rng.random() < 0.2
        yield self.plain("catalogue", i, at) | ({"prediction": "maybe"} if odd else {})
        for model in ("shadow", "tolerant", "held", "strict", *SHARED):
            yield self.plain(model, i, at, faulty=self.wrong(model, at))
        over = at >= self.start + PLANNED * 3600
        yield self.plain("planned", i, at, faulty=self.wrong("planned", at) and not over)
        yield self.plain("beats", i, at)
        yield self.plain("beats", i, at, faulty=True, segment={"arm": "shadow"}) | {"id": f"arm-{i}"}
        yield self.plain("beats", i, at, faulty=True) | {"id": f"heartbeat-{i}"}
        for n, country in enumerate(("DE", "SE")):
            moved = country == "SE" and self.wrong("split", at)
            yield self.plain("split", 2 * i + n, at + n, faulty=moved, segment={"country": country})
        new = self.wrong("renewed", at)
        yield self.plain("renewed", i, at, faulty=new, version="2" if new else "1")

    def _of_people(self, i: int, at: float) -> Iterator[dict[str, Any]]:
        rng = self._rng
        sex = "F" if rng.random() < 0.4 else "M"
        few = "X" if i % 400 == 7 else sex  # six people in all: fewer than may be spoken of
        yield self.plain("few-groups", i, at, sensitive={"sex": few})
        for model in ("groups", "open-groups"):
            label = "yes" if rng.random() < (0.35 if sex == "F" else 0.6) else "no"
            yield self.plain(model, i, at, sensitive={"sex": sex}) | {"prediction": label}
        # Women ask where little is granted; within each region all are alike.
        north = rng.random() < (0.8 if sex == "F" else 0.2)
        label = "yes" if rng.random() < (0.3 if north else 0.7) else "no"
        segment = {"region": "north" if north else "south"}
        yield self.plain("explained", i, at, sensitive={"sex": sex}, segment=segment) | {"prediction": label}
        apes = ["gorilla", "gibbon"][i % 2 :][:1] if rng.random() < (0.25 if sex == "F" else 0.01) else []
        yield self.plain("tags", i, at, sensitive={"sex": sex}) | {"prediction": {"tags": ["tree", *apes]}}

    def _of_outcomes(self, i: int, at: float) -> Iterator[dict[str, Any]]:
        said = self.plain("priced", i, at)
        yield said
        wrong = self._rng.random() < 0.2
        truth = {"yes": "no", "no": "yes"}[said["prediction"]] if wrong else said["prediction"]
        yield {"model": "priced", "id": said["id"], "time": rfc3339(at + 600), "outcome": truth}
        said = self.plain("silence-is-no", i, at)
        yield said
        if said["prediction"] == "yes":
            yield {"model": "silence-is-no", "id": said["id"], "time": rfc3339(at + 600), "outcome": "yes"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A daemon that has read the stream, and what stands in Alertmanager by model."""

    daemon: Daemon
    alerts: dict[str, list[dict[str, Any]]]
    n_events: int

    def incidents(self, *models: str) -> list[dict[str, Any]]:
        """The incidents of models, the oldest first."""
        return [it for it in self.daemon.incidents() if it["model"] in models]


@pytest.fixture(scope="module")
def seen(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder, start = tmp_path_factory.mktemp("policies"), time.time() // 600 * 600 - HOURS * 3600
    topic = kafka.new_topic(2)
    _write(folder)
    records: list[Record] = []
    for i, (at, event) in enumerate(Maker(start).events()):
        records.append((i % 2, json.dumps(event).encode(), at))
    with ExitStack() as stack:
        webhook = stack.enter_context(WebhookReceiver())
        routes = TO_WEBHOOK.format(url=webhook.url)
        alertmanager = stack.enter_context(AlertmanagerServer(folder / "alertmanager", routes))
        text = f"""
[privacy]
group_salt_file = "{folder}/salt"
smallest_group = 20
[clock]
lateness = "1m"
[kafka]
bootstrap_servers = "{kafka.bootstrap}"
group_id = "policies"
topics = [{{ name = "{topic}" }}]
start_from = "earliest"
[alertmanager]
urls = ["{alertmanager.url}"]
external_labels = {{ env = "test" }}
resend = "2s"
"""
        moments = {"fault": rfc3339(start + FAULTS["planned"] * 3600), "planned": rfc3339(start + PLANNED * 3600)}
        daemon = Daemon(folder / "daemon", text + POLICIES.format(folder=folder, **moments))
        daemon.config.write_text(f'include = ["{folder}/policies/*.toml"]\n{daemon.config.read_text()}')
        kafka.produce(topic, records)
        stack.enter_context(daemon)
        ignored = 2 * round(HOURS * 3600 / EVERY)
        daemon.until(lambda: daemon.n_events() == len(records) - ignored, 120)
        firing = daemon.status()["incidents"]["firing"]
        daemon.until(lambda: len(alertmanager.alerts()) >= firing)
        alerts: dict[str, list[dict[str, Any]]] = {}
        for alert in alertmanager.alerts():
            alerts.setdefault(alert["labels"].get("model", ""), []).append(alert)
        yield Seen(daemon, alerts, len(records) - ignored)


def _write(folder: Path) -> None:
    """The files that the configuration names."""
    n, rng = 10_000, np.random.default_rng(5)
    label = profile.category_series("label", "prediction", {"yes": 5000, "no": 5000}, 0, n)
    for model in (*FAULTS, "beats", "groups", "few-groups", "open-groups", "explained", "priced", "silence-is-no"):
        series = [profile.number_series(feature_of(model), "feature", rng.normal(0.0, 1.0, n), n), label]
        profile.save(profile.Profile(model, "", n, "training.csv", series), folder / f"{model}.mwref")
    (folder / "catalogue.txt").write_text("yes\nno\n")
    (folder / "salt").write_bytes(SALT)
    (folder / "policies").mkdir()
    (folder / "policies" / "10.toml").write_text(INCLUDED)


def alertnames(incidents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(it["model"], it["alertname"]) for it in incidents]


def test_nobody_else_is_told_of(seen: Seen) -> None:
    """What a policy tolerates, plans, ignores, explains or holds back is no incident, though without it it would be."""
    quiet = ("tolerant", "planned", "beats", "explained", "held", "few-groups", "silence-is-no")
    assert seen.incidents(*quiet) == []
    assert alertnames(seen.incidents("strict")) == [("strict", "ModelFeatureDrift")]
    assert seen.daemon.model("beats")["events"] == HOURS * 3600 / EVERY
    assert seen.daemon.metric("modelwatch_ignored_events_total") == {"": 2 * HOURS * 3600 / EVERY}


def test_allowed_outputs_and_owners(seen: Seen) -> None:
    """An output that the catalogue does not name is a fault of the data, and goes to who owns quality."""
    (incident,) = seen.incidents("catalogue")
    assert (incident["alertname"], incident["output"]) == ("ModelDataQuality", "maybe")
    (alert,) = seen.alerts["catalogue"]
    assert (alert["labels"]["team"], alert["labels"]["env"]) == ("data-eng", "test")


def test_shadow_and_included_policies(seen: Seen) -> None:
    """A shadow is judged, and its alert says that it is one; its team stands in an included file."""
    (alert,) = seen.alerts["shadow"]
    assert (alert["labels"]["mode"], alert["labels"]["team"]) == ("shadow", "candidates")
    assert "mode" not in seen.alerts["strict"][0]["labels"]


def test_split_by(seen: Seen) -> None:
    """Where one country moves the incident names it."""
    (incident,) = seen.incidents("split")
    assert (incident["alertname"], incident["labels"]["segment"]) == ("ModelFeatureDrift", "country=SE")


def test_previous_version(seen: Seen) -> None:
    """A version that sees other inputs than the one before is told of, against that one."""
    (incident,) = seen.incidents("renewed")
    assert (incident["version"], incident["alertname"]) == ("2", "ModelFeatureDrift")
    assert "version 2 against version 1" in incident["summary"]


def test_upstreams(seen: Seen) -> None:
    """Models that go wrong together, each in another feature, have one cause, which names what they depend on."""
    (cause,) = [it for it in seen.daemon.incidents() if it["alertname"] == "FleetSharedCause"]
    assert set(cause["models"]) == set(SHARED)
    assert "bureau-x" in cause["summary"]
    assert {it["merged_into"] for it in seen.incidents(*SHARED)} == {cause["id"]}


def test_groups_by_code_or_by_value(seen: Seen) -> None:
    """A group is told by its salted code, and by its value where the policy allows it; the fairness is the same."""
    code = "g-" + hashlib.sha256(SALT + b"sex\0F").hexdigest()[:8]
    for model, group in (("groups", code), ("open-groups", "F")):
        (incident,) = seen.incidents(model)
        assert (incident["alertname"], incident["attribute"], incident["group"]) == (
            "ModelDisparateImpact",
            "sex",
            group,
        )
        assert seen.alerts[model][0]["labels"]["group"] == group


def test_smallest_group(seen: Seen) -> None:
    """Six people are not shown, and neither is the next smallest group, from which with the total they would follow."""
    shown = {rate["group"] for it in seen.daemon.model("few-groups")["associations"] for rate in it["rates"]}
    codes = {sex: "g-" + hashlib.sha256(SALT + b"sex\0" + sex.encode()).hexdigest()[:8] for sex in "FMX"}
    assert shown == {codes["M"]}
    assert set(codes.values()) & {rate["group"] for it in seen.incidents("few-groups") for rate in it["rates"]} == set()


def test_explain_by(seen: Seen) -> None:
    """What a region explains is shown as composition, and the ratio within regions as it is."""
    (impact, *_) = [it for it in seen.daemon.model("explained")["associations"] if it["detector"] == "impact"]
    assert impact["effect"]["value"] > 0.8
    rates = sorted(rate["rate"] for rate in impact["rates"])
    assert rates[0] < 0.8 * rates[-1]


def test_watch_tags(seen: Seen) -> None:
    """The tags of a watch list count as one, under the list's name."""
    assert ("tags", "ModelUnwarrantedAssociation") in alertnames(seen.incidents("tags"))
    assert {it["output"] for it in seen.incidents("tags")} == {"primates"}
    assert {it["group"] for it in seen.incidents("tags")} == {"F"}


def test_contracts_and_costs(seen: Seen) -> None:
    """More errors than the contract allows are told once outcomes matured; their cost is in the model's currency."""
    (incident,) = seen.incidents("priced")
    assert incident["alertname"] == "ModelPerformanceDegraded"
    assert "the contract allows 0.05" in incident["summary"]
    performance = seen.daemon.model("priced")["performance"]
    assert performance["cases"] == 39 * 3600 / EVERY
    assert {"precision", "recall"} <= performance["figures"].keys()
    low, high = performance["figures"]["error_rate"]["interval"]
    assert low < 0.2 < high
    assert "EUR" in json.dumps(performance)


def test_missing_outcome(seen: Seen) -> None:
    """An outcome that does not come within the horizon means what the policy says: here nobody was wrong."""
    performance = seen.daemon.model("silence-is-no")["performance"]
    assert performance["fates"]["joined"] < performance["cases"] == 39 * 3600 / EVERY
    assert performance["figures"]["error_rate"]["value"] == 0.0
