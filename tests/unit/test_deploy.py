"""Does what is shipped for deployment agree with the program, and with itself? What needs no other program to tell."""

from __future__ import annotations

import configparser
import importlib.util
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from monitor.config import load
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.notify.payload import SUPPRESSED, TEST, WATCHDOG
from monitor.telemetry.metrics import ALERTNAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CATALOGUE = (ROOT / "docs/metrics.md").read_text()
MANUAL = (ROOT / "docs/operations.md").read_text()
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
CONFIGS = [DEPLOY / "compose/modelwatch.toml", *sorted(KUBERNETES.rglob("config.toml"))]
RULES = yaml.safe_load((DEPLOY / "prometheus/modelwatch.rules.yml").read_text())


def exported() -> dict[str, set[str]]:
    """Every metric of the manual, which another test holds equal to the program, with its labels."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", CATALOGUE, re.MULTILINE)
    names = {}
    for name, kind, labels in rows:
        own = {*re.findall(r"`(\w+)`", labels), "instance", "job"}
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            names[name + suffix] = own | ({"le"} if suffix == "_bucket" else set())
    return names


def unknown(expression: str, recorded: frozenset[str] = frozenset()) -> set[str]:
    """Metrics and labels of a PromQL expression that no one exports."""
    known = exported()
    bare = re.sub(r'"[^"]*"', '""', expression)
    metrics = set(re.findall(r"\b(?:modelwatch|process|python)_\w+|\b\w+:[\w:]+|\bup\b", bare))
    missing = {name for name in metrics if name not in known and name != "up" and name not in recorded}
    labels = set().union(*(known.get(name, {"instance", "job"}) for name in metrics))
    grouped = re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", bare)
    used = {label.strip() for group in grouped for label in group.split(",")}
    used |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"\"", bare))
    return missing | (used - labels)


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def pods() -> list[dict[str, Any]]:
    found = [*documents(KUBERNETES / "base/statefulset.yaml"), *documents(KUBERNETES / "sidecar/deployment.yaml")]
    return [document["spec"]["template"]["spec"] for document in found if "template" in document["spec"]]


def ours(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = [
        each for each in [*pod.get("initContainers", ()), *pod["containers"]] if each["image"] == "modelwatch"
    ]
    return container


def test_the_check_of_expressions_finds_what_is_wrong() -> None:
    """A metric or a label that nobody exports is found, and what is exported is not."""
    assert unknown('sum by (state) (modelwatch_models{instance=~"a"})') == set()
    assert unknown("modelwatch_modles") == {"modelwatch_modles"}
    assert unknown('sum by (topic) (modelwatch_models{colour="red"})') == {"topic", "colour"}
    assert unknown("rate(modelwatch_event_delay_seconds_bucket[5m])") == set()
    assert unknown("rate(modelwatch_event_delay_seconds[5m])") == {"modelwatch_event_delay_seconds"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_expression_of_a_dashboard_names_what_is_exported(path: Path) -> None:
    """Each panel asks for metrics and labels that the daemon has, from a data source that the reader chooses."""
    dashboard = json.loads(path.read_text())
    recorded = frozenset(rule["record"] for rule in rules() if "record" in rule)
    for panel in panels(dashboard):
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert unknown(target["expr"], recorded) == set(), (panel["title"], target["expr"])
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert legend <= set(re.findall(r"\w+", CATALOGUE)) | {"instance"}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            assert unknown(variable["definition"].replace("label_values", "").split(",")[0]) == set()


def test_dashboards_can_be_imported_side_by_side() -> None:
    """Ids are left to Grafana, uids are fixed, distinct and short enough, and no two panels lie on one another."""
    dashboards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({dashboard["uid"] for dashboard in dashboards}) == len(DASHBOARDS) > 2
    for path, dashboard in zip(DASHBOARDS, dashboards, strict=True):
        assert (dashboard["id"], dashboard["uid"]) == (None, path.stem)
        assert len(dashboard["uid"]) <= 40
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
            assert at["x"] + at["w"] <= 24
            assert not taken & cells, panel["title"]
            taken |= cells


def test_dashboards_use_what_matters() -> None:
    """No metric of the fleet, and none of the daemon's own trade, is without a panel."""
    asked = " ".join(
        target["expr"] for path in DASHBOARDS for p in panels(json.loads(path.read_text())) for target in p["targets"]
    )
    aside = {"unknown_fields", "dead_letters_dropped", "model_series_dropped", "last_reload_success_timestamp"}
    aside |= {"dedupe_false_positive_ratio"}
    names = set(re.findall(r"^\| `(modelwatch_\w+)`", CATALOGUE, re.MULTILINE))
    forgotten = {name for name in names if name not in asked and not any(word in name for word in aside)}
    assert forgotten == set()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_rule_names_what_is_exported(rule: dict[str, Any]) -> None:
    """Each rule asks for metrics and labels that the daemon has; an alert says what to do, and is not one of ours."""
    assert unknown(rule["expr"]) == set()
    if "alert" not in rule:
        return
    assert re.fullmatch(r"Modelwatch[A-Z]\w+", rule["alert"])
    assert rule["alert"] not in {*ALERTNAMES, SUPPRESSED, TEST, WATCHDOG}
    assert rule["labels"]["service"] == "modelwatch"
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.fullmatch(r"[^{}]*\.", rule["annotations"]["summary"])
    headings = {
        "#" + re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", MANUAL, re.MULTILINE)
    }
    assert rule["annotations"]["runbook"] in headings


