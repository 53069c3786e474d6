"""Which words do the commands on files take: references, the gate, publishing, reports? Parses them and calls."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monitor.errors import UsageError

Arguments = argparse.Namespace

_REFUSED = 3
"""The exit code of a gate that lets nothing pass."""


def add_baseline(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """The verbs of references; returns them, for those that ask a daemon come on top."""
    baseline = commands.add_parser("baseline", help="references from training data")
    verbs = baseline.add_subparsers(title="verbs", metavar="VERB", required=True)
    build = verbs.add_parser("build", help="builds one from a training set, or all of a directory or a topic")
    build.add_argument("--model", metavar="NAME", help="if not said: all there are, into the directory --out")
    build.add_argument("--version", default="", metavar="V")
    build.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="for all models a directory, or DIR/{model}/{version}.mwref",
    )
    build.add_argument("--replace", action="store_true", help="write over another reference that stands there")
    build.add_argument("--topic", metavar="T", help="instead of DATA: a range of a topic")
    build.add_argument("--since", metavar="TIME")
    build.add_argument("--until", metavar="TIME")
    build.add_argument("--config", type=Path, metavar="FILE", help="whose [kafka] says where the topic is")
    _add_columns(build)
    build.add_argument("data", type=Path, nargs="?", metavar="DATA", help=".csv, .parquet or .jsonl, or a directory")
    build.set_defaults(run=_baseline_build)
    show = verbs.add_parser("show", help="what a reference holds")
    show.add_argument("file", type=Path, metavar="FILE")
    show.set_defaults(run=_baseline_show)
    diff = verbs.add_parser("diff", help="how two references differ, the largest difference first")
    diff.add_argument("a", type=Path, metavar="A")
    diff.add_argument("b", type=Path, metavar="B")
    diff.set_defaults(run=_baseline_diff)
    return verbs


def add_assess(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command ``assess``."""
    assess = commands.add_parser("assess", help="what is there to watch, what it costs, what is wrong; sends nothing")
    assess.add_argument("paths", nargs="*", metavar="PATH", help=".jsonl, .jsonl.gz or .parquet")
    assess.add_argument("--topic", metavar="T", help="a range of a topic instead of files")
    assess.add_argument("--since", metavar="TIME", help="2026-03-01, or with a time of day; UTC where no zone is said")
    assess.add_argument("--until", metavar="TIME")
    assess.add_argument("--brokers", metavar="HOST:PORT", help="instead of a configuration")
    assess.add_argument("--config", type=Path, metavar="FILE", help="whose [kafka] says where; policies may be missing")
    assess.add_argument("--json", action="store_true", help="one JSON object")
    assess.add_argument("--policies", type=Path, metavar="FILE", help="also write the proposed policies there")
    assess.set_defaults(run=_assess)


def add_report(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], reach: Callable[[argparse.ArgumentParser], None]
) -> None:
    """The command ``report``; ``reach`` adds how a daemon is reached."""
    report = commands.add_parser("report", help="what was known of a model in a past range, as one file for an auditor")
    report.add_argument("--model", required=True, metavar="M")
    report.add_argument("--since", required=True, metavar="TIME", help="2026-03-01, or with a time of day; UTC")
    report.add_argument("--until", required=True, metavar="TIME")
    report.add_argument("--out", type=Path, required=True, metavar="FILE")
    report.add_argument("--store", type=Path, metavar="PATH", help="read a store, which a daemon may have open")
    report.add_argument("--config", type=Path, metavar="FILE", help="what that daemon was told; goes with --store")
    reach(report)
    report.set_defaults(run=_report)


