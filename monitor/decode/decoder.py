"""What a decoder promises, and which formats there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from monitor.decode import cloudevents, framed, kserve, mapped, oip, sagemaker, seldon
from monitor.decode.careful import CarefulDecoder
from monitor.decode.native import NativeDecoder
from monitor.decode.translated import TranslatedDecoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from monitor.decode.limits import DecodeLimits
    from monitor.decode.topics import TopicFormat
    from monitor.decode.translated import Translate
    from monitor.events.columns import EventBatch
    from monitor.events.raw import Headers
    from monitor.schemas.registry import Registry


class Decoder(Protocol):
    """Turns records into columns; total: each record becomes events or a rejection, and none raises."""

    def decode(
        self,
        values: Sequence[bytes | None],
        timestamps: NDArray[np.float64],
        future_limit: float = math.inf,
        keys: Sequence[bytes | None] = (),
        headers: Sequence[Headers | None] = (),
    ) -> EventBatch:
        """Decode a batch.

        ``values`` are the records, ``timestamps`` (float64, shape ``(len(values),)``) their own times in seconds since
        the epoch, NaN where there is none; ``keys`` and ``headers`` are empty, or as many as the records. An event
        later than ``future_limit`` is rejected. Events and rejections come in the order of the records; a record is
        rejected, or has one event or more, never both. Raises ``ValueError`` if the shapes disagree, or if the records
        that are not too large on their own come to more than 256 MiB.
        """
        ...


TRANSLATORS: Final[Mapping[str, Callable[[TopicFormat, DecodeLimits], Translate]]] = MappingProxyType(
    {
        "cloudevents": cloudevents.translator,
        "kserve": kserve.translator,
        "mapped": mapped.translator,
        "oip": oip.translator,
        "sagemaker": sagemaker.translator,
        "seldon": seldon.translator,
    }
)
"""What makes native events of the other formats, by the name that a topic's ``format`` has in the configuration."""

FRAMED: Final = ("avro", "protobuf")
"""Formats whose records begin with the id of a schema, which a registry has."""

FORMATS: Final = ("native", *TRANSLATORS, *FRAMED)


def make_decoder(topic: TopicFormat, limits: DecodeLimits, seed: int = 0, registry: Registry | None = None) -> Decoder:
    """The decoder of a topic's format; ``seed`` in [0, 2**64) is that of all hashes.

    Formats of :data:`FRAMED` need the ``registry`` that whoever reads the topic asks for schemas. Raises ``KeyError``
    for a format that is not one of :data:`FORMATS`.
    """
    return CarefulDecoder(_decoder(topic, limits, seed, registry))


def _decoder(topic: TopicFormat, limits: DecodeLimits, seed: int, registry: Registry | None) -> Decoder:
    if topic.name == "native":
        return NativeDecoder(limits, seed)
    if topic.name in FRAMED:
        assert registry is not None, "the settings see to it"
        return TranslatedDecoder(framed.translator(topic, registry), limits, seed)
    return TranslatedDecoder(TRANSLATORS[topic.name](topic, limits), limits, seed)
