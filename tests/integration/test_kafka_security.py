"""Does the daemon reach a Kafka that is locked, with just the rights that the manual asks for, and keep its secrets?"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AclOperation, ResourceType
from servers.certificates import Certificates
from servers.daemon import Daemon, modelwatch
from servers.lenders import MODELS, began_at, config, traffic
from servers.process import free_ports
from servers.secure_kafka import PASSWORD, USER, SecureKafka

from monitor.clock import SystemClock
from monitor.ingest.kafka import KafkaSource
from monitor.ingest.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.servers

API_TOKEN, ALERT_TOKEN = "api-token-92817", "alert-token-55120"
EVENTS = 200


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("locked"), certificates) as server:
        yield server


def source(kafka: SecureKafka, protocol: str, topic: str, more: dict[str, Any]) -> KafkaSource:
    settings = KafkaSettings(
        bootstrap_servers=kafka.at[protocol],
        topics=({"name": topic},),
        librdkafka={"security.protocol": protocol, **more},
    )
    return KafkaSource(settings, {}, SystemClock(), refresh_seconds=0.3)


def read(reading: KafkaSource, n: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    for _ in range(600):
        found += reading.poll(100, 0.1).values
        if len(found) >= n:
            break
    return found


def test_mutual_tls(locked: SecureKafka, certificates: Certificates) -> None:
    """With a certificate of its own that the broker trusts, a source reads; without one it says what is wrong."""
    topic = locked.new_topic()
    locked.produce(topic, [(0, b"a"), (0, b"b")])
    files = certificates.ca.parent
    ours = {"ssl.certificate.location": str(files / "client.crt"), "ssl.key.location": str(files / "client.key")}
    trust = {"ssl.ca.location": str(certificates.ca)}
    with closing(source(locked, "SSL", topic, trust | ours)) as reading:
        assert read(reading, 2) == [b"a", b"b"]
    with closing(source(locked, "SSL", topic, ours)) as untrusting:
        assert until_degraded(untrusting, "certificate verify failed")
    with closing(source(locked, "SSL", topic, trust)) as nobody:
        assert until_degraded(nobody, "")


def test_a_password(locked: SecureKafka) -> None:
    """With a user and a password a source reads what that user may; a wrong password is told as such."""
    topic = locked.new_topic()
    locked.produce(topic, [(0, b"a")])
    locked.allow([(ResourceType.TOPIC, topic, AclOperation.READ), (ResourceType.TOPIC, topic, AclOperation.DESCRIBE)])
    who = {"sasl.mechanism": "PLAIN", "sasl.username": USER}
    with closing(source(locked, "SASL_PLAINTEXT", topic, who | {"sasl.password": PASSWORD})) as reading:
        assert read(reading, 1) == [b"a"]
    with closing(source(locked, "SASL_PLAINTEXT", topic, who | {"sasl.password": "wrong"})) as refused:
        assert until_degraded(refused, "uthentication")


def until_degraded(reading: KafkaSource, words: str) -> bool:
    for _ in range(300):
        reading.poll(1, 0.1)
        if reading.check().status == "degraded" and words in reading.check().detail:
            return PASSWORD not in reading.check().detail
    raise AssertionError(reading.check())


@pytest.fixture
def daemon(locked: SecureKafka, certificates: Certificates, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon over TLS and SCRAM, with a dead-letter topic, an Alertmanager that is not there, and tokens."""
    topic, letters = locked.new_topic(), locked.new_topic()
    references = tmp_path / "references"
    references.mkdir()
    for name, secret in {"password": PASSWORD, "alert-token": ALERT_TOKEN}.items():
        (tmp_path / name).write_text(f"{secret}\n")
    (tmp_path / "tokens").write_text(f"{API_TOKEN} status,fairness,write\n")
    rights = [
        *((ResourceType.TOPIC, topic, each) for each in (AclOperation.READ, AclOperation.DESCRIBE)),
        *((ResourceType.GROUP, f"watch-{topic}", each) for each in (AclOperation.READ, AclOperation.DESCRIBE)),
        *((ResourceType.GROUP, f"watch-{topic}.members", each) for each in (AclOperation.READ, AclOperation.DESCRIBE)),
        (ResourceType.TOPIC, letters, AclOperation.WRITE),
    ]
    locked.allow(rights)
    records = traffic(began_at(5.0), (0.0, 1.0)).records[:EVENTS]
    locked.produce(topic, [(0, value, at) for _, value, at in records])
    locked.produce(topic, [(0, b'{"broken')])
    (port,) = free_ports(1)
    text = config(locked, topic, references, letters=letters).replace(locked.bootstrap, locked.at["SASL_SSL"])
    others = _OTHERS.format(folder=tmp_path, ca=certificates.ca, user=USER, port=port)
    text = text.replace("[[models]]", f"{others}\n[[models]]", 1)
    with Daemon(tmp_path / "daemon", f'token_file = "{tmp_path}/tokens"\n{text}', probe="livez") as running:
        running.token = API_TOKEN
        yield running


_OTHERS = """
sasl_password_file = "{folder}/password"
[kafka.librdkafka]
"security.protocol" = "SASL_SSL"
"sasl.mechanism" = "SCRAM-SHA-512"
"sasl.username" = "{user}"
"ssl.ca.location" = "{ca}"
[alertmanager]
urls = ["http://127.0.0.1:{port}"]
bearer_token_file = "{folder}/alert-token"
"""


def test_no_more_rights_than_the_manual_says(daemon: Daemon, locked: SecureKafka) -> None:
    """Over TLS and SCRAM, with the rights of docs/security.md alone, it reads, commits and sends dead letters."""
    daemon.until(lambda: daemon.n_events() == EVENTS, 60.0)
    daemon.until(lambda: daemon.status()["checks"]["kafka"]["status"] == "ok", 60.0)
    group = next(word for word in daemon.config.read_text().split('"') if word.startswith("watch-"))
    daemon.until(lambda: EVENTS + 1 in locked.committed(group).values(), 60.0)
    letters = next(line.split('"')[1] for line in daemon.config.read_text().splitlines() if "dead_letter_topic" in line)
    daemon.until(lambda: locked.end_offset(letters, 0) == 1, 60.0)
    assert len(daemon.models()) == len(MODELS)


def test_secrets_stay_secret(daemon: Daemon) -> None:
    """No secret is in the log, on the pages, in the status, the metrics, the process list or what check-config says."""
    daemon.until(lambda: daemon.n_events() == EVENTS, 60.0)
    alertmanager = next(name for name in daemon.status()["checks"] if name.startswith("alertmanager"))
    daemon.until(lambda: daemon.status()["checks"][alertmanager]["status"] == "degraded", 60.0)
    shown = {path: daemon.get(path).text for path in ("/", "/api/v1/status", "/metrics", "/openapi.json")}
    shown["log"] = daemon.log.read_text()
    checked = modelwatch("check-config", daemon.config)
    assert checked.returncode == 0
    shown["check-config"] = checked.stdout + checked.stderr
    shown["arguments"] = Path(f"/proc/{daemon.pid}/cmdline").read_text()
    for secret in (PASSWORD, API_TOKEN, ALERT_TOKEN):
        assert [place for place, text in shown.items() if secret in text] == []
    assert json.loads(shown["/api/v1/status"])["checks"]["kafka"]["status"] == "ok"
    daemon.token = "not-" + API_TOKEN
    assert daemon.get("/api/v1/status").status == 401
