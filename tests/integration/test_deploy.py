"""What the tools of those who will run it say of what is shipped: promtool, systemd-analyze, kubectl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from servers.need import program

pytestmark = pytest.mark.servers

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KUBERNETES_VERSION = "1.32"
OPERATORS = {"PodMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which Kubernetes' own schemas do not know."""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=DEPLOY)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_configuration_and_rules() -> None:
    """The configuration of Prometheus and the rules in it are valid."""
    assert "SUCCESS: 14 rules found" in run(program("promtool"), "check", "config", "prometheus/prometheus.yml")


def test_rules_fire_when_they_should_and_only_then() -> None:
    """The rules' own tests pass: a healthy daemon is quiet, and each fault raises its alert with its words."""
    run(program("promtool"), "test", "rules", "prometheus/modelwatch.tests.yml")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """The unit is valid, and leaves the daemon little to harm."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "modelwatch.service"
    text = (DEPLOY / "systemd/modelwatch.service").read_text()
    unit.write_text(text.replace("/opt/modelwatch/bin/modelwatch", "/bin/true"))
    run(analyze, "verify", unit)
    run(analyze, "security", "--offline=yes", "--threshold=20", unit)


@pytest.mark.parametrize("directory", ["base", "overlays/example", "sidecar"])
def test_kubernetes_takes_the_objects(directory: str) -> None:
    """What kustomize makes of each directory fits the schemas of Kubernetes, without a field that it does not know."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not here")
    documents = list(yaml.safe_load_all(run(kubectl, "kustomize", KUBERNETES / directory)))
    assert len(documents) > 2
    for document in documents:
        if document["kind"] not in OPERATORS:
            validate.validate(document, KUBERNETES_VERSION, strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate({**documents[0], "unknown": 1}, KUBERNETES_VERSION, strict=True)


def test_the_overlay_says_its_own() -> None:
    """Namespace, image, configuration and token of the example stand in what is rendered."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not here")
    documents = list(yaml.safe_load_all(run(kubectl, "kustomize", KUBERNETES / "overlays/example")))
    assert {document["metadata"]["namespace"] for document in documents} == {"ml-monitoring"}
    (daemon,) = [document for document in documents if document["kind"] == "StatefulSet"]
    (config,) = [document for document in documents if document["kind"] == "ConfigMap"]
    pod = daemon["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "modelwatch:0.1.0"
    assert {volume["name"] for volume in pod["volumes"]} == {"config", "tmp", "http"}
    assert "token_file" in config["data"]["config.toml"]
    assert config["metadata"]["name"] in {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
