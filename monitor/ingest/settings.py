"""What may be set about where events come from: ``[kafka]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from monitor.catalog.durations import Instant, parse_instant
from monitor.catalog.secrets import read_secret
from monitor.catalog.tables import HIDDEN, FilePath, FrozenTable, Settings, Text, TextMap, flatten
from monitor.schemas.registry import installed
from monitor.schemas.settings import SchemaRegistrySettings

EVENT_FIELDS = (
    "model",
    "version",
    "id",
    "time",
    "features",
    "prediction",
    "sensitive",
    "segment",
    "outcome",
    "value",
    "metrics",
    "entity",
    "lifecycle",
)
NAMED_FIELDS = ("features", "prediction", "sensitive", "segment", "metrics")
"""Fields that may be mapped value by value, such as ``features.age``."""
MODEL_CHARACTERS = 200
HEADED_FORMATS = frozenset({"cloudevents", "kserve", "seldon", "oip"})
FRAMED_FORMATS = frozenset({"avro", "protobuf"})
"""Formats whose records begin with the id of a schema in a registry."""
_MAPPED_FORMATS = FRAMED_FORMATS | {"mapped"}

OWNED_KEYS = MappingProxyType(
    {
        "bootstrap.servers": "kafka.bootstrap_servers says it",
        "metadata.broker.list": "kafka.bootstrap_servers says it",
        "group.id": "kafka.group_id says it",
        "enable.auto.commit": "offsets are stored with the counts they cover",
        "auto.commit.enable": "offsets are stored with the counts they cover",
        "auto.commit.interval.ms": "offsets are stored with the counts they cover",
        "enable.auto.offset.store": "offsets are stored with the counts they cover",
        "offset.store.method": "offsets are stored with the counts they cover",
        "offset.store.path": "offsets are stored with the counts they cover",
        "auto.offset.reset": "kafka.start_from and kafka.lost_offsets say it",
        "enable.partition.eof": "the ends of partitions let event time run on",
        "allow.auto.create.topics": "reading a topic must not create it",
    }
)
"""Settings of librdkafka that are not for passing through, and why."""

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}", re.ASCII)
_SECRET_KEY = re.compile(r"password|secret|\.pem$|token|jaas|assertion|sasl\.oauthbearer\.config", re.IGNORECASE)


def _topic_name(name: str) -> str:
    if name in {".", ".."} or _TOPIC.fullmatch(name) is None:
        raise ValueError("is not a topic's name (letters, digits, dot, underscore, hyphen; at most 249)")
    return name


def _topic_or_pattern(name: str) -> str:
    if not name.startswith("^"):
        return _topic_name(name)
    try:
        re.compile(name)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return name


def _topic_or_nothing(name: str) -> str:
    return _topic_name(name) if name else name


def _start(value: object) -> object:
    if value in {"earliest", "latest"} if isinstance(value, str) else False:
        return value
    try:
        parse_instant(value)
    except ValueError:
        raise ValueError('is not "earliest", "latest" or a time such as "2026-11-27T00:00:00Z"') from None
    return value


def _passed_through(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    for key, value in settings.items():
        if key in OWNED_KEYS:
            raise ValueError(f'"{key}" is not for passing through: {OWNED_KEYS[key]}')
        if not isinstance(value, str | int | float) or (isinstance(value, int) and abs(value) >= 2**63):
            raise ValueError(f'"{key}" is neither a text, a number, true nor false')
    return FrozenTable(settings)


def _without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: HIDDEN if _SECRET_KEY.search(key) else value for key, value in settings.items()}


def _model_or_place(text: str) -> str:
    if text.startswith("header:") and text == "header:":
        raise ValueError("names no header")
    if text and not text.startswith(("/", "header:")) and len(text) > MODEL_CHARACTERS:
        raise ValueError(f"is longer than {MODEL_CHARACTERS} characters")
    return text


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f'"{doubles[0]}" stands twice')
    return names


Names = Annotated[tuple[Text, ...], AfterValidator(_distinct)]


class TopicSettings(Settings):
    """One entry of ``topics``: a name, or a pattern that begins with ``^``, and how its records are written."""

    name: Annotated[str, AfterValidator(_topic_or_pattern)]
    format: Literal["native", "cloudevents", "kserve", "seldon", "oip", "sagemaker", "mapped", "avro", "protobuf"] = (
        "native"
    )
    mapping: Annotated[TextMap, BeforeValidator(flatten)] = FrozenTable()
    model: Annotated[str, AfterValidator(_model_or_place)] = ""
    feature_names: Names = ()
    class_names: Names = ()
    time_unit: Literal["s", "ms", "us", "ns"] = "s"

    @field_validator("mapping", mode="after")
    @classmethod
    def _known_places(cls, mapping: Mapping[str, str]) -> Mapping[str, str]:
        for field, source in mapping.items():
            part, dot, name = field.partition(".")
            if part not in EVENT_FIELDS:
                raise ValueError(f'"{field}" is not a field of an event; those are {", ".join(EVENT_FIELDS)}')
            if dot and (part not in NAMED_FIELDS or not name):
                raise ValueError(f'"{field}" has no such part; named values stand in {", ".join(NAMED_FIELDS)}')
            if source.startswith("/") and source.split("/").count("*") > 1:
                raise ValueError(f'"{field}" goes through more than one list: one "*" is for the cases of a record')
            header = source.startswith("header:") and source != "header:"
            if not (source.startswith("/") or source == "key" or header):
                raise ValueError(f'"{field}" comes from a JSON pointer ("/a/b"), "header:NAME" or "key"')
        return mapping

    @model_validator(mode="after")
    def _mapping_where_it_is_used(self) -> Self:
        if self.format == "mapped" and not self.mapping:
            raise ValueError('format = "mapped" needs a mapping')
        if self.mapping and self.format not in _MAPPED_FORMATS:
            raise ValueError('a mapping is for format = "mapped", "avro" and "protobuf"')
        if self.mapping and not self.model and "model" not in self.mapping:
            raise ValueError('says nowhere which model: give "model", or map it')
        if not self.mapping and self.time_unit != "s":
            raise ValueError("time_unit is for a mapping")
        if self.format in FRAMED_FORMATS and not installed(self.format):
            raise ValueError(f'format = "{self.format}" needs more libraries: pip install "modelwatch[registry]"')
        if self.format == "native" and (self.model or self.feature_names or self.class_names):
            raise ValueError("model, feature_names and class_names are for formats other than native")
        return self

    def reads_headers(self) -> bool:
        """Whether the format looks at headers, so that they have to be fetched."""
        sources = (self.model, *self.mapping.values())
        return self.format in HEADED_FORMATS or any(source.startswith("header:") for source in sources)


class KafkaSettings(Settings):
    """``[kafka]``. ``start_from`` is a word or seconds since the epoch.

    An empty ``dead_letter_topic`` or ``audit_topic`` means none.
    """

    bootstrap_servers: Text = "localhost:9092"
    group_id: Text = "modelwatch"
    topics: tuple[TopicSettings, ...] = (TopicSettings(name="ml.predictions"), TopicSettings(name="ml.outcomes"))
    dead_letter_topic: Annotated[str, AfterValidator(_topic_or_nothing)] = ""
    audit_topic: Annotated[str, AfterValidator(_topic_or_nothing)] = ""
    dead_letters_per_second: int = Field(default=100, ge=0, le=10**6)
    start_from: Annotated[Literal["earliest", "latest"] | Instant, BeforeValidator(_start)] = "earliest"
    lost_offsets: Literal["earliest", "fail"] = "earliest"
    sasl_password_file: FilePath = ""
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    librdkafka: Annotated[
        Mapping[str, Any],
        BeforeValidator(flatten),
        AfterValidator(_passed_through),
        PlainSerializer(_without_secrets, return_type=dict[str, Any], when_used="json"),
    ] = Field(default=FrozenTable(), repr=False)

    @field_validator("topics", mode="after")
    @classmethod
    def _some_that_differ(cls, topics: tuple[TopicSettings, ...]) -> tuple[TopicSettings, ...]:
        if not topics:
            raise ValueError("needs at least one")
        names = [topic.name for topic in topics]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f'"{doubles[0]}" is named twice')
        return topics

    @model_validator(mode="after")
    def _no_circle(self) -> Self:
        if any(topic.name == self.dead_letter_topic for topic in self.topics):
            raise ValueError("dead_letter_topic is one of the topics: every dead letter would come back")
        if self.audit_topic and self.audit_topic in {self.dead_letter_topic, *(topic.name for topic in self.topics)}:
            raise ValueError("audit_topic must be a topic of its own")
        framed = next((topic for topic in self.topics if topic.format in FRAMED_FORMATS), None)
        if framed is not None and not self.schema_registry.urls:
            raise ValueError(f'topic "{framed.name}" has format = "{framed.format}": schema_registry.urls is missing')
        if self.sasl_password_file and "sasl.password" in self.librdkafka:
            raise ValueError('sasl_password_file and librdkafka."sasl.password" say the same: keep one')
        return self

    def topic(self, name: str) -> TopicSettings | None:
        """What was said of the topic ``name``: by its own name, else by the first pattern that fits from its start.

        ``None`` where it is not to be read: the audit topic never is, nor the dead-letter topic, for every dead letter
        would come back.
        """
        if name in {self.dead_letter_topic, self.audit_topic}:
            return None
        for topic in self.topics:
            if topic.name == name:
                return topic
        return next((topic for topic in self.topics if topic.name[0] == "^" and re.match(topic.name, name)), None)

    def reads_headers(self, name: str) -> bool:
        """Whether the headers of the topic ``name`` are needed to read it."""
        topic = self.topic(name)
        return topic is not None and topic.reads_headers()

    def is_native(self, name: str) -> bool:
        """Whether records of the topic ``name`` are of the native format."""
        topic = self.topic(name)
        return topic is not None and topic.format == "native"

    def is_framed(self, name: str) -> bool:
        """Whether records of the topic ``name`` begin with the id of a schema."""
        topic = self.topic(name)
        return topic is not None and topic.format in FRAMED_FORMATS

    def client(self) -> dict[str, Any]:
        """What every Kafka client of the program is given: ``librdkafka``, the brokers, the password from its file.

        Raises
        ------
        ConfigError
            The password's file can't be read.
        """
        settings = {**self.librdkafka, "bootstrap.servers": self.bootstrap_servers}
        if self.sasl_password_file:
            settings["sasl.password"] = read_secret(self.sasl_password_file)
        return settings
