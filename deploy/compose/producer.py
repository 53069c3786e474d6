"""Writes the traffic of the demo fleet to Kafka: two days at once, then on in real time; faults are planted on the way.

Run in the image of modelwatch: ``python producer.py BROKERS``.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.ingest.demo import DemoFleet

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC, PARTITIONS = "ml.predictions", 3
MODELS, SEED = 20, 1
PAST_DAYS, DAYS = 2.0, 30.0


class Timed(msgspec.Struct):
    """What is looked at of an event: its model is the key, so that the events of one stay in their order."""

    model: str
    time: float


def events(start: float) -> Iterator[tuple[float, str, bytes]]:
    """Time, model and bytes of every event of the demo fleet whose stream begins at ``start``, in order."""
    decode = msgspec.json.Decoder(Timed, strict=False).decode
    for piece in DemoFleet(MODELS, SEED, DAYS, start).slices():
        for value in piece:
            # The demo writes NaN where it plants it, which is no JSON to a strict reader; it is no member read here.
            said = decode(value.replace(b":NaN", b":null"))
            yield said.time, said.model, value


def main(brokers: str) -> None:
    """Make the topic, send what is past, and go on as the clock does."""
    client = {"bootstrap.servers": brokers}
    for made in AdminClient(client).create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
        error = made.exception()
        if error is not None and error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise error
    producer = Producer(client | {"linger.ms": 50, "enable.idempotence": True})
    for when, model, value in events(time.time() - PAST_DAYS * 86400):
        while when > time.time():
            producer.poll(min(1.0, when - time.time()))
        while True:
            try:
                producer.produce(TOPIC, value, model.encode(), timestamp=int(when * 1000))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
