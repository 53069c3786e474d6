"""Which words the program takes: parses them and calls, nothing else."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from monitor import commands_on_files
from monitor.errors import ModelwatchError, UsageError

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 usage, 78 bad configuration, 1 anything else."""
    arguments = _parser().parse_args(argv)
    run: Callable[[Arguments], int | None] = arguments.run
    try:
        code = run(arguments) or 0
        sys.stdout.flush()  # here, where what goes wrong with it can be told
    except ModelwatchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_output()  # whoever read it has gone
        return 1
    except OSError as error:
        print(f"{error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        if error.filename is None:
            _discard_output()
        return 1
    return code


def _discard_output() -> None:
    """What is left to write must not be complained about at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelwatch", description=_WHAT)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_replay(commands)
    _add_demo(commands)
    _add_accept(commands_on_files.add_baseline(commands))
    commands_on_files.add_assess(commands)
    commands_on_files.add_gate(commands)
    commands_on_files.add_publish(commands)
    commands_on_files.add_report(commands, _reach_daemon)
    _add_alerts(commands)
    _add_orders(commands)
    _add_store(commands)
    _add_audit(commands)
    version = commands.add_parser("version", help="which version this is")
    version.add_argument("--json", action="store_true")
    version.set_defaults(run=_version)
    return parser


_WHAT = "Watches fleets of machine-learning models on Kafka; the number of false alarms a week is a setting."


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="the daemon")
    run.add_argument("--config", type=Path, required=True, metavar="FILE")
    run.set_defaults(run=_run)
    check = commands.add_parser("check-config", help="validates a configuration and prints what it means")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=_check_config)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = commands.add_parser("replay", help="what a configuration would have said of files or a range of a topic")
    replay.add_argument("paths", nargs="*", metavar="PATH", help=".jsonl, .jsonl.gz or .parquet; - is standard input")
    replay.add_argument("--config", type=Path, metavar="FILE")
    replay.add_argument("--topic", metavar="T")
    replay.add_argument("--since", metavar="TIME")
    replay.add_argument("--until", metavar="TIME")
    replay.add_argument("--json", action="store_true", help="one JSON object a line")
    replay.add_argument("--out", type=Path, metavar="DIR", help="also write DIR/models/<model>.json")
    replay.add_argument(
        "--compare", type=Path, nargs=2, metavar=("A", "B"), help="two configurations: what each says and the other not"
    )
    replay.set_defaults(run=_replay)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser("demo", help="an embedded fleet with planted faults, in accelerated event time")
    demo.add_argument("--models", type=int, default=1000, metavar="N")
    demo.add_argument("--minutes", type=float, default=None, metavar="M", help="keep serving the status page that long")
    demo.add_argument("--seed", type=int, default=1, metavar="S")
    demo.add_argument("--speed", type=float, default=0.0, metavar="X", help="event seconds a second; 0: the fastest")
    demo.add_argument("--headless", action="store_true", help="no status page afterwards")
    demo.add_argument("--json", action="store_true", help="one JSON object last")
    demo.set_defaults(run=_demo)


def _add_accept(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    accept = verbs.add_parser("accept", help="makes what a model showed in the last seven days its reference")
    accept.add_argument("subject", metavar="MODEL")
    _ask_daemon(accept, "accept", "models")


def _add_alerts(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    alerts = commands.add_parser("alerts", help="the way to people")
    verbs = alerts.add_subparsers(title="verbs", metavar="VERB", required=True)
    test = verbs.add_parser("test", help="posts a test alert to each Alertmanager and resolves it")
    test.add_argument("--config", type=Path, required=True, metavar="FILE")
    test.add_argument("--hold", default="0s", metavar="DURATION", help="keep it firing that long, to see it arrive")
    test.set_defaults(run=_alerts_test)


def _add_orders(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ack = commands.add_parser(
        "ack", help="acknowledges an incident, or says what a resolved one was: expected, fixed, false or not useful"
    )
    ack.add_argument("subject", metavar="INCIDENT")
    ack.add_argument("--reason", choices=("expected", "fixed", "false", "not_useful"), default="expected")
    until = ack.add_mutually_exclusive_group()
    until.add_argument("--for", dest="for_", metavar="DURATION", help="7d if not said")
    until.add_argument("--until", metavar="TIME")
    _ask_daemon(ack, "ack", "incidents")
    unack = commands.add_parser("unack", help="takes back an acknowledgement, or what was said of a resolved incident")
    unack.add_argument("subject", metavar="INCIDENT")
    _ask_daemon(unack, "unack", "incidents")
    note = commands.add_parser("note", help="writes a note to an incident")
    note.add_argument("subject", metavar="INCIDENT")
    _ask_daemon(note, "note", "incidents", note_needed=True)
    exclude = commands.add_parser("exclude", help="takes a stretch of a model's past out of what it is judged by")
    exclude.add_argument("--model", dest="subject", required=True, metavar="M")
    exclude.add_argument("--from", dest="from_", required=True, metavar="TIME")
    exclude.add_argument("--until", required=True, metavar="TIME")
    _ask_daemon(exclude, "exclude", "models", note_needed=True)
    retire = commands.add_parser("retire", help="ends the watch of a model")
    retire.add_argument("subject", metavar="MODEL")
    _ask_daemon(retire, "retire", "models")
    groups = commands.add_parser("groups", help="what is behind the codes of a model's groups (scope fairness)")
    groups.add_argument("model", metavar="MODEL")
    groups.add_argument("--json", action="store_true")
    _reach_daemon(groups)
    groups.set_defaults(run=_groups)
    drill = commands.add_parser("drill", help="what would be seen of faults in a model, and after how long")
    drill.add_argument("--model", required=True, metavar="M")
    drill.add_argument("--store", type=Path, metavar="PATH", help="of a daemon that does not run, or a copy of one")
    drill.add_argument("--config", type=Path, metavar="FILE", help="what that daemon was told; goes with --store")
    drill.add_argument("--json", action="store_true")
    _reach_daemon(drill)
    drill.set_defaults(run=_drill)


def _ask_daemon(parser: argparse.ArgumentParser, verb: str, kind: str, *, note_needed: bool = False) -> None:
    """What all orders to a running daemon have in common."""
    parser.add_argument("--note", required=note_needed, metavar="TEXT", help="why; kept in the audit trail")
    parser.add_argument("--by", metavar="NAME", help="who asks; the name of the user if not said")
    _reach_daemon(parser)
    parser.set_defaults(run=_order, verb=verb, kind=kind)


def _reach_daemon(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="of the daemon; http://127.0.0.1:9899 if not said")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="its first word is a token that may do this")


def _add_store(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    store = commands.add_parser("store", help="what must survive: looked through, copied away, put back")
    verbs = store.add_subparsers(title="verbs", metavar="VERB", required=True)
    check = verbs.add_parser("check", help="reads all of a store and says what it holds, or where it is damaged")
    check.add_argument("path", type=Path, metavar="STORE")
    check.set_defaults(run=_store_check)
    backup = verbs.add_parser("backup", help="copies a store, which a daemon may have open")
    backup.add_argument("path", type=Path, metavar="STORE")
    backup.add_argument("target", type=Path, metavar="BACKUP")
    backup.set_defaults(run=_store_copy)
    forget = verbs.add_parser("forget", help="removes what a running daemon keeps of one person alone")
    whose = forget.add_mutually_exclusive_group(required=True)
    whose.add_argument("--id", metavar="ID", help="of the person's events")
    whose.add_argument("--entity", metavar="E", help="the person's pseudonym in events")
    forget.add_argument("--model", metavar="M", help="of this model alone; of all if not said")
    forget.add_argument("--note", metavar="TEXT", help="why; kept in the audit trail")
    forget.add_argument("--by", metavar="NAME", help="who asks; the name of the user if not said")
    _reach_daemon(forget)
    forget.set_defaults(run=_store_forget)
    restore = verbs.add_parser("restore", help="makes a store of a backup; a store that is there is never overwritten")
    restore.add_argument("path", type=Path, metavar="BACKUP")
    restore.add_argument("target", type=Path, metavar="STORE")
    restore.set_defaults(run=_store_copy)


def _add_audit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    audit = commands.add_parser("audit", help="who decided what, when and by what: the trail of a store")
    verbs = audit.add_subparsers(title="verbs", metavar="VERB", required=True)
    verify = verbs.add_parser("verify", help="whether the trail is whole and as it was written")
    verify.add_argument("store", type=Path, metavar="STORE")
    verify.add_argument("--config", type=Path, metavar="FILE", help="also against the anchors in its kafka.audit_topic")
    verify.set_defaults(run=_audit_verify)
    show = verbs.add_parser("show", help="the trail, oldest first")
    show.add_argument("store", type=Path, metavar="STORE")
    show.add_argument("--kind", choices=("program", "configuration", "reference", "incident", "order", "budget"))
    show.add_argument("--subject", metavar="NAME", help="a model, an incident, a digest, a day")
    show.add_argument("--json", action="store_true", help="one JSON object a line, with all that was said")
    show.set_defaults(run=_audit_show)
    exhibit = verbs.add_parser("exhibit", help="the policy or the reference that an incident names by its digest")
    exhibit.add_argument("store", type=Path, metavar="STORE")
    exhibit.add_argument("digest", metavar="DIGEST")
    exhibit.add_argument("--out", type=Path, required=True, metavar="FILE")
    exhibit.set_defaults(run=_audit_exhibit)
    capsule = verbs.add_parser("capsule", help="an incident with all that it was judged by, to be judged again")
    capsule.add_argument("store", type=Path, metavar="STORE")
    capsule.add_argument("incident", metavar="INCIDENT")
    capsule.add_argument("--out", type=Path, required=True, metavar="FILE")
    capsule.add_argument("--of-groups", action="store_true", help="also where it holds counts of groups by batch")
    capsule.set_defaults(run=_audit_capsule)


# Each command imports what it needs: `modelwatch version` need not load Kafka, nor `check-config` numpy.


def _run(arguments: Arguments) -> None:
    from monitor.heap import share

    share()  # some of what is imported next starts threads
    from monitor.app import run
    from monitor.clock import SystemClock
    from monitor.config import load

    config = load(arguments.config, os.environ)
    config.require_kafka()
    run(config, SystemClock(), lambda: load(arguments.config, os.environ))


def _check_config(arguments: Arguments) -> None:
    from monitor.config import describe, load

    print(describe(load(arguments.file, os.environ)), end="")


def _replay(arguments: Arguments) -> None:
    from monitor import replay
    from monitor.catalog.durations import parse_range
    from monitor.clock import SystemClock
    from monitor.config import load

    clock = SystemClock()
    if bool(arguments.paths) == bool(arguments.topic):
        raise UsageError("replay: name files, or a topic with --topic, not both")
    if not arguments.topic and (arguments.since or arguments.until):
        raise UsageError("replay: --since and --until go with --topic")
    if arguments.compare and (arguments.config or arguments.out or "-" in arguments.paths):
        raise UsageError(
            "replay: --compare names the configurations itself, reads files or a topic, and writes no --out"
        )

    span = parse_range("replay", arguments.since, arguments.until)

    def replayed(path: Path | None) -> replay.Replayed:
        config = load(path, os.environ)
        if arguments.topic:
            return replay.of_topic(config, arguments.topic, *span, clock)
        return replay.of_files(config, arguments.paths, clock)

    if arguments.compare:
        a, b = (replayed(path) for path in arguments.compare)
        replay.write_difference(a, b, sys.stdout, as_json=arguments.json)
        return
    result = replayed(arguments.config)
    replay.write_warnings(result, sys.stderr)
    (replay.write_json if arguments.json else replay.write_text)(result, sys.stdout)
    if arguments.out:
        replay.write_documents(result, arguments.out)


def _demo(arguments: Arguments) -> int:
    from monitor import demo
    from monitor.clock import SystemClock

    if arguments.models < 1 or arguments.speed < 0:
        raise UsageError("demo: --models must be at least 1, --speed not negative")
    return demo.run(
        SystemClock(),
        models=arguments.models,
        minutes=arguments.minutes,
        seed=arguments.seed,
        speed=arguments.speed,
        headless=arguments.headless,
        print_json=arguments.json,
    )


def _alerts_test(arguments: Arguments) -> int:
    from monitor.catalog.durations import parse_duration
    from monitor.clock import SystemClock
    from monitor.config import load
    from monitor.notify.rehearsal import rehearse

    config = load(arguments.config, os.environ)
    if not config.alertmanager.urls:
        raise UsageError("alerts test: the configuration names no Alertmanager (alertmanager.urls)")
    try:
        hold = parse_duration(arguments.hold)
    except ValueError as error:
        raise UsageError(f"alerts test: --hold: {error}") from error
    results = rehearse(config.alertmanager, SystemClock(), config.http.external_url, hold_seconds=hold)
    for result in results:
        print(f"{result.alertmanager}: {'ok' if result.ok else 'FAILED'}: {result.detail}")
    return 0 if all(result.ok for result in results) else 1


_DONE = {"accept": "accepted", "exclude": "excluded, and judged again", "retire": "retired"}
"""What a model was, that an order spoke of."""


def _order(arguments: Arguments) -> None:
    import getpass

    from monitor import remote

    said = {
        "by": arguments.by or getpass.getuser(),
        "note": arguments.note,
        "reason": getattr(arguments, "reason", None),
        "for": getattr(arguments, "for_", None),
        "from": getattr(arguments, "from_", None),
        "until": getattr(arguments, "until", None),
    }
    body = {name: value for name, value in said.items() if value is not None}
    daemon = remote.daemon(arguments.url or remote.DEFAULT_URL, arguments.token_file)
    answer = daemon.post(body, arguments.kind, arguments.subject, arguments.verb)
    if arguments.kind == "models":
        print(f"{answer['model']}: {_DONE[arguments.verb]}")
        print("".join(f"{state} {one}\n" for state in ("resolved", "firing") for one in answer[state]), end="")
        return
    known = answer["acknowledged"]
    state = f"acknowledged by {known['by']} until {known['until']}" if known else answer["state"]
    print(f"{answer['id']}: {state}: {answer['summary']}")


def _drill(arguments: Arguments) -> None:
    from monitor import remote

    if arguments.store:
        from monitor.config import load
        from monitor.stored import drill

        found = drill(load(arguments.config, os.environ), arguments.store, arguments.model)
    else:
        daemon = remote.daemon(arguments.url or remote.DEFAULT_URL, arguments.token_file)
        found = daemon.get("models", arguments.model, "drill")
    if arguments.json:
        print(json.dumps(found))
        return
    for fault in found["faults"]:
        by = f" ({fault['detector']})" if fault["detector"] else ""
        print(f"{fault['words']}{by}")
    print(f"{len(found['faults'])} faults, {len(found['blind_spots'])} of them blind spots")


def _groups(arguments: Arguments) -> None:
    from monitor import remote

    daemon = remote.daemon(arguments.url or remote.DEFAULT_URL, arguments.token_file)
    found = daemon.get("models", arguments.model, "groups")
    if arguments.json:
        print(json.dumps(found))
        return
    for attribute in found["attributes"]:
        for group in attribute["groups"]:
            print(f"{group['group']}  {attribute['attribute']} = {group['value']}  ({group['n']} cases)")
        if attribute["hidden"]:
            print(
                f"{attribute['attribute']}: {attribute['hidden']} more, too small to be shown or computable from these"
            )


def _store_forget(arguments: Arguments) -> None:
    import getpass

    from monitor import remote

    said = {"id": arguments.id, "entity": arguments.entity, "model": arguments.model, "note": arguments.note}
    body = {"by": arguments.by or getpass.getuser(), **{name: text for name, text in said.items() if text}}
    daemon = remote.daemon(arguments.url or remote.DEFAULT_URL, arguments.token_file)
    answer = daemon.post(body, "store", "forget")
    print(
        f"{answer['subject']}: removed {answer['waiting']} waiting and {answer['matured']} matured cases, "
        f"{answer['repeats']} keys of ids"
    )
    print("".join(f"remains: {what}\n" for what in answer["remains"]), end="")
    print("".join(f"yours to clean: topic {topic}\n" for topic in answer["topics"]), end="")


def _store_check(arguments: Arguments) -> None:
    from monitor.clock import rfc3339
    from monitor.compose import make_fleet
    from monitor.config import load
    from monitor.store.tools import check

    found = check(arguments.path, lambda: make_fleet(load(None, {})))
    reached = rfc3339(found.watermark) if found.watermark > float("-inf") else "nothing"
    print(
        f"{arguments.path}: whole; {found.models} models, {found.series} series, {found.open_ticks} open ticks, "
        f"{found.open_incidents} open incidents, {found.remembered} events remembered; event time {reached}"
    )
    for kind in sorted(found.keys):
        print(f"  {kind:4} {found.keys[kind]:>10} keys {found.n_bytes[kind]:>14} bytes")
    for (topic, number), offset in sorted(found.positions.items()):
        print(f"  {topic}[{number}] next offset {offset}")


def _store_copy(arguments: Arguments) -> None:
    from monitor.compose import make_fleet
    from monitor.config import load
    from monitor.store.tools import check, copy

    n = copy(arguments.path, arguments.target)
    found = check(arguments.target, lambda: make_fleet(load(None, {})))
    print(f"{arguments.target}: {n} keys, {found.models} models, read back whole")


def _audit_verify(arguments: Arguments) -> None:
    from monitor import auditing
    from monitor.clock import SystemClock
    from monitor.config import load

    config = load(arguments.config, os.environ) if arguments.config else None
    found = auditing.verify(arguments.store, config, SystemClock())
    anchors = f", agrees with {found.n_anchors} anchors in {config.require_kafka().audit_topic}" if config else ""
    print(f"{arguments.store}: whole; {found.end.number} entries, the last {found.end.digest.hex()}{anchors}")


def _audit_show(arguments: Arguments) -> None:
    from monitor import auditing
    from monitor.clock import rfc3339

    for entry in auditing.entries(arguments.store):
        if arguments.kind not in {None, entry.kind} or arguments.subject not in {None, entry.subject}:
            continue
        if arguments.json:
            head = {"number": entry.number, "time": rfc3339(entry.time), "kind": entry.kind, "subject": entry.subject}
            print(json.dumps(head | {"by": entry.by, "before": entry.before.hex(), "said": entry.said}))
        else:
            words = ", ".join(f"{name} {value}" for name, value in entry.said.items() if _short(value))
            by = f" by {entry.by}" if entry.by else ""
            print(f"{entry.number:>6}  {rfc3339(entry.time)}  {entry.kind:13}  {entry.subject}{by}: {words}")


def _short(value: object) -> bool:
    """Whether ``value`` says something that fits a line."""
    return value not in ("", None, 0.0, [], {}) and len(str(value)) <= 100


def _audit_exhibit(arguments: Arguments) -> None:
    from monitor import auditing

    content = auditing.exhibit(arguments.store, arguments.digest)
    arguments.out.write_bytes(content)
    print(f"{arguments.out}: {len(content)} bytes, {arguments.digest}")


def _audit_capsule(arguments: Arguments) -> None:
    from monitor import auditing

    found = auditing.capsule(arguments.store, arguments.incident, of_groups=arguments.of_groups)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{arguments.out}: {len(found['docket'])} lines, docket {found['incident']['docket_digest']}")


def _version(arguments: Arguments) -> None:
    from importlib.metadata import version

    facts = {"version": version("modelwatch"), "python": platform.python_version()}
    print(json.dumps(facts) if arguments.json else f"modelwatch {facts['version']} (Python {facts['python']})")
