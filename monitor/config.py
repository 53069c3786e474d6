"""What the program is told: flags over environment over file over defaults, put together and checked at once."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from monitor.catalog.environment import PREFIX, SEPARATOR, keys, locate, parsed, variable
from monitor.catalog.fleet_settings import (
    AttentionSettings,
    BudgetSettings,
    ClockSettings,
    ClusterSettings,
    DedupeSettings,
    DrillSettings,
    LimitSettings,
    PrivacySettings,
)
from monitor.catalog.policies import Clause, Policies, Policy, PolicyEntry
from monitor.catalog.problems import Location, place, problems
from monitor.catalog.tables import Settings, Text, did_you_mean, freeze, keys_of, overlay, rebased
from monitor.catalog.toml import toml_lines, toml_value
from monitor.errors import ConfigError
from monitor.ingest.settings import KafkaSettings
from monitor.notify.settings import AlertmanagerSettings
from monitor.store.settings import StoreSettings
from monitor.telemetry.settings import LogSettings
from monitor.web.settings import HttpSettings

_Model = TypeVar("_Model", bound=BaseModel)
_SERVICE_LINK = re.compile(rf"{PREFIX}(SERVICE_|PORT)")


class IncludedTables(Settings):
    """All that an included file may say."""

    models: tuple[PolicyEntry, ...] = ()


class Tables(IncludedTables):
    """All that the main file may say."""

    include: tuple[Text, ...] = ()
    kafka: KafkaSettings | None = None
    store: StoreSettings = StoreSettings()
    clock: ClockSettings = ClockSettings()
    dedupe: DedupeSettings = DedupeSettings()
    budget: BudgetSettings = BudgetSettings()
    attention: AttentionSettings = AttentionSettings()
    http: HttpSettings = HttpSettings()
    privacy: PrivacySettings = PrivacySettings()
    cluster: ClusterSettings = ClusterSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    limits: LimitSettings = LimitSettings()
    drill: DrillSettings = DrillSettings()
    log: LogSettings = LogSettings()


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without a fault. ``kafka`` is ``None`` where neither file, environment nor flag speaks of it.

    ``digest`` (SHA-256, hexadecimal) is the same for the same meaning, wherever it was said, and knows no secret.
    ``files`` are those that were read, the main one first.
    """

    kafka: KafkaSettings | None
    store: StoreSettings
    clock: ClockSettings
    dedupe: DedupeSettings
    budget: BudgetSettings
    attention: AttentionSettings
    http: HttpSettings
    privacy: PrivacySettings
    cluster: ClusterSettings
    alertmanager: AlertmanagerSettings
    limits: LimitSettings
    drill: DrillSettings
    log: LogSettings
    policies: Policies
    digest: str
    files: tuple[Path, ...]

    def differs(self, other: Config) -> list[str]:
        """Tables, ``[[models]]`` apart, that ``other`` has otherwise."""
        return [name for name in _SECTIONS if getattr(self, name) != getattr(other, name)]

    def require_kafka(self) -> KafkaSettings:
        """``[kafka]``, for the commands that read from it; raises ``ConfigError`` where it is missing."""
        if self.kafka is None:
            where = self.files[0] if self.files else "configuration"
            raise ConfigError(f"{where}: kafka: is missing; it says where events come from")
        return self.kafka


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] = MappingProxyType({})) -> Config:
    """Read, overlay and check everything; ``flags`` are values by dotted key (``http.listen``), ``None`` is unset.

    Raises
    ------
    ConfigError
        One line for each thing that is wrong: its file or variable, its key, its value unless it may be a secret.
    """
    loading = _Loading()
    main = _Document(path, _read(path) if path else {})
    data = overlay(rebased(Tables, main.data, main.base), loading.overlays(environ, flags))
    tables = loading.check(Tables, data, main.name)
    documents = [_Document(path, data)]
    entries = list(tables.models) if tables else []
    for document in loading.included(main.base, data.get("include", ()), path):
        included = loading.check(IncludedTables, document.data, document.name)
        documents.append(document)
        entries += included.models if included else ()
    if tables is not None:
        loading.check_watch_lists(tables, entries, main.name)
        loading.check_teams(tables, entries, main.name)
        loading.check_retention(tables, entries, main.name)
    if tables is None or loading.faults:
        raise ConfigError("\n".join(loading.faults))
    return Config(
        **{name: getattr(tables, name) for name in _SECTIONS},
        policies=Policies([clause for document in documents for clause in document.clauses()], tables.clock.tick),
        digest=_digest(tables, entries),
        files=tuple(document.path for document in documents if document.path),
    )


