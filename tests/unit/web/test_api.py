"""The JSON documents."""

from __future__ import annotations

import gzip
import math
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from fakes.desk import NOW, FakeDesk, made_fleet, made_incident, made_status

from monitor.incidents.document import incident_document
from monitor.incidents.ranking import place_in_list
from monitor.status import MODEL_STATES

NAMES = [f"model-{i:03d}" for i in range(57)]


def pages(get: Any, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = get(f"{path}?{urlencode(parameters)}")
        assert answer.status == 200
        found += answer.json["items"]
        assert len(answer.json["items"]) <= parameters.get("limit", 100)
        if answer.json["next_cursor"] is None:
            return found
        parameters["cursor"] = answer.json["next_cursor"]


def test_the_status_counts_what_there_is(get: Any, desk: FakeDesk) -> None:
    """Totals of models and open incidents, the worst of the checks, and times in RFC 3339."""
    document = get("/api/v1/status").json
    assert document["status"] == "degraded"
    assert document["models"]["total"] == len(desk.published.fleet.names)
    assert sum(document["models"][state] for state in MODEL_STATES) == document["models"]["total"]
    assert document["incidents"] == {"firing": 6, "critical": 2, "warning": 2, "info": 2}
    assert document["uptime_seconds"] == 100
    assert document["published_time"] == "2026-03-01T09:29:59.750Z"
    assert document["budget"]["spent"] == {"drift": 0.25, "fairness": 1.5}


def test_a_fleet_without_models(get: Any, desk: FakeDesk) -> None:
    """A daemon that has seen nothing yet answers everywhere."""
    desk.published = made_status([])
    desk.change(watermark=None)
    assert get("/api/v1/status").json["watermark"] is None
    assert get("/api/v1/models").json == {"items": [], "next_cursor": None}
    assert get("/api/v1/incidents").json == {"items": [], "next_cursor": None}
    assert get("/metrics/models").status == 200
    assert get("/").status == 200


def test_unknown_numbers_are_null(get: Any) -> None:
    """NaN never leaves as a number."""
    rows = get("/api/v1/models").json["items"]
    assert any(row["last_event_time"] is None for row in rows)
    assert any(row["drift_ratio"] is None for row in rows)


@pytest.mark.parametrize("limit", [1, 7, 57, 1000])
@pytest.mark.parametrize("sort", ["model", "events", "-events", "drift_ratio", "-drift_ratio", "-last_event_time"])
def test_pages_hold_each_model_once_in_order(get: Any, desk: FakeDesk, sort: str, limit: int) -> None:
    """Whatever the order and the page size, the pages together are the fleet, sorted, unknown values last."""
    desk.published = made_status(NAMES)
    rows = pages(get, "/api/v1/models", sort=sort, limit=limit)
    key = sort.removeprefix("-")
    sign = -1 if sort.startswith("-") else 1
    assert sorted(row["model"] for row in rows) == NAMES
    known = [row[key] for row in rows if row[key] is not None]
    assert [row[key] for row in rows[: len(known)]] == known
    if key in {"events", "drift_ratio"}:
        assert [sign * value for value in known] == sorted(sign * value for value in known)
    else:
        assert known == sorted(known, reverse=sign < 0)


def test_rows_of_one_value_are_paged_by_name(get: Any, desk: FakeDesk) -> None:
    """Equal values do not lose or repeat rows at a page's edge."""
    fleet = made_fleet(NAMES)
    fleet.events[:] = 5
    fleet.drift_ratio[:] = math.nan
    desk.change(fleet=fleet)
    for sort in ("-events", "-drift_ratio"):
        assert [row["model"] for row in pages(get, "/api/v1/models", sort=sort, limit=10)] == NAMES


def test_a_cursor_outlives_changes_of_the_fleet(get: Any, desk: FakeDesk) -> None:
    """Models that come and go between two pages move no other."""
    desk.published = made_status(NAMES)
    first = get("/api/v1/models?limit=20").json
    desk.published = made_status([name for name in NAMES if name != "model-019"] + ["a-new-one", "model-019b"])
    second = get(f"/api/v1/models?limit=3&cursor={first['next_cursor']}").json["items"]
    assert [row["model"] for row in second] == ["model-019b", "model-020", "model-021"]


def test_filters_agree_with_the_rows(get: Any, desk: FakeDesk) -> None:
    """`state` and `q` keep what they say, in any case of letters."""
    assert {row["state"] for row in get("/api/v1/models?state=silent").json["items"]} == {"silent"}
    assert [row["model"] for row in get("/api/v1/models?q=SCRIPT").json["items"]] == ["<script>alert(1)</script>"]
    assert get("/api/v1/models?q=absent").json["items"] == []
    assert len(get("/api/v1/models").json["items"]) == len(desk.published.fleet.names)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/api/v1/models?limit=0", "limit"),
        ("/api/v1/models?limit=1001", "limit"),
        ("/api/v1/models?limit=ten", "limit"),
        ("/api/v1/models?limit=-1", "limit"),
        ("/api/v1/models?limit=", "limit"),
        ("/api/v1/models?limit=%D9%A1", "limit"),
        ("/api/v1/models?limit=5&limit=6", "limit"),
        ("/api/v1/models?state=asleep", "state"),
        ("/api/v1/models?sort=colour", "sort"),
        ("/api/v1/models?cursor=zzz", "cursor"),
        ("/api/v1/models?cursor=%F0%9F%99%82", "cursor"),
        ("/api/v1/incidents?state=open", "state"),
        ("/api/v1/incidents?cursor=W10", "cursor"),
        ("/metrics/models?shard=2&shards=2", "shard"),
        ("/metrics/models?shards=0", "shards"),
        ("/metrics/models?model=" + "a" * 300, "model"),
        ("/?state=asleep", "state"),
    ],
)
def test_a_bad_parameter_is_named(get: Any, path: str, parameter: str) -> None:
    """400, and the message says which parameter it is."""
    answer = get(path)
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_parameter")
    assert f"parameter {parameter} " in answer.json["error"]["message"]