def test_every_alert_is_tested() -> None:
    """The tests for promtool name each alert of the rules."""
    text = (DEPLOY / "prometheus/modelwatch.tests.yml").read_text()
    assert [rule["alert"] for rule in rules() if "alert" in rule and rule["alert"] not in text] == []


def test_the_operators_rules_are_the_same() -> None:
    """The object of the Prometheus operator holds the rule file."""
    (document,) = documents(KUBERNETES / "overlays/example/prometheusrule.yaml")
    assert document["spec"] == RULES


def test_routing_knows_every_name_it_speaks_of() -> None:
    """Alerts that the routes and inhibitions of Alertmanager name are sent by someone."""
    text = (DEPLOY / "alertmanager/modelwatch.yml").read_text()
    named = set()
    for pattern in re.findall(r'alertname=~?"([^"]+)"', text):
        whole = re.sub(r"Model\(([^)]*)\)", lambda m: "|".join(f"Model{n}" for n in m[1].split("|")), pattern)
        named |= set(whole.split("|"))
    sent = {*ALERTNAMES, SUPPRESSED, TEST, WATCHDOG, *(rule.get("alert") for rule in rules())}
    assert named - sent == set()
    assert WATCHDOG in named


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.parent.relative_to(DEPLOY)))
def test_shipped_configurations_load(path: Path) -> None:
    """Each configuration is without a fault, listens where the probes ask, and is heard by an Alertmanager."""
    config = load(path, {})
    assert config.require_kafka().topics
    assert config.http.address == ("", 9899) or config.http.address == ("0.0.0.0", 9899)
    assert config.alertmanager.urls


def test_pods_run_as_nobody_on_a_root_that_cannot_be_written() -> None:
    """The container of each pod is without rights, and writes to its volumes alone."""
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["terminationGracePeriodSeconds"] >= 45
        container = ours(pod)
        security = container["securityContext"]
        assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"memory"} <= container["resources"]["limits"].keys()
        mounted = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert mounted["/var/lib/modelwatch"].get("readOnly") is None
        assert mounted["/etc/modelwatch"]["readOnly"] is True


