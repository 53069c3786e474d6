"""The room's door: a candidate's sample is held against what runs now, and told where it is worse than is tolerated."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.catalog import profile
from monitor.clock import Clock
from monitor.config import Config
from monitor.errors import UsageError
from monitor.gate.cases import errors_of, large_error, measured, performance_findings
from monitor.gate.cells import series_findings
from monitor.gate.finding import PARTS, Finding, judged
from monitor.gate.people import group_findings
from monitor.gate.samples import Roles, Sample, against, candidate
from monitor.gate.side import Side, side

LEVEL = 0.01
"""The probability, at most, that a candidate which is no worse is refused."""


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """What was found of one model: its name on either side, how many events were read, and each question."""

    model: str
    was: str
    events: tuple[int, int]
    rejected: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(finding.verdict != "fail" for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "model": self.model,
            "against": self.was,
            "passed": self.passed,
            "events_before": self.events[0],
            "events": self.events[1],
            "rejected": self.rejected,
            "findings": [finding.document() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Gated:
    """The verdict on all models of a candidate."""

    candidate: str
    against: str
    level: float
    models: tuple[ModelVerdict, ...]
    missing: tuple[str, ...]
    """Models that only one side has."""

    @property
    def passed(self) -> bool:
        """Whether the candidate may be released."""
        return all(verdict.passed for verdict in self.models)

    def document(self) -> dict[str, Any]:
        """In JSON types."""
        findings = [finding for verdict in self.models for finding in verdict.findings]
        counts = {
            part: {
                verdict: sum(f.part == part and f.verdict == verdict for f in findings)
                for verdict in ("pass", "fail", "note", "unseen")
            }
            for part in PARTS
        }
        return {
            "type": "gate",
            "passed": self.passed,
            "candidate": self.candidate,
            "against": self.against,
            "level": self.level,
            "questions": sum(counts[part]["pass"] + counts[part]["fail"] for part in PARTS if part != "inputs"),
            "parts": counts,
            "only_on_one_side": list(self.missing),
            "models": [verdict.document() for verdict in self.models],
        }


def gate(
    config: Config,
    clock: Clock,
    candidate_path: Path,
    against_path: Path,
    *,
    roles: Roles,
    model: str | None = None,
    level: float = LEVEL,
) -> Gated:
    """Hold the candidate against a reference (`.mwref`), or against a sample of what runs now.

    Samples are native events (`.jsonl`, `.jsonl.gz`, `.parquet`), tables of events (a column ``model``), directories of
    them, or a table of cases whose columns ``roles`` names. The policies of ``config`` say what is tolerated. Over all
    models and questions a candidate that is no worse is refused with probability at most ``level``.

    Raises
    ------
    UsageError, IngestError, ProfileError
        A side cannot be read, or both have no model in common.
    """
    with tempfile.TemporaryDirectory(prefix="modelwatch-gate-") as folder:
        scratch = Path(folder)
        before = against(against_path, roles, model, scratch)
        now = candidate(candidate_path, roles, model, before, scratch)
        pairs = _pairs(now, before)
        references = {}
        for number, (name, was) in enumerate(pairs.items()):
            references[name] = scratch / f"{number}.mwref"
            profile.save(before.references[was], references[name])
        new = side(config, now.files, references, clock)
        were = {was: references[name] for name, was in pairs.items()}
        old = side(config, before.files, were, clock) if before.files else None
        found = {name: list(_findings(new, old, name, was)) for name, was in pairs.items()}
    # One level for all that is asked: who releases a hundred models at once is promised the same.
    flat = judged([finding for findings in found.values() for finding in findings], level)
    own = {id_: name for name, findings in found.items() for id_ in map(_identity, findings)}
    verdicts = tuple(
        ModelVerdict(
            model=name,
            was=was,
            events=(before.references[was].events, _events(new, name)),
            rejected=sum(new.replayed.rejected.values()),
            findings=tuple(finding for finding in flat if own[_identity(finding)] == name),
        )
        for name, was in pairs.items()
    )
    missing = sorted(set(now.models) ^ set(before.models)) if len(pairs) > 1 or len(now.models) > 1 else []
    return Gated(candidate_path.name, against_path.name, level, verdicts, tuple(missing))


def _identity(finding: Finding) -> int:
    """A finding keeps its own function through all copies that are made of it."""
    return id(finding.beyond)


def _pairs(now: Sample, before: Sample) -> dict[str, str]:
    """By model of the candidate, the model that it is held against: of that name, or the only one."""
    if len(now.models) == 1 and len(before.models) == 1:
        return {now.models[0]: before.models[0]}
    common = [name for name in now.models if name in before.references]
    if not common:
        raise UsageError(
            f"gate: the sides have no model in common: {', '.join(now.models[:5])} and {', '.join(before.models[:5])}"
        )
    return {name: name for name in common}


def _findings(now: Side, before: Side | None, name: str, was: str) -> Iterator[Finding]:
    row = now.fleet.find_model(name)
    if row is None:
        raise UsageError(f"gate: {name}: no event of this model could be read")
    row_before = before.fleet.find_model(was) if before else None
    yield from series_findings(now, row)
    errors = errors_of(before, row_before) if before and row_before is not None else errors_of(now, row)
    large = large_error(errors)
    held = measured(before, row_before, large) if before and row_before is not None else None
    yield from performance_findings(now.fleet, row, held, measured(now, row, large))
    yield from group_findings(now, row, before, row_before)


def _events(now: Side, name: str) -> int:
    row = now.fleet.find_model(name)
    return 0 if row is None else int(now.fleet.models.rows["events"][row])
