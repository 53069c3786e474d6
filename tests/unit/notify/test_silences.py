"""Does a silence acknowledge exactly the incidents whose alerts it matches, and only as long as it stands?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.notify.stage import BEGAN, incident

from monitor.errors import NotifyError
from monitor.incidents.incident import Acknowledged
from monitor.notify.facts import Fact
from monitor.notify.settings import AlertmanagerSettings
from monitor.notify.silences import Silence, SilenceWatch, orders, read_silences


def matcher(name: str, value: str, **rest: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": False, "isEqual": True, **rest}


def said(*matchers: dict[str, Any], identity: str = "s-1", state: str = "active") -> bytes:
    one = {
        "id": identity,
        "matchers": list(matchers),
        "startsAt": "2026-02-25T06:13:20Z",
        "endsAt": "2026-02-26T06:13:20.000Z",
        "updatedAt": "2026-02-25T06:13:20Z",
        "createdBy": "ada",
        "comment": "retraining",
        "status": {"state": state},
    }
    return json.dumps([one]).encode()


def silence(*matchers: dict[str, Any]) -> Silence:
    [one] = read_silences(said(*matchers))
    return one


@pytest.mark.parametrize(
    ("matchers", "matches"),
    [
        ([matcher("model", "credit")], True),
        ([matcher("model", "credit"), matcher("feature", "age")], False),
        ([matcher("model", "cred", isRegex=True)], False),
        ([matcher("model", "cred.*|eta", isRegex=True)], True),
        ([matcher("model", "eta", isEqual=False)], True),
        ([matcher("model", "e.*", isRegex=True, isEqual=False)], True),
        ([matcher("team", "")], True),
        ([matcher("env", "prod")], True),
        ([matcher("model", "(", isRegex=True)], False),
        ([matcher("model", "(", isRegex=True, isEqual=False)], False),
    ],
)
def test_matching_is_alertmanagers(matchers: list[dict[str, Any]], matches: bool) -> None:
    """Equal, unequal, regex of the whole value, a label that is not there is empty; external labels count."""
    one = silence(*matchers)
    assert bool(orders([one], [incident()], {"env": "prod"}, BEGAN)) is matches


def test_acknowledged_until_it_ends() -> None:
    """The order names who silenced, why, until when and by which silence; said once it is not said again."""
    one = silence(matcher("model", "credit"))
    [order] = orders([one], [incident(), incident("eta")], {}, BEGAN)
    assert (order.verb, order.subject, order.by, order.reason, order.note) == (
        *("ack", "i-credit", "ada", "silenced"),
        "retraining",
    )
    assert (order.until, order.silence) == (one.ends_at, "s-1")
    known = Acknowledged("ada", "silenced", "retraining", BEGAN, one.ends_at, "s-1")
    assert orders([one], [incident(acknowledged=known)], {}, BEGAN) == []
    [back] = orders([], [incident(acknowledged=known)], {}, BEGAN)
    assert back.verb == "unack"
    assert orders([one], [incident()], {}, one.ends_at + 1) == []


def test_what_people_said_stands() -> None:
    """An incident that was acknowledged by hand is not touched by silences, nor by their end."""
    known = Acknowledged("bob", "expected", "", BEGAN, BEGAN + 60)
    for silences in ([silence(matcher("model", "credit"))], []):
        assert orders(silences, [incident(acknowledged=known)], {}, BEGAN) == []


def test_only_active_ones() -> None:
    """Expired and pending silences keep nothing quiet; what is no list of silences is an error."""
    assert read_silences(said(matcher("a", "b"), state="expired")) == ()
    assert read_silences(said(state="active")) == (), "a silence of everything by no matcher does not exist"
    for body in (b"", b"{}", b'[{"id": 1}]'):
        with pytest.raises(NotifyError):
            read_silences(body)


class FakeReader:
    def __init__(self) -> None:
        self.body: bytes | None = said(matcher("model", "credit"))

    def get(self, path: str, timeout_seconds: float) -> bytes:
        assert path == "/api/v2/silences"
        if self.body is None:
            raise NotifyError("one:9093: no reply in time")
        return self.body

    def close(self) -> None:
        pass


def test_what_was_said_stays_while_it_is_away() -> None:
    """While an Alertmanager does not answer, its last silences stand, and the failure is told once."""
    facts: list[Fact] = []
    reader = FakeReader()
    settings = AlertmanagerSettings(urls=("http://one:9093",))
    watch = SilenceWatch(settings, facts.append, lambda _url, _settings: reader)
    assert watch.active() == ()
    watch.read()
    assert [one.id for one in watch.active()] == ["s-1"]
    reader.body = None
    watch.read()
    watch.read()
    assert [one.id for one in watch.active()] == ["s-1"]
    assert [fact.kind for fact in facts] == ["silences_unread"]
    reader.body = b"[]"
    watch.read()
    assert watch.active() == ()