def test_probes_ask_what_is_answered() -> None:
    """Each probe has a path of the manual, on the port that the configuration listens on."""
    paths = set(re.findall(r"`(/[a-z-]+)`", MANUAL))
    for pod in pods():
        container = ours(pod)
        (port,) = container["ports"]
        assert port["containerPort"] == 9899
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            if name in container:
                request = container[name]["httpGet"]
                assert request["path"] in paths
                assert request["port"] == port["name"]
        assert container["startupProbe"]["httpGet"]["path"] == "/livez"


def test_selectors_select_the_daemon() -> None:
    """Service, disruption budget, network policy and pod monitor mean the pods that the stateful set makes."""
    (daemon,) = documents(KUBERNETES / "base/statefulset.yaml")
    labels = daemon["spec"]["template"]["metadata"]["labels"]
    (service,) = documents(KUBERNETES / "base/service.yaml")
    (budget,) = documents(KUBERNETES / "base/poddisruptionbudget.yaml")
    (policy,) = documents(KUBERNETES / "base/networkpolicy.yaml")
    (monitor,) = documents(KUBERNETES / "overlays/example/podmonitor.yaml")
    assert service["metadata"]["name"] == daemon["spec"]["serviceName"]
    assert service["spec"]["selector"] == labels
    for spec in (budget["spec"]["selector"], policy["spec"]["podSelector"], monitor["spec"]["selector"]):
        assert spec == {"matchLabels": labels}
    ports = {port["name"] for port in ours(daemon["spec"]["template"]["spec"])["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports


def test_the_image_is_small_and_its_user_is_nobody() -> None:
    """The image has a build stage of its own, locked dependencies, a user by number, and runs what compose runs."""
    text = (DEPLOY / "Dockerfile").read_text()
    final = text.rsplit("\nFROM ", 1)[1]
    assert "pip" not in final
    assert text.count("--require-hashes") == 3
    assert re.search(r"^USER 65532:65532$", final, re.MULTILINE)
    assert '"run", "--config", "/etc/modelwatch/config.toml"' in final
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    assert all((ROOT / name).exists() for names in copied for name in names.split())
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text()
    assert all(f"!{name}" in ignored for names in copied for name in names.split())


def test_compose_is_whole_and_closed() -> None:
    """Every file and service that is named exists, all that runs is hardened, and no port leaves the machine."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert {"kafka", "modelwatch", "producer", "prometheus", "alertmanager", "grafana"} == services.keys()
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert service["depends_on"].keys() <= services.keys() if isinstance(service.get("depends_on"), dict) else True
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"], volume
        if name != "kafka":
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    hosts = {url.split("//")[1].split(":")[0] for url in load(CONFIGS[0], {}).alertmanager.urls}
    assert hosts <= services.keys()


def test_the_producer_writes_events_that_are_read() -> None:
    """What the demo's producer sends decodes, its times run on from where it began."""
    spec = importlib.util.spec_from_file_location("producer", DEPLOY / "compose/producer.py")
    assert spec is not None
    assert spec.loader is not None
    producer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(producer)
    sent = list(itertools.islice(producer.events(1.78e9), 500))
    batch = NativeDecoder(DecodeLimits()).decode([value for _, _, value in sent], np.full(len(sent), np.nan))
    assert len(batch) == len(sent)
    assert [batch.string(batch.model, i) for i in range(len(sent))] == [model for _, model, _ in sent]
    assert batch.time.tolist() == [when for when, _, _ in sent] == sorted(batch.time.tolist())
    assert sent[0][0] >= 1.78e9


def test_the_unit_is_watched_and_ends_as_the_manual_says() -> None:
    """The service manager restarts what fails, but not a bad configuration, and ends a loop that hangs."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "systemd/modelwatch.service")
    service = unit["Service"]
    assert (service["Type"], service["NotifyAccess"], service["WatchdogSec"]) == ("notify", "main", "60")
    assert service["RestartPreventExitStatus"] == "2 78"
    assert (service["DynamicUser"], service["ProtectSystem"]) == ("yes", "strict")
    assert int(service["TimeoutStopSec"]) >= 45
