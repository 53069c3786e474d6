"""What a file, the environment and flags come to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.config import Config, describe, load
from monitor.errors import ConfigError

Load = Callable[..., Config]
Faults = Callable[..., list[str]]

CONTRACT = """
[kafka]
topics = [{ name = "ml.predictions", format = "native" }]
start_from = 2026-01-01T00:00:00Z
[kafka.librdkafka]
security.protocol = "SASL_SSL"
"sasl.password" = "hunter2"
[alertmanager]
urls = ["http://a:9093/prefix/", "https://b"]
headers = { X-Scope-OrgID = "hunter2" }
[[models]]
match = "credit-*"
sensitive = ["sex"]
favourable = [true, "yes"]
"""


def test_no_file_is_all_defaults() -> None:
    """Without a file, variables or flags every key has the default of the manual."""
    config = load(None, {})
    assert config.kafka is None
    assert config.files == ()
    assert (config.clock.tick, config.clock.lateness, config.clock.idle, config.clock.future) == (60, 120, 60, 600)
    assert (config.budget.false_alarms_per_week, config.budget.per_model_per_week) == (5.0, 1.0)
    shares = config.budget.shares
    assert (shares.drift, shares.quality, shares.performance, shares.fairness) == (0.2, 0.1, 0.2, 0.5)
    assert (config.store.path, config.store.commit) == ("/var/lib/modelwatch", 5.0)
    assert config.http.address == ("127.0.0.1", 9899)
    assert config.privacy.retention.cases == "outcome_horizon"
    assert config.privacy.retention.ticks == 400 * 86400
    assert (config.alertmanager.urls, config.alertmanager.resend, config.alertmanager.timeout) == ((), 60, 10)
    assert config.attention.pages_per_team_per_day == 10
    assert not config.cluster.enabled


def test_kafka_is_needed_by_run_alone(config_of: Load) -> None:
    """A file of nothing but policies loads, and says what is missing when it is asked for Kafka."""
    config = config_of('[[models]]\nmatch = "*"\n')
    with pytest.raises(ConfigError, match="kafka: is missing") as raised:
        config.require_kafka()
    assert raised.value.exit_code == 78
    kafka = config_of("[kafka]\n").require_kafka()
    assert (kafka.bootstrap_servers, kafka.group_id, kafka.dead_letter_topic) == ("localhost:9092", "modelwatch", "")
    assert [(topic.name, topic.format) for topic in kafka.topics] == [
        ("ml.predictions", "native"),
        ("ml.outcomes", "native"),
    ]


def test_a_flag_beats_the_environment_beats_the_file(config_of: Load) -> None:
    """Precedence is flag, environment, file, default, key by key."""
    text = '[store]\npath = "/file"\n[clock]\ntick = "1m"\nidle = "2m"\nlateness = "3m"\n'
    environ = {"MODELWATCH_CLOCK__TICK": "10s", "MODELWATCH_CLOCK__IDLE": "20s"}
    config = config_of(text, environ, {"clock.tick": "1s", "http.listen": None, "store.path": Path("/flag")})
    assert (config.clock.tick, config.clock.idle, config.clock.lateness, config.clock.future) == (1, 20, 180, 600)
    assert config.store.path == "/flag"
    assert config.http.listen == "127.0.0.1:9899"


def test_a_variable_is_toml_where_it_is_toml(config_of: Load) -> None:
    """Lists, tables, numbers and truth values are read as such; a text may look like a number."""
    environ = {
        "MODELWATCH_KAFKA__GROUP_ID": "123",
        "MODELWATCH_KAFKA__TOPICS": '[{ name = "a" }]',
        "MODELWATCH_KAFKA__START_FROM": "2026-11-27T00:00:00Z",
        "MODELWATCH_KAFKA__LIBRDKAFKA__SASL_PASSWORD": "0123",
        "MODELWATCH_CLUSTER__ENABLED": "true",
        "MODELWATCH_BUDGET__SHARES__DRIFT": "0.1",
        "MODELWATCH_PRIVACY": '{ smallest_group = 30, retention = { ticks = "1d" } }',
        "MODELWATCH_ALERTMANAGER__HEADERS__X_SCOPE_ORGID": "7",
        "PATH": "/bin",
    }
    config = config_of('[kafka.librdkafka]\nsasl.password = "file"\nsecurity.protocol = "SSL"\n', environ)
    kafka = config.require_kafka()
    assert (kafka.group_id, kafka.topics[0].name, kafka.start_from) == ("123", "a", 1795737600)
    assert kafka.client() == {
        "sasl.password": "0123",
        "security.protocol": "SSL",
        "bootstrap.servers": "localhost:9092",
    }
    assert config.cluster.enabled
    assert (config.budget.shares.drift, config.budget.shares.fairness) == (0.1, 0.5)
    assert (config.privacy.smallest_group, config.privacy.retention.ticks) == (30, 86400)
    assert dict(config.alertmanager.headers) == {"x-scope-orgid": "7"}


def test_included_files_come_after_the_main_one_in_order(config_of: Load, tmp_path: Path) -> None:
    """Policies of included files are appended, sorted within a pattern, each file once, and relative to the file."""
    teams = tmp_path / "policies.d"
    teams.mkdir()
    (teams / "b.toml").write_text('[[models]]\nmatch = "*"\nteam = "b"\nallowed_outputs = "file:out.txt"\n')
    (teams / "a.toml").write_text('[[models]]\nmatch = "*"\nteam = "a"\n')
    include = 'include = ["policies.d/*.toml", "policies.d/a.toml", "none.d/*.toml"]\n'
    config = config_of(include + '[[models]]\nmatch = "*"\nteam = "main"\n')
    assert [path.name for path in config.files] == ["config.toml", "a.toml", "b.toml"]
    assert [clause.origin for clause in config.policies.clauses] == [f"{path}: models[0]" for path in config.files]
    policy = config.policies.resolve("any")
    assert (policy.team, policy.allowed_outputs) == ("b", f"file:{teams}/out.txt")


def test_faults_of_included_files_name_them(faults_of: Faults, tmp_path: Path) -> None:
    """A fault in an included file names that file and the place in it, and only policies may stand there."""
    (tmp_path / "a.toml").write_text('[kafka]\n[[models]]\nmatch = "x"\nhold = 5\n')
    (tmp_path / "b.toml").write_text("[[models\n")
    (tmp_path / "c.toml").write_text('[[models]]\nmatch = "x"\nmatch = "y"\n')
    lines = faults_of('include = ["[abc].toml", "missing.toml", "config.toml"]\n[clock]\ntikc = 1\n')
    assert lines == [
        'config.toml: clock.tikc: unknown key, did you mean "tick"?',
        'a.toml: models[0].hold: 5 is not a duration such as "30s"',
        "a.toml: kafka: an included file holds [[models]] alone",
        "b.toml: Expected ']]' at the end of an array declaration (at line 1, column 9)",
        "c.toml: Cannot overwrite a value (at line 3, column 12)",
        'config.toml: include[1]: "missing.toml" does not exist',
        'config.toml: include[2]: "config.toml" names the file that it stands in',
    ]


def test_relative_paths_start_at_the_file(config_of: Load, tmp_path: Path) -> None:
    """A path in a file starts at its directory, one in the environment or a flag where the program runs."""
    text = '[http]\ntoken_file = "tokens"\n[kafka]\nsasl_password_file = "/abs"\n[alertmanager]\nca_file = ""\n'
    config = config_of(f'{text}[store]\npath = "there"\n', {"MODELWATCH_STORE__PATH": "here"})
    assert config.http.token_file == str(tmp_path / "tokens")
    assert config.require_kafka().sasl_password_file == "/abs"
    assert (config.alertmanager.ca_file, config.store.path) == ("", "here")


def test_secrets_are_never_shown(config_of: Load) -> None:
    """Neither the description, the representation nor the digest holds a secret, and what needs it gets it."""
    config = config_of(CONTRACT)
    assert "hunter2" not in describe(config) + repr(config)
    assert "(hidden)" in describe(config)
    assert config_of(CONTRACT.replace("hunter2", "other")).digest == config.digest
    assert config.require_kafka().client()["sasl.password"] == "hunter2"


def test_the_digest_is_that_of_the_meaning(config_of: Load) -> None:
    """Layout, comments and where a value was said leave the digest alone, another value changes it."""
    one = config_of('[clock]\ntick = "60s"\n[[models]]\nmatch="a"\nhold="60s"\n')
    two = config_of('[[models]]\nhold="1m"  # a minute\nmatch="a"\n', {"MODELWATCH_CLOCK__TICK": "1m"})
    three = config_of('[[models]]\nmatch="a"\nhold="61s"\n')
    assert one.digest == two.digest != three.digest
    assert len(one.digest) == 64


def test_the_description_is_a_configuration(config_of: Load) -> None:
    """What check-config prints is TOML, the same each time, and comes to the same policies when it is read."""
    config = config_of(CONTRACT)
    text = describe(config)
    assert text == describe(config_of(CONTRACT))
    again = config_of(text)
    assert again.policies.resolve("credit-1") == config.policies.resolve("credit-1")
    assert again.policies.resolve("other") == config.policies.resolve("other")
    assert (again.clock, again.budget, again.http, again.limits) == (
        config.clock,
        config.budget,
        config.http,
        config.limits,
    )


def test_the_description_shows_each_pattern_with_what_it_inherits(config_of: Load) -> None:
    """A narrower pattern is shown with what wider ones said before it, bracketed patterns too."""
    text = describe(
        config_of('[[models]]\nmatch="*"\nteam="all"\n[[models]]\nmatch="a-[xy]"\nhold="2h"\n[[models]]\nmatch="b"\n')
    )
    narrow = text.split("[[models]]")[2]
    assert 'match = "a-[xy]"' in narrow
    assert 'team = "all"' in narrow
    assert 'hold = "2h"' in narrow
    assert "no pattern names" not in text


def test_values_are_brought_into_one_form(config_of: Load) -> None:
    """Slashes at a URL's end go, classes are written as decoding writes them, times are seconds."""
    config = config_of(CONTRACT.replace('[true, "yes"]', "[1.0, 2.5]"))
    assert config.alertmanager.urls == ("http://a:9093/prefix", "https://b")
    assert config.policies.resolve("credit-1").favourable == ("1", "2.5")
    assert config.require_kafka().start_from == 1767225600