_SECTIONS = tuple(name for name in Tables.model_fields if name not in {"include", "models"})


@dataclass(frozen=True, slots=True)
class _Document:
    """A parsed file, lists as tuples; ``path`` is ``None`` where there is no file."""

    path: Path | None
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.path) if self.path else "configuration"

    @property
    def base(self) -> Path:
        return self.path.parent if self.path else Path()

    def clauses(self) -> Iterator[Clause]:
        """The ``[[models]]`` of a document without faults."""
        for i, table in enumerate(self.data.get("models", ())):
            said = {key: value for key, value in table.items() if key != "match"}
            yield Clause(table["match"], said, f"{self.name}: models[{i}]")


@dataclass(slots=True)
class _Loading:
    """The faults found so far, and which keys were said by the environment or by a flag."""

    faults: list[str] = field(default_factory=list)
    origins: dict[Location, str] = field(default_factory=dict)

    def overlays(self, environ: Mapping[str, str], flags: Mapping[str, object]) -> dict[str, Any]:
        """What environment and flags say, as one nested table."""
        said: dict[str, Any] = {}
        for name in sorted(name for name in environ if name.startswith(PREFIX)):
            parts = name.removeprefix(PREFIX).lower().split(SEPARATOR)
            said = overlay(said, self._said(name, parts, environ[name]))
        for name, value in flags.items():
            if value is not None:
                text = str(value) if isinstance(value, Path) else value
                said = overlay(said, self._said(f"flag {name}", name.split("."), text))
        return said

    def _said(self, origin: str, parts: list[str], raw: object) -> dict[str, Any]:
        shown = origin.encode("utf-8", "backslashreplace").decode()
        if parts[0] == "models":
            self.faults.append(f"{shown}: [[models]] stand in a file alone")
            return {}
        found = locate(Tables, parts)
        if found is None:
            self.faults.append(f"{shown}: unknown {_unknown(shown)}")
            return {}
        location, is_text = found
        try:
            if isinstance(raw, str):
                raw.encode()
            value = freeze(parsed(raw, is_text) if isinstance(raw, str) else raw)
        except UnicodeEncodeError:
            self.faults.append(f"{shown}: its value is not UTF-8")
            return {}
        except ValueError as error:
            self.faults.append(f"{shown}: {error}")
            return {}
        self.origins[location] = shown
        for part in reversed(location):
            value = {part: value}
        return dict(value)

    def check(self, model: type[_Model], data: Mapping[str, Any], name: str) -> _Model | None:
        """``data`` as ``model``, or ``None`` and what is wrong with it among the faults."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for location, sentence in problems(error, model, data):
                if model is IncludedTables and location[0] in keys_of(Tables) and location[0] != "models":
                    self.faults.append(f"{name}: {place(location)}: an included file holds [[models]] alone")
                else:
                    self.faults.append(f"{self._where(location, name, model)}: {sentence}")
        return None

    def _where(self, location: Location, name: str, model: type[BaseModel]) -> str:
        if model is Tables and location in self.origins:
            return self.origins[location]
        starts = [self.origins.get(location[:length]) for length in range(len(location), 0, -1)]
        origin = next((start for start in starts if start), None) if model is Tables else None
        return f"{origin or name}: {place(location)}"

    def included(self, base: Path, patterns: Any, main: Path | None) -> Iterator[_Document]:
        """The files that ``patterns`` name, each once: as the patterns stand, sorted within each."""
        seen: set[str] = set()
        usable = patterns if isinstance(patterns, tuple) else ()
        for i, pattern in enumerate(usable):
            if not isinstance(pattern, str) or not pattern.isprintable() or not pattern:
                continue
            where = self._where(("include", i), str(main or "configuration"), Tables)
            names = sorted(glob.glob(pattern, root_dir=base))  # noqa: PTH207 - Path.glob refuses absolute patterns
            if not names and not set(pattern) & set("*?["):
                self.faults.append(f"{where}: {toml_value(pattern)} does not exist")
            for name in names:
                file = base / name
                if main is not None and os.path.realpath(file) == os.path.realpath(main):
                    self.faults.append(f"{where}: {toml_value(pattern)} names the file that it stands in")
                elif os.path.realpath(file) not in seen:
                    seen.add(os.path.realpath(file))
                    yield self._document(file)

    def _document(self, file: Path) -> _Document:
        try:
            return _Document(file, rebased(IncludedTables, _read(file), file.parent))
        except ConfigError as error:
            self.faults.append(str(error))
            return _Document(file, {})

    def check_retention(self, tables: Tables, entries: Iterable[PolicyEntry], name: str) -> None:
        """A case is kept until it has matured: what would have it removed before is refused."""
        cases = tables.privacy.retention.cases
        longest = max([PolicyEntry.model_fields["outcome_horizon"].default, *(e.outcome_horizon for e in entries)])
        if not isinstance(cases, str) and cases < longest:
            self.faults.append(
                f"{name}: privacy.retention.cases ({cases:g}s) is less than an outcome_horizon ({longest:g}s): "
                "cases could not mature"
            )

    def check_watch_lists(self, tables: Tables, entries: Iterable[PolicyEntry], name: str) -> None:
        """The shares of all lists of tags are taken from fairness, so that together they are at most its own."""
        total = sum(list_.budget_share for entry in entries for list_ in (*entry.watch_tags, *entry.roll_ups))
        fairness = tables.budget.shares.fairness
        if total > fairness + 1e-9:
            self.faults.append(
                f"{name}: watch_tags and roll_ups: their budget_share sums to {total:g} over all models, "
                f"more than budget.shares.fairness ({fairness:g}), from which it is taken"
            )

    def check_teams(self, tables: Tables, entries: Iterable[PolicyEntry], name: str) -> None:
        """A part of the budget for a team that has no models would be withheld from all others for nothing."""
        known = {team for entry in entries for team in (entry.team, *entry.owners.values()) if team}
        for team in tables.budget.teams:
            if team not in known:
                near = did_you_mean(team, known)
                self.faults.append(f"{name}: budget.teams: no policy names the team {toml_value(team)}{near}")


def _read(path: Path) -> Any:
    try:
        return freeze(tomllib.loads(path.read_bytes().decode()))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 (at byte {error.start})") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _unknown(origin: str) -> str:
    if not origin.startswith(PREFIX):
        return "key" + did_you_mean(origin.removeprefix("flag "), [".".join(key) for key in keys(Tables)])
    known = [variable(key) for key in keys(Tables) if key[0] != "models"]
    service = "; Kubernetes sets such for a Service named modelwatch, unless enableServiceLinks is false"
    return f"variable{did_you_mean(origin, known, quote='')}{service if _SERVICE_LINK.match(origin) else ''}"


def _digest(tables: Tables, entries: Iterable[PolicyEntry]) -> str:
    resolved = {
        "tables": {name: _plain(getattr(tables, name)) for name in _SECTIONS},
        "models": [entry.model_dump(mode="json", by_alias=True, exclude_unset=True) for entry in entries],
    }
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()


def _plain(table: Settings | None) -> dict[str, Any]:
    """In JSON types, durations and times as in a file, secrets hidden."""
    return {} if table is None else table.model_dump(mode="json", by_alias=True)


def describe(config: Config) -> str:
    """All of ``config`` in TOML, each pattern with all that it comes to; the same configuration gives the same text."""
    parts = [f"# digest {config.digest}\n# read from {', '.join(map(str, config.files)) or 'no file'}"]
    for name in _SECTIONS:
        table = getattr(config, name)
        if table is not None:
            parts.append("\n".join([f"[{name}]", *toml_lines(_plain(table))]))
    policies = config.policies
    if all(clause.match != "*" for clause in policies.clauses):
        parts.append(_described("every model that no pattern names", "*", policies.unnamed()))
    for i, clause in enumerate(policies.clauses):
        parts.append(_described(clause.origin, clause.match, policies.resolve_pattern(i)))
    return "\n\n".join(parts) + "\n"


def _described(origin: str, match: str, policy: Policy) -> str:
    return "\n".join([f"# {origin}", "[[models]]", f"match = {toml_value(match)}", *toml_lines(_plain(policy))])
