"""The surfaces that users script against, on a running daemon: addresses, tokens, lists, errors, commands, policies.

What alerts and metrics promise is held by `test_daemon.py`, in front of Prometheus and Alertmanager.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from servers.daemon import Answer, Daemon, modelwatch

from monitor import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

READS = (
    *("/metrics", "/metrics/models", "/api/v1/status", "/api/v1/models", "/api/v1/models/credit-limit"),
    *("/api/v1/incidents", "/openapi.json", "/", "/models/credit-limit"),
)
PROBES = ("/livez", "/readyz", "/-/healthy", "/-/ready")
COMMANDS = (
    "run --config f",
    "check-config f",
    "demo --models 1 --minutes 1 --seed 1 --speed 0 --headless --json",
    "replay a.jsonl --config f --json --out d",
    "replay --topic t --since 0 --until 1",
    "baseline build --model m --version v --out f d.csv",
    "baseline show f",
    "baseline diff a b",
    "assess a.jsonl",
    "assess --topic t --since 0",
    "gate --candidate a --against b --json --out r.html",
    "drill --model m --store s",
    "report --model m --since 2026-01-01 --until 2026-02-01 --out f",
    "baseline accept m",
    "retire m",
    "ack i",
    "unack i",
    "note i --note n",
    "exclude --model m --from 2026-01-01 --until 2026-02-01 --note n",
    "groups m",
    "publish f.csv --topic t",
    "baseline build --topic t --since 2026-01-01 --out d",
    "alerts test --config f",
    "version --json",
)
POLICIES = """
[[models]]
match = "*"
task = "auto"
learn = { events_min = 200, events = 10000, for = "7d" }
outcome_horizon = "1d"
missing_outcome = "unknown"
hold = "0s"
keep_firing = "1h"
[[models]]
match = "credit-*"
team = "risk"
sensitive = ["sex", "age_band"]
favourable = ["approve"]
favourable_outcomes = ["repaid"]
positive = ["default"]
explain_by = ["region"]
outcome_horizon = "30d"
season = ["1d", "7d"]
limits = { error_rate = 0.05 }
tick = "60s"
reference = "learn"
split_by = ["country"]
outcomes_observed = "all"
upstreams = ["model:eta", "bureau-x"]
owners = { quality = "data-eng", fairness = "responsible-ai" }
mode = "live"
include_group_values = false
costs = { currency = "EUR", false_positive = 900.0, false_negative = 120.0 }
ignore = [{ segment = { arm = "shadow" } }, { id_prefix = "heartbeat-" }]
planned = [{ from = "2026-11-27T00:00:00Z", until = "2026-11-28T00:00:00Z", note = "campaign" }]
[models.tolerance]
drift = "auto"
impact_ratio = 0.8
error_gap = 0.05
performance = 0.02
[[models.watch_tags]]
name = "primates"
tags = ["gorilla", "chimpanzee"]
budget_share = 0.2
"""


class Client:
    """Asks one daemon, with a token and any method."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, path: str, token: str = "", method: str = "GET", body: Any = None) -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as found:
                return Answer(found.status, {k.lower(): v for k, v in found.headers.items()}, found.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, {k.lower(): v for k, v in refused.headers.items()}, refused.read())


