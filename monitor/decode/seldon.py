"""How the log of Seldon Core v1 is read: requests, responses and feedback, described by headers."""

from __future__ import annotations

from typing import Any, Final

from monitor.decode import bodies
from monitor.decode.cases import Cases, Naming, events_of
from monitor.decode.envelope import Envelope, opened
from monitor.decode.limits import DecodeLimits
from monitor.decode.model import ModelOf
from monitor.decode.topics import TopicFormat
from monitor.decode.translated import Record, Translate
from monitor.decode.twin import Rejected, members
from monitor.events.columns import Reason

_SEGMENTS: Final = ("namespace", "endpoint")


def translator(topic: TopicFormat, limits: DecodeLimits) -> Translate:
    """Reads a record of a topic as its ``format = "seldon"`` says."""
    naming, model_of = Naming(topic.feature_names, topic.class_names), ModelOf(topic.model)

    def translate(record: Record) -> list[dict[str, Any]]:
        envelope = opened(record, limits)
        segment = {name: envelope.attributes[name] for name in _SEGMENTS if envelope.attributes.get(name)}
        common = {
            "model": model_of(record, envelope.body) or _model(envelope),
            "id": envelope.first("requestid", "seldon-puid", "id") or _puid(envelope.body),
            "time": envelope.first("time"),
            "segment": segment or None,
        }
        return events_of(_cases(envelope, naming), common)

    return translate


def _model(envelope: Envelope) -> str | None:
    """The deployment and the node in its graph; a node's name alone would be that of many deployments."""
    deployment = envelope.first("inferenceservicename")
    node = envelope.first("modelid", "model-id")
    return f"{deployment}/{node}" if deployment and node else deployment or node


def _puid(body: Any) -> Any:
    meta = body.get("meta") if isinstance(body, dict) else None
    return meta.get("puid") if isinstance(meta, dict) else None


def _cases(envelope: Envelope, naming: Naming) -> Cases:
    kind = envelope.attributes.get("type", "")
    if not kind.endswith("feedback"):
        return bodies.cases_of(envelope.body, naming, response=kind.endswith("response"))
    if not isinstance(envelope.body, dict):
        raise Rejected(Reason.NOT_OBJECT)
    return _feedback(members(envelope.body), naming)


def _feedback(body: dict[str, Any], naming: Naming) -> Cases:
    """The truth, where it is told, is the outcome; the reward is a metric."""
    said = Cases()
    if isinstance(body.get("truth"), dict):
        truth = bodies.cases_of(body["truth"], naming, response=True)
        said.outcomes = [_class(each) for each in truth.predictions or ()]
    if body.get("reward") is not None:
        said.metrics = [{"reward": body["reward"]}] * len(said.outcomes or (None,))
    return said


def _class(prediction: Any) -> Any:
    return prediction.get("label", prediction.get("score")) if isinstance(prediction, dict) else prediction
