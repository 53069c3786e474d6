"""The fixtures that hand the real servers to tests; the broker is shared by a whole run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from servers.alertmanager import AlertmanagerServer
from servers.kafka import KafkaServer
from servers.lenders import write_references
from servers.prometheus import PrometheusServer
from servers.webhook import WebhookReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A running broker for the whole run: use topics of your own, and leave it running."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="module")
def module_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """The broker behind ``own_kafka``."""
    with KafkaServer(tmp_path_factory.mktemp("own-kafka")) as server:
        yield server


@pytest.fixture
def own_kafka(module_kafka: KafkaServer) -> KafkaServer:
    """A running broker for one file's tests, which may stop it, kill it and start it again."""
    if not module_kafka.running:
        module_kafka.start()
    return module_kafka


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the reference of each lender."""
    directory = tmp_path_factory.mktemp("lenders") / "references"
    write_references(directory)
    return directory


@pytest.fixture
def webhook() -> Iterator[WebhookReceiver]:
    """A receiver that keeps the JSON posted to it."""
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def start_alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], AlertmanagerServer]]:
    """A function from a configuration to a running Alertmanager, ended with the test."""
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), config))


@pytest.fixture
def start_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], PrometheusServer]]:
    """A function from a configuration to a running Prometheus, ended with the test."""
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(PrometheusServer(tmp_path_factory.mktemp("prometheus"), config))