@pytest.fixture(scope="module")
def ask(kafka: KafkaServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A daemon that has read some events of three models, with a token for each scope."""
    folder, topic = tmp_path_factory.mktemp("surfaces"), kafka.new_topic(1, "surfaces")
    for i in range(90):
        event = {
            "model": ("credit-limit", "eta", "tagger")[i % 3],
            "id": f"c{i}",
            "time": time.time(),
            "features": {"x": i},
            "prediction": {"label": "approve"},
            "sensitive": {"sex": "FM"[i % 2]},
        }
        kafka.producer.produce(topic, json.dumps(event).encode())
    kafka.producer.flush(10)
    tokens = folder / "tokens"
    tokens.write_text("reads status\nlooks status,fairness\nwrites write\nrisk status risk\n")
    config = f'token_file = "{tokens}"\n[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\ngroup_id = "{topic}"\n'
    config += f'topics = [{{ name = "{topic}" }}]\n{POLICIES}'
    with Daemon(folder, config, probe="livez") as daemon:
        client = Client(daemon.url)
        deadline = time.monotonic() + 90
        while client("/api/v1/models", "reads").json.get("items", []) == [] and time.monotonic() < deadline:
            time.sleep(0.2)
        yield client


def test_probes_need_no_token_and_everything_else_does(ask: Client) -> None:
    """Probes answer everybody; every other address asks for a token, and answers HEAD as GET without a body."""
    for path in PROBES:
        assert ask(path).status == 200
    for path in READS:
        refused = ask(path)
        assert refused.status == 401, path
        assert refused.json["error"].keys() == {"code", "message"}
        assert ask(path, "reads").status == 200, path
        head = ask(path, "reads", "HEAD")
        assert (head.status, head.body) == (200, b"")


def test_lists(ask: Client) -> None:
    """Lists are items and a cursor; searched, ordered, limited and gone on with."""
    whole = ask("/api/v1/models", "reads").json
    assert whole.keys() >= {"items", "next_cursor"}
    assert [each["model"] for each in whole["items"]] == ["credit-limit", "eta", "tagger"]
    first = ask("/api/v1/models?limit=2&sort=model", "reads").json
    rest = ask(f"/api/v1/models?limit=2&sort=model&cursor={first['next_cursor']}", "reads").json
    assert [each["model"] for each in first["items"] + rest["items"]] == ["credit-limit", "eta", "tagger"]
    assert rest["next_cursor"] is None
    assert [each["model"] for each in ask("/api/v1/models?q=edit&state=learning", "reads").json["items"]] == [
        "credit-limit"
    ]
    assert ask("/api/v1/incidents?state=firing", "reads").json["items"] == []
    bad = ask("/api/v1/models?state=asleep", "reads")
    assert (bad.status, bad.json["error"].keys()) == (400, {"code", "message"})


def test_a_model_in_detail(ask: Client) -> None:
    """Its document holds at least what is promised; what is not there is a 404 with a code."""
    found = ask("/api/v1/models/credit-limit", "looks").json
    assert found.keys() >= {
        *("model", "version", "state", "events", "last_event_time", "features", "associations", "performance"),
        "blind_spots",
    }
    assert found["state"] == "learning"
    assert found["features"][0].keys() >= {"name", "kind", "state", "effect", "evidence_log10"}
    for path in ("/api/v1/models/none", "/api/v1/incidents/none", "/incidents/none", "/nothing"):
        missing = ask(path, "reads")
        assert (missing.status, missing.json["error"].keys()) == (404, {"code", "message"})


def test_the_past_of_a_model(ask: Client, tmp_path: Path) -> None:
    """Any range of it is a document, a page and a report of the running daemon; what is no range is a 400."""
    path = "/models/credit-limit/history?since=2026-01-01&until=2026-02-01"
    found = ask(f"/api/v1{path}", "looks").json
    assert found.keys() >= {"model", "from", "until", "volume", "features", "performance", "associations", "incidents"}
    assert (found["events"], found["covered"]) == (0, None)
    page = ask(path, "looks")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert ask("/api/v1/models/credit-limit/history?since=soon", "reads").status == 400
    token, out = tmp_path / "token", tmp_path / "report.html"
    token.write_text("looks")
    range_ = ("--since", "2026-01-01", "--until", "2026-02-01", "--out", out)
    made = modelwatch("report", "--model", "credit-limit", *range_, "--url", ask.url, "--token-file", token)
    assert (made.returncode, made.stderr) == (0, "")
    assert "Annex" in out.read_text()
    assert modelwatch("report", "--model", "none", *range_, "--url", ask.url, "--token-file", token).returncode == 1


def test_who_may_write(ask: Client) -> None:
    """Orders need the scope; everything else is read only; a token of a team knows its own models alone."""
    assert ask("/api/v1/incidents/none/ack", "reads", "POST", {"by": "ada"}).status == 403
    assert ask("/api/v1/incidents/none/ack", "writes", "POST", {"by": "ada"}).status == 404
    assert ask("/api/v1/incidents/none/note", "writes", "POST", {"by": "ada", "note": "n"}).status == 404
    refused = ask("/api/v1/models", "writes", "POST", {})
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert [each["model"] for each in ask("/api/v1/models", "risk").json["items"]] == ["credit-limit"]
    assert ask("/api/v1/models/eta", "risk").status == 404


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_taken(words: str) -> None:
    """The words that scripts use are understood as they stand."""
    assert callable(cli._parser().parse_args(words.split()).run)


def test_exit_codes_and_streams(tmp_path: Path) -> None:
    """Results go to stdout, what is wrong to stderr; 0, 2, 78 and 1 say which kind it is."""
    config = tmp_path / "c.toml"
    config.write_text(POLICIES)
    good = modelwatch("check-config", config)
    assert (good.returncode, good.stderr) == (0, "")
    assert 'match = "credit-*"' in good.stdout
    config.write_text(POLICIES.replace("favourable_outcomes", "favorable_outcomes"))
    bad = modelwatch("check-config", config)
    assert (bad.returncode, bad.stdout) == (78, "")
    assert 'did you mean "favourable_outcomes"?' in bad.stderr
    assert modelwatch("replay").returncode == 2
    assert modelwatch("replay", tmp_path / "gone.jsonl").returncode == 1