def test_a_topic_is_found_by_name_then_by_pattern(config_of: Load) -> None:
    """A topic's own entry comes before patterns, and the dead-letter topic is never read."""
    topics = 'topics = [{ name = "^ml\\\\." }, { name = "ml.k", format = "kserve" }]\ndead_letter_topic = "ml.dead"\n'
    kafka = config_of(f"[kafka]\n{topics}").require_kafka()
    named, fitting = kafka.topic("ml.k"), kafka.topic("ml.other")
    assert named is not None
    assert named.format == "kserve"
    assert fitting is not None
    assert fitting.format == "native"
    assert kafka.topic("ml.dead") is None
    assert kafka.topic("xml.k") is None


def test_the_password_comes_from_its_file(config_of: Load, tmp_path: Path) -> None:
    """The file is read when a client is made, relative to the configuration, and a missing one is named."""
    kafka = config_of('[kafka]\nsasl_password_file = "password"\n').require_kafka()
    with pytest.raises(ConfigError, match=r"password: No such file"):
        kafka.client()
    (tmp_path / "password").write_text("s3cret\n")
    assert kafka.client()["sasl.password"] == "s3cret"


@pytest.mark.parametrize(
    ("listen", "address"), [("[::1]:80", ("::1", 80)), (":9899", ("", 9899)), ("localhost:0", ("localhost", 0))]
)
def test_an_address_may_be_of_either_family(config_of: Load, listen: str, address: tuple[str, int]) -> None:
    """Brackets, an empty host and port 0 are understood."""
    assert config_of(f'[http]\nlisten = "{listen}"\n').http.address == address


def test_configuration_loads_no_kafka_and_no_arrays() -> None:
    """Reading a configuration imports neither the Kafka client nor numpy, so that check-config starts at once."""
    code = "import sys, monitor.config; print({'confluent_kafka', 'numpy', 'scipy', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_classes_that_precision_speaks_of_are_a_list(config_of: Load) -> None:
    """``positive`` takes a list, and numbers in it are the classes of their text."""
    config = config_of('[[models]]\nmatch = "*"\npositive = ["default", 1]\n')
    assert config.policies.resolve("any").positive == ("default", "1")
    assert config_of("").policies.resolve("any").positive == ()
