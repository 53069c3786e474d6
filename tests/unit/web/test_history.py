"""The past of a model over the wire: which range, to whom, and how many at a time."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from fakes.desk import DOCKET, FakeDesk, made_incident, past

from monitor.status import History
from monitor.web import past as web_past

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATH = "/api/v1/models/a%2Fb%2Fc/history"
HISTORY_PAGE = "/models/a%2Fb%2Fc/history"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_range_that_is_asked_for(get: Any) -> None:
    """A day, a time without a zone (UTC) and one with a zone are understood; without any it is the last week."""
    told = get(f"{PATH}?since=2026-02-01&until=2026-02-03T12:30").json
    assert (told["from"], told["until"]) == ("2026-02-01T00:00:00.000Z", "2026-02-03T12:30:00.000Z")
    told = get(f"{PATH}?since=2026-02-01T01:00:00%2B01:00&until=2026-02-02").json
    assert told["from"] == "2026-02-01T00:00:00.000Z"
    told = get(PATH).json
    assert told["until"][17:] == "00.000Z"
    assert told["from"][11:] == told["until"][11:]


@pytest.mark.parametrize(
    "query",
    [
        *("since=soon", "since=2026-02-02&until=2026-02-01", "since=2026-02-01&until=2026-02-01"),
        *("since=0001-01-01", "since=1990-01-01&until=2026-01-01", "since=2026-02-01&since=2026-02-02"),
    ],
)
def test_what_is_no_range_is_refused(get: Any, query: str) -> None:
    """With the name of the parameter, in the API and on the page."""
    answer = get(f"{PATH}?{query}")
    assert (answer.status, answer.json["error"]["code"]) == (400, "bad_parameter")
    assert get(f"{HISTORY_PAGE}?{query}", Accept="text/html").status == 400


def test_groups_are_for_who_may_know_of_them(serve: Callable[..., Any], tmp_path: Path) -> None:
    """Without the scope there is neither rate, customary figure nor incident of a group, and it says so."""
    tokens = tmp_path / "tokens"
    tokens.write_text("plain status\nall status,fairness\n")
    get = serve(token_file=str(tokens))
    told = get(PATH, **bearer("plain")).json
    assert (told["associations"], [each["attribute"] for each in told["incidents"]]) == ([], [None])
    assert told["withheld"]
    page = get(HISTORY_PAGE, **bearer("plain")).body.decode()
    assert "g-00112233" not in page
    assert "scope fairness" in page
    told = get(PATH, **bearer("all")).json
    assert "withheld" not in told
    assert len(told["associations"]) == 1
    assert len(told["incidents"]) == 2
    assert "g-00112233" in get(HISTORY_PAGE, **bearer("all")).body.decode()


def test_of_another_team_nothing(serve: Callable[..., Any], tmp_path: Path) -> None:
    """A token of a team reads the past of its own models, and is told that there are no others."""
    tokens = tmp_path / "tokens"
    tokens.write_text("own status,fairness team=risk\nother status team=fraud\n")
    get = serve(token_file=str(tokens))
    answers = {name: get(PATH, **bearer(name)).status for name in ("own", "other")}
    assert sorted(answers.values()) in ([200, 404], [404, 404])
    assert answers["other"] == 404


def test_few_are_read_at_a_time(get: Any, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be one too many is told to come again, and the others are answered."""
    monkeypatch.setattr(web_past, "_WAIT_SECONDS", 0.05)
    reading, go_on, busy = Event(), Event(), []

    def read(since: float, until: float) -> History:
        busy.append(since)
        if len(busy) >= web_past.AT_ONCE:
            reading.set()
        assert go_on.wait(10)
        return past("a/b/c", since, until)

    monkeypatch.setattr(desk, "history", lambda _model, _segment: read)
    answers: list[int] = []
    threads = [Thread(target=lambda: answers.append(get(PATH).status)) for _ in range(web_past.AT_ONCE)]
    for thread in threads:
        thread.start()
    assert reading.wait(10)
    refused = get(PATH)
    go_on.set()
    for thread in threads:
        thread.join()
    assert (refused.status, refused.json["error"]["code"], refused.headers["retry-after"]) == (503, "busy", "5")
    assert answers == [200] * web_past.AT_ONCE


def test_evidence_over_time_on_the_page_of_the_model(get: Any) -> None:
    """Where it is asked for it stands beside each feature, as a picture and in words; else only the ways to it do."""
    page = get("/models/a%2Fb%2Fc", Accept="text/html").body.decode()
    assert "?evidence=24#features" in page
    assert "what an alarm takes" not in page
    page = get("/models/a%2Fb%2Fc?evidence=24", Accept="text/html").body.decode()
    assert "42 % of what an alarm takes" in page
    assert "enough for an alarm at " in page
    assert "as if judging had begun then" in page


