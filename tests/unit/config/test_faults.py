"""What is said of a configuration that can't be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from monitor.config import load
from monitor.errors import ConfigError
from monitor.schemas import registry

if TYPE_CHECKING:
    from pathlib import Path

Faults = Callable[..., list[str]]

ONE_FAULT = [
    ("tolerence = 1", "tolerence: unknown key; known: "),
    ("[clock]\ntick = '1x'", 'clock.tick: "1x" is not a duration such as "30s"'),
    ("[clock]\ntick = 60", 'clock.tick: 60 is not a duration such as "30s"'),
    ("[clock]\ntick = '0s'", 'clock.tick: "0s" is not greater than 0'),
    ("clock = 5", "clock: 5 is not a table"),
    ("[budget]\nfalse_alarms_per_week = 0", "budget.false_alarms_per_week: 0 is not greater than 0"),
    ("[budget]\nfalse_alarms_per_week = '5'", 'budget.false_alarms_per_week: "5" is not a number'),
    ("[budget]\nfalse_alarms_per_week = true", "budget.false_alarms_per_week: true is not a number"),
    ("[budget]\nfalse_alarms_per_week = nan", "budget.false_alarms_per_week: nan is not a finite number"),
    ("[budget]\nfalse_alarms_per_week = inf", "budget.false_alarms_per_week: inf is not a finite number"),
    ("[budget]\nshares = { drift = -0.1 }", "budget.shares.drift: -0.1 is less than 0"),
    (
        "[budget]\nshares = { drift = 0.9 }",
        "budget.shares: the shares sum to 1.7, more than 1 (drift 0.9, quality 0.1, performance 0.2, fairness 0.5)",
    ),
    ("[budget]\nteams = { a = 0.7, b = 0.4 }", "budget.teams: the parts of teams sum to 1.1, more than 1"),
    ("[budget]\nteams = { a = 0 }", "budget.teams.a: 0 is not greater than 0"),
    (
        "[budget]\nteams = { rsk = 0.4 }\n[[models]]\nmatch = '*'\nteam = 'risk'",
        'budget.teams: no policy names the team "rsk", did you mean "risk"?',
    ),
    ("[attention]\npages_per_team_per_day = 1.5", "attention.pages_per_team_per_day: 1.5 is not a whole number"),
    ("[cluster]\nenabled = 'yes'", 'cluster.enabled: "yes" is neither true nor false'),
    ("[store]\npath = ''", 'store.path: "" is empty'),
    ("[log]\nlevel = 'trace'", 'log.level: "trace" is not one of "debug", "info", "warning" or "error"'),
    ("[limits]\nmodels = 0", "limits.models: 0 is less than 1"),
    ("[limits]\nmodels = 0x" + "f" * 5000, "limits.models: its value is more than 1000000000000"),
    ("[http]\nlisten = '127.0.0.1'", 'http.listen: "127.0.0.1" is not an address such as "127.0.0.1:9899"'),
    ("[http]\nexternal_url = 'ftp://x'", 'http.external_url: "ftp://x" is not a URL such as http://localhost:9093'),
    ("[http]\ntls_cert_file = 'x'", "http: tls_cert_file and tls_key_file go together"),
    ("[privacy]\nretention = { cases = 'never' }", 'privacy.retention.cases: "never" is not a duration such as "30s"'),
    (
        "[alertmanager]\nurls = ['http://']",
        'alertmanager.urls[0]: "http://" is not a URL such as http://localhost:9093',
    ),
    ("[alertmanager]\nurls = 'http://a'", 'alertmanager.urls: "http://a" is not a list'),
    ("[alertmanager]\nurls = ['http://a', 'http://a/']", "alertmanager.urls: an Alertmanager is named twice"),
    ("[alertmanager]\nusername = 'a'", "alertmanager: username and password_file go together"),
    ("[alertmanager.external_labels]\na-b = 'c'", 'alertmanager.external_labels: "a-b" is not a label name'),
    ("[kafka]\ntopics = []", "kafka.topics: needs at least one"),
    ("[kafka]\ntopics = [{ name = 'a' }, { name = 'a' }]", 'kafka.topics: "a" is named twice'),
    ("[kafka]\ntopics = [{ name = 'a b' }]", 'kafka.topics[0].name: "a b" is not a topic\'s name'),
    ("[kafka]\ntopics = [{ name = '^(' }]", 'kafka.topics[0].name: "^(" is not a regular expression'),
    ("[kafka]\ntopics = [{ name = 'a', format = 'mapped' }]", 'kafka.topics[0]: format = "mapped" needs a mapping'),
    ("[kafka]\ntopics = [{ name = 'a', mapping = { id = 'key' } }]", "kafka.topics[0]: a mapping is for"),
    (
        "[kafka]\ntopics = [{ name = 'a', format = 'avro' }]",
        'kafka: topic "a" has format = "avro": schema_registry.urls',
    ),
    ("[kafka.schema_registry]\nusername = 'u'", "kafka.schema_registry: username and password_file go together"),
    (
        "[kafka]\ntopics = [{ name = 'a', format = 'mapped', mapping = { modle = 'key' } }]",
        'kafka.topics[0].mapping: "modle" is not a field of an event',
    ),
    (
        "[kafka]\ntopics = [{ name = 'a', format = 'mapped', mapping = { model = 'key', id.x = '/a' } }]",
        'kafka.topics[0].mapping: "id.x" has no such part',
    ),
    (
        "[kafka]\ntopics = [{ name = 'a', format = 'mapped', mapping = { model = 'key', features = '/*/b/*' } }]",
        'kafka.topics[0].mapping: "features" goes through more than one list',
    ),
    (
        "[kafka]\ntopics = [{ name = 'a', format = 'mapped', mapping = { features = '/a' } }]",
        "kafka.topics[0]: says nowhere which model",
    ),
    (
        "[kafka]\ntopics = [{ name = 'a', model = 'm' }]",
        "kafka.topics[0]: model, feature_names and class_names are for",
    ),
    ("[kafka]\ntopics = [{ name = 'a', format = 'oip', time_unit = 'ms' }]", "kafka.topics[0]: time_unit is for"),
    (
        "[kafka]\ntopics = [{ name = 'a', format = 'oip', model = 'header:' }]",
        'kafka.topics[0].model: "header:" names no header',
    ),
    (
        "[kafka]\ntopics = [{ name = 'a', format = 'oip', class_names = ['x', 'x'] }]",
        'kafka.topics[0].class_names: "x" stands twice',
    ),
    ("[kafka]\ndead_letter_topic = 'ml.outcomes'", "kafka: dead_letter_topic is one of the topics"),
    ("[kafka]\nstart_from = 'now'", 'kafka.start_from: "now" is not "earliest", "latest" or a time'),
    ("[kafka.librdkafka]\ngroup.id = 'x'", 'kafka.librdkafka: "group.id" is not for passing through: kafka.group_id'),
    ("[kafka.librdkafka]\n'enable.auto.commit' = true", 'kafka.librdkafka: "enable.auto.commit" is not for passing'),
    ("[models]\nmatch = '*'", "models: is not a list"),
    ("[[models]]", "models[0].match: is missing"),
    ("[[models]]\nmatch = '*'\ntolerence = 1", 'models[0].tolerence: unknown key, did you mean "tolerance"?'),
    ("[[models]]\nmatch = '*'\ntolerance.drft = 1", 'models[0].tolerance.drft: unknown key, did you mean "drift"?'),
    ("[[models]]\nmatch = '*'\nlearn.events = 0", "models[0].learn.events: 0 is less than 1"),
    (
        "[[models]]\nmatch = '*'\nlearn = { events = 5, events_min = 10 }",
        "models[0].learn: events (5) is less than events_min (10)",
    ),
    (
        "[[models]]\nmatch = '*'\nfavourable = ['a']\ndecision_threshold = 0.5",
        "models[0]: favourable and decision_threshold",
    ),
    ("[[models]]\nmatch = '*'\nsensitive = ['a', 'a']", "models[0].sensitive: something is named twice"),
    ("[[models]]\nmatch = '*'\nlimits.error_rate = 2", "models[0].limits.error_rate: 2 is more than 1"),
    (
        "[[models]]\nmatch = '*'\nlimits.eror_rate = 2",
        'models[0].limits.eror_rate: unknown key, did you mean "error_rate"?',
    ),
    ("[[models]]\nmatch = '*'\ncosts.false_positive = '9'", 'models[0].costs.false_positive: "9" is not a number'),
    ("[[models]]\nmatch = '*'\nreference = 'x'", 'models[0].reference: "x" is not "learn", "previous-version"'),
    ("[[models]]\nmatch = '*'\nreference = 'file:/{modell}'", 'models[0].reference: "file:/{modell}" has braces'),
    (
        "[[models]]\nmatch = '*'\nowners.qualty = 'x'",
        'models[0].owners: "qualty" is not a kind of incident, did you mean "quality"?',
    ),
    ("[[models]]\nmatch = '*'\nignore = [{}]", "models[0].ignore[0]: needs segment or id_prefix"),
    (
        "[[models]]\nmatch = '*'\nplanned = [{ from = 2026-01-02T00:00:00Z, until = 2026-01-01T00:00:00Z }]",
        "models[0].planned[0]: from is not before until",
    ),
    (
        "[[models]]\nmatch = '*'\nplanned = [{ from = 2026-01-02T00:00:00, until = 2026-01-03T00:00:00Z }]",
        "models[0].planned[0].from: 2026-01-02T00:00:00 is not a time with a zone",
    ),
    (
        "[[models]]\nmatch = '*'\nwatch_tags = [{ name = 'a', tags = [] }]",
        "models[0].watch_tags[0].tags: needs at least one",
    ),
    ("[[models]]\nmatch = '*'\ntolerance.drift = 'x'", 'models[0].tolerance.drift: "x" is neither "auto" nor a number'),
]


@pytest.mark.parametrize(("text", "fault"), ONE_FAULT)
def test_a_fault_is_one_line_with_its_place(faults_of: Faults, text: str, fault: str) -> None:
    """Each fault is told in one line of file, key, value and what is wrong with it."""
    (line,) = faults_of(text)
    assert line.startswith(f"config.toml: {fault}")


def test_all_faults_are_told_at_once(faults_of: Faults) -> None:
    """Nobody has to mend a file one fault at a time."""
    assert len(faults_of("[clock]\ntick = 1\nidel = 2\n[[models]]\nhold = 3\n", {"MODELWATCH_X": "1"})) == 5


@pytest.mark.parametrize("format_", ["avro", "protobuf"])
def test_a_format_without_its_libraries_names_the_extra(
    faults_of: Faults, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    """Where the optional libraries are not installed, the topic is refused with what to install."""
    monkeypatch.setattr(registry, "find_spec", lambda _name: None)
    told = faults_of(f"[kafka]\ntopics = [{{ name = 'a', format = '{format_}' }}]")
    assert any(format_ in line and "modelwatch[registry]" in line for line in told)


def test_watch_lists_take_no_more_than_fairness_has(faults_of: Faults, config_of: Callable[..., object]) -> None:
    """All watch lists of all entries together take at most the share of fairness, so that the promise holds."""
    entry = "[[models]]\nmatch = '{0}'\nwatch_tags = [{{ name = 'x', tags = ['t'], budget_share = {1} }}]\n"
    (line,) = faults_of(entry.format("a", 0.3) + entry.format("b", 0.3))
    assert "sums to 0.6" in line
    assert "fairness (0.5)" in line
    config_of(entry.format("a", 0.3) + entry.format("b", 0.2))


def test_syntax_errors_have_line_and_column(faults_of: Faults, tmp_path: Path) -> None:
    """A file that is no TOML is told with line and column, one that is no UTF-8 with the byte."""
    assert faults_of("[clock]\ntick 1") == [
        "config.toml: Expected '=' after a key in a key/value pair (at line 2, column 6)"
    ]
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigError, match=r"latin.toml: is not UTF-8 \(at byte 5\)"):
        load(tmp_path / "latin.toml", {})


@pytest.mark.parametrize("name", ["missing.toml", ".", "nul\0"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """A missing file, a directory and an impossible name are configuration errors too."""
    with pytest.raises(ConfigError):
        load(tmp_path / name, {})


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 3000 + "]" * 3000,
        ".".join("a" * 3000) + " = 1",
        "a = " + "9" * 5000,
        "a = " + "[" * 40 + "]" * 40,
    ],
)
def test_absurd_files_are_refused(faults_of: Faults, text: str) -> None:
    """Depths and sizes that no configuration has end in an error, not in a crash."""
    assert faults_of(text)


def test_variables_are_told_by_their_own_name(faults_of: Faults) -> None:
    """A bad or unknown variable or flag is named as it was given, with the nearest that exists."""
    environ = {
        "MODELWATCH_KAFKA__GROUPID": "x",
        "MODELWATCH_CLOCK__TICK": "1x",
        "MODELWATCH_PRIVACY": "{ smallest_group = 0 }",
        "MODELWATCH_MODELS": "[]",
        "MODELWATCH_KAFKA__TOPICS__0": "x",
        "MODELWATCH_PORT_9899_TCP": "tcp://10.0.0.1:9899",
        "MODELWATCH_CONFIG": "x",
        "MODELWATCH_STORE__PATH": "\udcff",
    }
    lines = faults_of("", environ, {"http.lisen": "x", "log.level": "loud"})
    assert "MODELWATCH_KAFKA__GROUPID: unknown variable, did you mean MODELWATCH_KAFKA__GROUP_ID?" in lines
    assert 'MODELWATCH_CLOCK__TICK: "1x" is not a duration such as "30s"' in lines
    assert "MODELWATCH_PRIVACY: privacy.smallest_group: 0 is less than 1" in lines
    assert "MODELWATCH_MODELS: [[models]] stand in a file alone" in lines
    assert "MODELWATCH_STORE__PATH: its value is not UTF-8" in lines
    assert 'flag http.lisen: unknown key, did you mean "http.listen"?' in lines
    assert 'flag log.level: "loud" is not one of "debug", "info", "warning" or "error"' in lines
    assert any(
        line.startswith("MODELWATCH_PORT_9899_TCP: unknown variable") and "enableServiceLinks" in line for line in lines
    )
    assert any(line.startswith("MODELWATCH_CONFIG: unknown variable") for line in lines)
    assert any(line.startswith("MODELWATCH_KAFKA__TOPICS__0: unknown variable") for line in lines)
    assert len(lines) == 10


@pytest.mark.parametrize(
    "text",
    [
        "[kafka.librdkafka]\n'sasl.password' = ['hunter2']",
        "[kafka.librdkafka]\n'sasl.password' = 2026-01-01",
        "[kafka]\nlibrdkafka = 'hunter2'",
        "[alertmanager]\nurls = ['http://user:hunter2@host']",
        "[alertmanager]\nheaders = { Host = 'hunter2' }",
        "[alertmanager]\nheaders = { X = ['hunter2'] }",
        '[alertmanager]\nheaders = { X = "hunter2\\u0000" }',
        "[alertmanager]\npassword = 'hunter2'",
    ],
)
def test_a_fault_never_shows_a_secret(faults_of: Faults, text: str) -> None:
    """Where a value may be a secret, its place is told and the value is not."""
    assert "hunter2" not in "\n".join(faults_of(text))
