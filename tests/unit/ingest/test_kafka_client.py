"""What setting up a Kafka client keeps of its promises."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from monitor.clock import ManualClock
from monitor.errors import ConfigError
from monitor.ingest.kafka import KafkaSource
from monitor.ingest.kafka_client import consumer_settings, open_client, producer_settings
from monitor.ingest.settings import KafkaSettings

NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("key", "value"), [("no.such.key", "1"), ("fetch.min.bytes", "many"), ("security.protocol", "carrier pigeon")]
)
def test_a_setting_that_is_refused_is_named(key: str, value: str) -> None:
    """A key that librdkafka does not know, or a value that it does not take, is an error that names the key."""
    with pytest.raises(ConfigError, match=rf"kafka\.librdkafka: .*{key}"):
        open_client(Consumer, consumer_settings(NOWHERE, "g", {key: value}), ManualClock())


def test_what_is_ours_cannot_be_overridden() -> None:
    """Offsets are ours: what the operator passes through cannot let librdkafka commit or choose them."""
    settings = consumer_settings(NOWHERE, "g", {"enable.auto.commit": True, "auto.offset.reset": "latest"})
    assert settings["enable.auto.commit"] is False
    assert settings["auto.offset.reset"] == "error"


def test_what_is_preferred_can_be_overridden() -> None:
    """Sizes and waits are only preferred: what the operator passes through goes before."""
    assert consumer_settings(NOWHERE, "g", {"fetch.max.bytes": 1000})["fetch.max.bytes"] == 1000
    assert producer_settings(NOWHERE, {"linger.ms": 0})["linger.ms"] == 0


def test_all_our_own_settings_are_taken() -> None:
    """What we set by ourselves librdkafka takes, for either client."""
    open_client(Consumer, consumer_settings(NOWHERE, "g", {}), ManualClock()).close()
    open_client(Producer, producer_settings(NOWHERE, {}), ManualClock())


def test_a_source_without_a_broker_is_degraded_and_empty() -> None:
    """Making a source connects to nothing; it has no positions, nothing is exhausted, and it says what is wrong."""
    topics: Any = ({"name": "t"},)
    settings = KafkaSettings.model_validate({"bootstrap_servers": NOWHERE, "topics": topics})
    source = KafkaSource(settings, {}, ManualClock(5.0))
    try:
        assert source.positions() == {}
        assert source.lag() == {}
        assert not source.finished()
        check = source.check()
        assert (check.status, check.observed_at) == ("degraded", 5.0)
        assert "no broker" in check.detail
    finally:
        source.close()


def test_the_log_repeats_itself_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Of librdkafka's lines one of each kind gets through in a minute."""
    clock = ManualClock()
    logger = logging.getLogger("librdkafka")
    before = list(logger.filters)
    logger.filters.clear()
    try:
        open_client(Producer, producer_settings(NOWHERE, {}), clock)
        with caplog.at_level(logging.INFO, "librdkafka"):
            for _ in range(3):
                logger.error("FAIL [x] connect")
            logger.error("ERROR [x] all down")
            clock.advance(60)
            logger.error("FAIL [x] connect")
    finally:
        logger.filters[:] = before
    kinds = [record.getMessage().split()[0] for record in caplog.records if "[x]" in record.getMessage()]
    assert kinds == ["FAIL", "ERROR", "FAIL"]