def test_a_segment_by_which_it_is_split(get: Any) -> None:
    """It has a past of its own, which the page links to; one that there is not is not found."""
    assert "segment=country%3D%3CSE%3E" in get(HISTORY_PAGE, Accept="text/html").body.decode()
    assert get(f"{PATH}?segment=country%3D%3CSE%3E").status == 200
    assert get(f"{PATH}?segment=country%3DNO").status == 404


@pytest.mark.parametrize("hours", ["x", "0", "169", "nan", "inf"])
def test_hours_that_are_none(get: Any, hours: str) -> None:
    """What is no number of hours within a week is refused."""
    assert get(f"/models/a%2Fb%2Fc?evidence={hours}", Accept="text/html").status == 400


def test_the_page_has_what_the_api_has(get: Any) -> None:
    """Names, figures, intervals, incidents and the way to a report stand on it, escaped."""
    page = get(f"{HISTORY_PAGE}?since=2026-02-01&until=2026-03-01").body.decode()
    for words in (
        *("income &lt;b&gt;", "drift: share gap 0.31, tolerated 0.1", "surely beyond the tolerance in 2 of 3 steps"),
        *("0.04 to 0.066", "impact ratio 0.405, tolerated 0.8", "2 groups are too small", "900 cases", "&lt;i&gt;"),
        *("--since 2026-02-01T00:00:00.000Z", "a group of people: not shown by range", "The reference is today"),
    ):
        assert words in page, words
    assert made_incident(3, "m").id in page


def test_what_judged_an_incident(get: Any, desk: FakeDesk) -> None:
    """Its policy and reference as they were stand on its page and in the API, escaped; what is gone is left out."""
    page = get("/incidents/i-0000").body.decode()
    for words in ("The policy that judged it", "favourable = [&quot;&lt;yes&gt;&quot;]", "income &lt;b&gt;", "0" * 64):
        assert words in page, words
    policy, reference = (get(f"/api/v1/exhibits/{digit * 64}").json for digit in "01")
    assert (policy["kind"], policy["text"]) == ("policy", 'favourable = ["<yes>"]\n')
    assert (reference["events"], [each["values"] for each in reference["series"]]) == (1000, [1000])
    assert "categories" not in reference["series"][0]
    desk.exhibits["1" * 64] = b"MWREF1 cut off"
    assert get(f"/api/v1/exhibits/{'1' * 64}").status == 404
    page = get("/incidents/i-0000").body.decode()
    assert "The policy that judged it" in page
    assert "The reference that judged it" not in page
    desk.exhibits.clear()
    assert get(f"/api/v1/exhibits/{'0' * 64}").status == 404
    assert "What judged it" in get("/incidents/i-0000").body.decode()


def test_a_capsule_over_the_api_speaks_of_no_group(get: Any, desk: FakeDesk) -> None:
    """It is the docket as it was kept, line by line; of a group, without a docket or of a damaged one there is none."""
    told = get("/api/v1/incidents/i-0000/capsule").json
    assert (told["docket"], told["policy"], told["entry"]) == (
        DOCKET.decode().split("\n"),
        'favourable = ["<yes>"]\n',
        None,
    )
    assert told["chain"][-1] == told["incident"]["docket_digest"]
    changed = [made_incident(0, "m", attribute="sex"), made_incident(1, "m", docket_digest="")]
    desk.change(incidents=[*changed, made_incident(2, "m")])
    answers = [get(f"/api/v1/incidents/i-000{number}/capsule") for number in range(2)]
    assert [answer.status for answer in answers] == [409, 409]
    assert "--of-groups" in answers[0].json["error"]["message"]
    desk.exhibits.clear()
    assert get("/api/v1/incidents/i-0002/capsule").status == 409


def test_exhibits_are_for_who_sees_the_incident(serve: Callable[..., Any], desk: FakeDesk, tmp_path: Path) -> None:
    """What only incidents of groups name is not for who may not know of groups."""
    tokens = tmp_path / "tokens"
    tokens.write_text("plain status\nall status,fairness\n")
    desk.change(incidents=[made_incident(1, "a", kind="fairness", attribute="sex", group="g-00112233")])
    get = serve(token_file=str(tokens))
    path = f"/api/v1/exhibits/{'0' * 64}"
    assert (get(path, **bearer("plain")).status, get(path, **bearer("all")).status) == (404, 200)