def add_gate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command ``gate``."""
    gate = commands.add_parser("gate", help="before a release: is a candidate worse than what runs now? exit 0 or 3")
    gate.add_argument("--candidate", type=Path, required=True, metavar="PATH", help="events or a table, with answers")
    gate.add_argument("--against", type=Path, required=True, metavar="PATH", help="a reference, or what runs now")
    gate.add_argument("--config", type=Path, metavar="FILE", help="whose policies say what is tolerated")
    gate.add_argument("--model", metavar="NAME", help="the only one that is looked at")
    gate.add_argument("--level", type=float, default=None, metavar="P", help="refuses what is no worse so often; 0.01")
    _add_columns(gate)
    gate.add_argument("--outcome", metavar="COLUMN", help="what came of the case")
    gate.add_argument("--id", metavar="COLUMN", help="of the case: both sides are compared case by case")
    gate.add_argument("--sensitive", action="append", default=[], metavar="COLUMN", help="groups of people")
    gate.add_argument("--json", action="store_true", help="one JSON object last")
    gate.add_argument("--out", type=Path, metavar="REPORT.html")
    gate.set_defaults(run=_gate)


def add_publish(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command ``publish``."""
    publish = commands.add_parser("publish", help="sends outcomes or attributes of a table to a topic, each row once")
    publish.add_argument("file", type=Path, metavar="FILE", help=".csv, .csv.gz or .parquet")
    publish.add_argument("--topic", required=True, metavar="T")
    publish.add_argument("--config", type=Path, metavar="FILE", help="whose [kafka] says where")
    publish.add_argument("--brokers", metavar="HOST:PORT", help="instead of a configuration")
    publish.add_argument("--model", default="", metavar="NAME", help="of all rows, where no column says it")
    for name, what in (("id", "of the case"), ("time", "of the outcome"), ("outcome", "what came of it")):
        publish.add_argument(f"--{name}", metavar="COLUMN", help=what)
    publish.add_argument("--value", metavar="COLUMN", help="its money effect")
    publish.add_argument("--sensitive", action="append", default=[], metavar="COLUMN", help="a protected attribute")
    publish.add_argument("--leave-out", action="append", default=[], metavar="COLUMN")
    publish.add_argument("--state", type=Path, metavar="FILE", help="what was sent; FILE.published if not said")
    publish.add_argument("--again", action="store_true", help="send all rows, whatever was sent before")
    publish.set_defaults(run=_publish)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    """What the columns of a table are that is not of events."""
    parser.add_argument("--label", metavar="COLUMN", help="the predicted class")
    parser.add_argument("--score", metavar="COLUMN", help="the predicted probability")
    parser.add_argument("--value", metavar="COLUMN", help="the predicted number")
    parser.add_argument("--category", action="append", default=[], metavar="COLUMN", help="numbers that are codes")
    parser.add_argument("--leave-out", action="append", default=[], metavar="COLUMN")


def _baseline_build(arguments: Arguments) -> int:
    from monitor.catalog import training

    if (arguments.data is None) is (arguments.topic is None):
        raise UsageError("baseline build: name a training set, or a topic with --topic, not both")
    if arguments.topic is None and (arguments.since or arguments.until or arguments.config):
        raise UsageError("baseline build: --since, --until and --config go with --topic")
    if arguments.topic is not None and arguments.model is not None:
        raise UsageError("baseline build: of a topic all models are built; --model goes with DATA")
    if arguments.model is not None and "{model}" in str(arguments.out):
        raise UsageError("baseline build: {model} in --out is for all models; with --model it is one FILE")
    columns = training.Columns(
        label=arguments.label,
        score=arguments.score,
        value=arguments.value,
        left_out=frozenset(arguments.leave_out),
        categories=frozenset(arguments.category),
    )
    if arguments.model is None:
        return _baseline_build_all(arguments, columns)
    _baseline_build_one(arguments, columns)
    return 0