def test_a_cursor_of_another_order_is_refused(get: Any) -> None:
    """A cursor belongs to the list it came from."""
    cursor = get("/api/v1/models?limit=1&sort=-events").json["next_cursor"]
    assert get(f"/api/v1/models?sort=events&cursor={cursor}").status == 400
    assert get(f"/api/v1/incidents?cursor={cursor}").status == 400


def test_every_model_has_an_address(get: Any, desk: FakeDesk) -> None:
    """Names with slashes, quotes, newlines and any letters are reached when percent-encoded."""
    for name in desk.published.fleet.names:
        answer = get(f"/api/v1/models/{quote(name, safe='')}")
        assert (answer.status, answer.json["model"]) == (200, name)
    assert get("/api/v1/models/a/b/c").json["model"] == "a/b/c"
    assert get("/api/v1/models/absent").status == 404


def test_a_busy_loop_says_come_back(get: Any, desk: FakeDesk) -> None:
    """Where the loop does not answer in time, the client is told when to try again."""
    desk.busy = True
    answer = get("/api/v1/models/%2F")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_incidents_come_by_harm_and_page(get: Any, desk: FakeDesk) -> None:
    """The pages together are all incidents: open ones by harm, then the newest resolved ones, ties by id."""
    made = [made_incident(i, "m", fired_time=NOW - i // 3) for i in range(50)]
    desk.change(incidents=made[::-1])
    incidents = sorted(made, key=lambda incident: (place_in_list(incident), incident.id))
    assert [i.state for i in incidents] == sorted(i.state for i in incidents)
    rows = pages(get, "/api/v1/incidents", limit=7)
    assert [row["id"] for row in rows] == [incident.id for incident in incidents]
    firing = pages(get, "/api/v1/incidents", limit=7, state="firing")
    assert [row["id"] for row in firing] == [incident.id for incident in incidents if incident.state == "firing"]


def test_an_incident_is_its_document(get: Any, desk: FakeDesk) -> None:
    """One incident by its id is the item of the list; unknown is null and times end in Z."""
    document = get("/api/v1/incidents/i-0001").json
    assert document in get("/api/v1/incidents").json["items"]
    assert document == incident_document(desk.published.incidents[1])
    assert document["fired_time"] == "2026-03-01T09:29:59.250Z"
    assert document["onset_time"] is document["cost"] is document["output"] is None
    assert document["cells"][0]["evidence_log10"] is None


def test_large_answers_are_compressed_for_those_who_accept_it(get: Any, desk: FakeDesk) -> None:
    """Gzip where it is accepted and pays; the bytes within are the same."""
    desk.published = made_status(NAMES)
    plain, packed = get("/api/v1/models"), get("/api/v1/models", Accept_Encoding="br, gzip;q=0.8")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in get("/api/v1/models", Accept_Encoding="gzip;q=0").headers
    assert "content-encoding" not in get("/livez", Accept_Encoding="gzip").headers


def test_columns_and_rows_are_the_same_models(get: Any, desk: FakeDesk) -> None:
    """Row by row, a list says what the columns say."""
    fleet = desk.published.fleet
    for i, row in enumerate(get("/api/v1/models").json["items"]):
        assert (row["model"], row["team"], row["events"]) == (fleet.names[i], fleet.teams[i], int(fleet.events[i]))
        assert row["state"] == MODEL_STATES[fleet.state[i]]
        assert (row["drift_ratio"] is None) == bool(np.isnan(fleet.drift_ratio[i]))
