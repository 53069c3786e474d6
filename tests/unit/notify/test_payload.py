"""An incident as an alert."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.notify.stage import incident

from monitor.incidents.incident import Effect
from monitor.notify.payload import Alert, alert_of, clean, document, is_url, links

BASE = links("https://watch.example/mw/")
AT = 1_772_000_000.25


def test_every_annotation_of_the_contract() -> None:
    """An alert says everything that is known, with numbers rounded, and links to its page and its runbook."""
    alert = alert_of(incident(people_affected=412, cost=1234.5678), BASE)
    assert alert.annotations == {
        "summary": "A model input feature has drifted from its reference.",
        "description": "Feature income of credit 7 has drifted.",
        "effect": "psi 0.312, tolerance 0.25",
        "evidence": "10^6.3",
        "onset": "2026-02-25T06:03:20.000Z",
        "people_affected": "412",
        "cost": "1234.57",
        "runbook_url": "https://watch.example/mw/runbooks/ModelFeatureDrift",
    }
    assert alert.generator_url == "https://watch.example/mw/incidents/i-credit"


def test_unknown_is_left_out() -> None:
    """What is not known is no annotation."""
    alert = alert_of(incident(onset_time=None), BASE)
    assert not {"onset", "people_affected", "cost", "models"} & alert.annotations.keys()


@pytest.mark.parametrize(
    "url", ["", "watch.example", "ftp://watch.example", "http://", "http://a b", "http://x:99999", "http://ü.example"]
)
def test_no_links_without_a_valid_url(url: str) -> None:
    """A URL that Alertmanager could refuse gives no link, since it would refuse the whole post with it."""
    alert = alert_of(incident(), links(url))
    assert alert.generator_url == ""
    assert "runbook_url" not in alert.annotations
    assert "generatorURL" not in document(alert, {}, AT)


def test_hostile_incident_ids_are_quoted() -> None:
    """An id never leaves its place in the path."""
    assert alert_of(incident(id="a/../b?c#d e"), BASE).generator_url.endswith("/incidents/a%2F..%2Fb%3Fc%23d%20e")


def test_own_runbooks() -> None:
    """Runbooks may live elsewhere, also without a page of our own."""
    alert = alert_of(incident(), links("", "https://wiki.example/run/"))
    assert alert.annotations["runbook_url"] == "https://wiki.example/run/ModelFeatureDrift"


def test_labels_that_alertmanager_would_refuse_or_drop() -> None:
    """A bad name or an empty value is left out of the identity."""
    labels = {"alertname": "A", "team": "", "model-id": "x", "9": "x", "ok_1": "y", "ü": "z", "line\n": "v"}
    assert alert_of(incident(labels=labels), BASE).labels == {"alertname": "A", "ok_1": "y"}


def test_external_labels_never_override() -> None:
    """A label of the alert's own wins over an external one."""
    item = document(Alert({"team": "risk"}, {}), {"team": "ops", "env": "prod"}, AT)
    assert item["labels"] == {"team": "risk", "env": "prod"}


def test_times_have_milliseconds_and_a_z() -> None:
    """Times are RFC 3339 in UTC, which leaves nothing to guess."""
    item = document(Alert({"a": "b"}, {}), {}, AT, AT + 240)
    assert item["startsAt"] == "2026-02-25T06:13:20.250Z"
    assert item["endsAt"] == "2026-02-25T06:17:20.250Z"


def test_a_shared_cause_names_its_models() -> None:
    """A long list of models is cut, and says so."""
    models = tuple(f"m{i}" for i in range(25))
    assert alert_of(incident(models=models), BASE).annotations["models"].endswith("m18, m19 and 5 more")


def test_effects_that_are_no_numbers() -> None:
    """NaN and infinity are text like any other and stay valid JSON."""
    alert = alert_of(incident(effect=Effect("ratio", float("nan"), float("inf"))), BASE)
    assert alert.annotations["effect"] == "ratio nan, tolerance inf"
    json.loads(json.dumps(document(alert, {}, AT), allow_nan=False))


@given(st.dictionaries(st.text(), st.text()))
def test_any_labels_make_a_valid_post(labels: dict[str, str]) -> None:
    """Whatever the labels are, lone surrogates too, names are valid, values are not empty, and the body is UTF-8."""
    body = json.dumps([document(Alert(clean(labels), {}), {}, AT)]).encode()
    for name, value in json.loads(body)[0]["labels"].items():
        assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name)
        assert value


@given(st.text())
def test_is_url_is_total(text: str) -> None:
    """Any text is a URL or is not."""
    assert is_url(text) in (True, False)
