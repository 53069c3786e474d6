"""Puts a fleet together from a configuration: what the daemon, the replay and the demo have in common."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from monitor.budget import Budget
from monitor.catalog import profile
from monitor.catalog.outputs import with_outputs
from monitor.config import Config
from monitor.decode.decoder import Decoder, make_decoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.topics import TopicFormat
from monitor.fleet import Fleet
from monitor.groups.privacy import Privacy, read_salt
from monitor.groups.register import Limits
from monitor.groups.watch import GroupRules
from monitor.ingest.settings import TopicSettings
from monitor.schemas.registry import shared
from monitor.severity import SEVERITIES
from monitor.tally.duplicates import Duplicates

_CODE = frozenset({".py", ".c", ".h"})
"""Files of which the program is made; what is compiled follows from them."""


@cache
def program_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("modelwatch")
    except PackageNotFoundError:
        return "0.0.0"


@cache
def program_facts() -> dict[str, str]:
    """By which program is judged: what it was built from, and a SHA-256 over all of its files."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*")):
        if path.suffix in _CODE:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return {"revision": os.environ.get("SOURCE_REVISION", ""), "code": digest.hexdigest()}


def make_fleet(config: Config, parts: int = 1) -> Fleet:
    """An empty fleet under the limits, the budget and the policies of ``config``.

    It is one of ``parts`` that keep the promises to people together: each has its part of the budget of false alarms
    and of the pages of a day. What limits memory holds for each.
    """
    budget, limits = config.budget, config.limits
    shares = {name: getattr(budget.shares, name) for name in ("drift", "quality", "performance", "fairness")}
    severities = {name: getattr(budget.severities, name) for name in SEVERITIES}
    fleet = Fleet(
        Budget(budget.false_alarms_per_week / parts, budget.per_model_per_week, shares, budget.teams, severities),
        with_outputs(config.policies).resolve,
        profile.load,
        models_max=limits.models,
        series_per_model_max=limits.features_per_model,
        categories_max=limits.categories_per_feature,
        incidents_max=limits.open_incidents,
        group_rules=_group_rules(config),
        duplicates=Duplicates(config.dedupe.horizon, config.dedupe.capacity),
    )
    fleet.book.code_version = fleet.exhibits.program = program_version()
    fleet.book.attention.per_day = -(-config.attention.pages_per_team_per_day // parts)
    fleet.book.attention.gather = config.attention.gather
    fleet.blocks.open_max = limits.open_ticks
    fleet.splits.values_max = limits.segment_values
    fleet.outcomes.allow(limits.pending_predictions)
    cases = config.privacy.retention.cases
    fleet.outcomes.retention = None if isinstance(cases, str) else cases
    return fleet


def _group_rules(config: Config) -> GroupRules:
    limits, privacy = config.limits, config.privacy
    return GroupRules(
        Privacy(privacy.smallest_group, read_salt(privacy.group_salt_file)),
        Limits(
            attributes=limits.attributes_per_model,
            groups=limits.groups_per_attribute,
            strata=limits.strata_per_model,
            outputs=limits.outputs_per_model,
            tallies=limits.group_tallies_per_model,
            intersections=limits.intersections_per_model,
        ),
        config.dedupe.capacity,
    )


def make_decoders(config: Config) -> Callable[[str], Decoder]:
    """The decoder of each topic; whatever no topic is named for is native."""
    limits = DecodeLimits(
        record_bytes=config.limits.record_bytes,
        values_per_event=config.limits.values_per_event,
        depth=config.limits.depth,
        name_bytes=config.limits.name_bytes,
    )
    made: dict[TopicFormat, Decoder] = {}
    asked = config.kafka.schema_registry if config.kafka else None
    registry = shared(asked) if asked and asked.urls else None

    def decoder_of(topic: str) -> Decoder:
        topic_format = format_of(config.kafka.topic(topic) if config.kafka else None)
        if topic_format not in made:
            made[topic_format] = make_decoder(topic_format, limits, registry=registry)
        return made[topic_format]

    return decoder_of


def format_of(topic: TopicSettings | None) -> TopicFormat:
    """How the records of a topic are read; native where nothing is said."""
    if topic is None:
        return TopicFormat()
    return TopicFormat(
        topic.format, topic.model, topic.feature_names, topic.class_names, topic.mapping, topic.time_unit
    )