def _baseline_build_all(arguments: Arguments, columns: Any) -> int:
    from tqdm import tqdm

    from monitor import building
    from monitor.catalog.durations import parse_range
    from monitor.clock import SystemClock
    from monitor.config import load

    wanted = building.Wanted(arguments.out, arguments.version, arguments.replace)
    with tqdm(file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def progress(what: str, done: int, total: int) -> None:
            bar.set_description(what)
            bar.total, bar.n = total, done
            bar.refresh()

        if arguments.topic is not None:
            config = load(arguments.config, os.environ)
            span = parse_range("baseline build", arguments.since, arguments.until)
            made = building.of_topic(config, arguments.topic, span, wanted, SystemClock(), progress)
        else:
            made = building.of_files(arguments.data, wanted, columns, progress)
    for each in made:
        for warning in (*each.warnings, *filter(None, [each.fault])):
            print(f"{each.model}: {warning}", file=sys.stderr)
        if not each.fault:
            print(f"{each.path}: {each.rows} rows, {each.series} series, sha256 {each.digest}")
    failed = sum(bool(each.fault) for each in made)
    print(f"{len(made) - failed} of {len(made)} models have a reference in {arguments.out}")
    if any(each.refused for each in made):
        return UsageError.exit_code
    return 1 if failed else 0


def _baseline_build_one(arguments: Arguments, columns: Any) -> None:
    from tqdm import tqdm

    from monitor.catalog import profile, training

    with tqdm(unit="B", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        built = training.build(arguments.data, arguments.model, arguments.version, columns, progress)
    for warning in built.warnings:
        print(warning, file=sys.stderr)
    digest = profile.save_new(built.profile, arguments.out, replaced=arguments.replace)
    print(f"{arguments.out}: {built.profile.events} rows, {len(built.profile.series)} series, sha256 {digest}")


def _baseline_show(arguments: Arguments) -> None:
    from monitor.catalog import profile, profile_text
    from monitor.clock import SystemClock

    print(profile_text.show(*profile.load(arguments.file), now=SystemClock().now()), end="")


def _baseline_diff(arguments: Arguments) -> None:
    from monitor.catalog import profile, profile_text
    from monitor.clock import SystemClock

    a, b = profile.load(arguments.a)[0], profile.load(arguments.b)[0]
    print(profile_text.diff(a, b, now=SystemClock().now()), end="")


def _assess(arguments: Arguments) -> None:
    from monitor.assess import assess
    from monitor.catalog.durations import parse_range
    from monitor.clock import SystemClock
    from monitor.config import load

    if bool(arguments.paths) == bool(arguments.topic):
        raise UsageError("assess: name files, or a topic with --topic, not both")
    if not arguments.topic and (arguments.since or arguments.until or arguments.brokers):
        raise UsageError("assess: --since, --until and --brokers go with --topic")
    span = parse_range("assess", arguments.since, arguments.until)
    if arguments.policies and arguments.policies.exists():
        raise UsageError(f"assess: {arguments.policies}: is there already")
    config = load(arguments.config, os.environ, {"kafka.bootstrap_servers": arguments.brokers})
    clock = SystemClock()
    if arguments.topic:
        found = assess.assess_topic(config, arguments.topic, *span, clock)
    else:
        found = assess.assess_files(config, arguments.paths, clock)
    if arguments.policies:
        arguments.policies.write_text(found.policies, encoding="utf-8")
    (assess.write_json if arguments.json else assess.write_text)(found, sys.stdout)


def _report(arguments: Arguments) -> None:
    from monitor import remote, report
    from monitor.catalog.durations import parse_moment
    from monitor.clock import SystemClock, rfc3339
    from monitor.compose import program_version
    from monitor.config import load
    from monitor.stored import history

    try:
        since, until = parse_moment(arguments.since), parse_moment(arguments.until)
    except ValueError as error:
        raise UsageError(f"report: --since or --until {error}") from None
    if not since < until:
        raise UsageError("report: --until is not behind --since")
    if bool(arguments.store) != bool(arguments.config):
        raise UsageError("report: --store and --config go together: a store is read with what its daemon was told")
    if arguments.store:
        found = history(load(arguments.config, os.environ), arguments.store, arguments.model, since, until)
    else:
        daemon = remote.daemon(arguments.url or remote.DEFAULT_URL, arguments.token_file)
        asked = {"since": rfc3339(since), "until": rfc3339(until)}
        found = daemon.get("models", arguments.model, "history", **asked)
    report.write(found, rfc3339(SystemClock().now()), program_version(), arguments.out)
    print(f"{arguments.out}: {found['events']} events, {len(found['incidents'])} incidents")


def _gate(arguments: Arguments) -> int:
    from monitor.clock import SystemClock
    from monitor.config import load
    from monitor.gate import report
    from monitor.gate.gate import LEVEL, gate
    from monitor.gate.samples import Roles

    level = LEVEL if arguments.level is None else arguments.level
    if not 0.0 < level < 1.0:
        raise UsageError("gate: --level is a probability between 0 and 1")
    roles = Roles(
        *(arguments.label, arguments.score, arguments.value, arguments.outcome, arguments.id),
        tuple(arguments.sensitive),
        frozenset(arguments.leave_out),
        frozenset(arguments.category),
    )
    config = load(arguments.config, os.environ)
    verdict = gate(
        *(config, SystemClock(), arguments.candidate, arguments.against),
        roles=roles,
        model=arguments.model,
        level=level,
    )
    if arguments.out:
        report.write_page(verdict, arguments.out)
    (report.write_json if arguments.json else report.write_text)(verdict, sys.stdout)
    return 0 if verdict.passed else _REFUSED


def _publish(arguments: Arguments) -> None:
    from tqdm import tqdm

    from monitor.clock import SystemClock
    from monitor.config import load
    from monitor.ingest.tables import TableColumns
    from monitor.sending import Task, publish

    parts = {getattr(arguments, part): part for part in ("id", "time", "outcome", "value")}
    parts.pop(None, None)
    parts |= {column: f"sensitive.{column}" for column in arguments.sensitive}
    config = load(arguments.config, os.environ, {"kafka.bootstrap_servers": arguments.brokers})
    with tqdm(unit="rows", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:

        def progress(rows: int) -> None:
            bar.update(rows - bar.n)

        columns = TableColumns(parts, left_out=frozenset(arguments.leave_out))
        task = Task(arguments.file, arguments.topic, columns, arguments.model, arguments.state)
        sent = publish(task, config.require_kafka(), SystemClock(), again=arguments.again, progress=progress)
    before = f", {sent.before} had been sent before" if sent.before else ""
    print(f"{arguments.topic}: {sent.now} of {sent.rows} rows sent{before}")
