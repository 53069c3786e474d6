"""A real broker: do the rows of a table arrive once each, however often they are sent?"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from monitor import cli
from monitor.catalog.profile import load as load_reference
from monitor.clock import SystemClock
from monitor.config import load
from monitor.errors import UsageError
from monitor.ingest.kafka_range import KafkaRange
from monitor.ingest.settings import KafkaSettings
from monitor.ingest.tables import TableColumns
from monitor.sending import Task, publish

if TYPE_CHECKING:
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

ROWS = 5000


def table(path: Path, rows: int = ROWS) -> Path:
    path.write_text("id,truth,sex\n" + "".join(f"c{i},{'yes' if i % 3 else 'no'},F\n" for i in range(rows)))
    return path


def read(kafka: KafkaServer, topic: str) -> list[tuple[bytes | None, dict[str, Any]]]:
    config = load(None, {}, {"kafka.bootstrap_servers": kafka.bootstrap})
    found = []
    with closing(KafkaRange(config.require_kafka(), topic, None, None, {}, SystemClock())) as source:
        while not source.finished():
            batch = source.poll(4000, 0.5)
            found += [json.loads(value) for value in batch.values if value is not None]
    return found


def test_each_row_once(kafka: KafkaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command sends all rows as events of one model; called again it sends none."""
    topic, path = kafka.new_topic(3, "outcomes"), table(tmp_path / "o.csv")
    words = ["publish", str(path), "--topic", topic, "--brokers", kafka.bootstrap, "--model", "credit"]
    words += ["--outcome", "truth", "--sensitive", "sex"]
    assert cli.main(words) == 0
    assert f"{topic}: {ROWS} of {ROWS} rows sent" in capsys.readouterr().out
    assert cli.main(words) == 0
    assert f"0 of {ROWS} rows sent, {ROWS} had been sent before" in capsys.readouterr().out
    found = read(kafka, topic)
    assert Counter(event["id"] for event in found) == Counter(f"c{i}" for i in range(ROWS))
    assert found[0].keys() == {"model", "id", "outcome", "sensitive"}
    assert {event["model"] for event in found} == {"credit"}


def test_taken_up_where_it_was_left(kafka: KafkaServer, tmp_path: Path) -> None:
    """What an earlier call sent is not sent again; a file that changed is refused, unless all is to be sent."""
    topic, path = kafka.new_topic(1, "outcomes"), table(tmp_path / "o.csv")
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    columns = TableColumns({"truth": "outcome", "sex": "sensitive.sex"})

    class Died(Exception):  # noqa: N818
        pass

    def die(_rows: int) -> None:
        raise Died

    with pytest.raises(Died):
        publish(Task(path, topic, columns, "m"), settings, SystemClock(), progress=die)
    sent = publish(Task(path, topic, columns, "m"), settings, SystemClock())
    assert (sent.rows, sent.before + sent.now) == (ROWS, ROWS)
    assert 0 < sent.before < ROWS
    assert len(read(kafka, topic)) == ROWS
    table(path, ROWS + 1)
    with pytest.raises(UsageError, match=f"{ROWS} rows of it were sent as it was then"):
        publish(Task(path, topic, columns, "m"), settings, SystemClock())
    again = publish(Task(path, topic, columns, "m"), settings, SystemClock(), again=True)
    assert (again.before, again.now) == (0, ROWS + 1)


def test_nothing_is_sent_of_a_file_with_a_bad_row(kafka: KafkaServer, tmp_path: Path) -> None:
    """Every row is looked at before the first is sent."""
    topic, path = kafka.new_topic(1, "outcomes"), tmp_path / "o.csv"
    path.write_text("id,outcome\nc1,yes\n,no\n")
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap)
    with pytest.raises(UsageError, match="row 1 is no event: missing_model"):
        publish(Task(path, topic, TableColumns({})), settings, SystemClock())
    with pytest.raises(UsageError, match="row 2 is no event: missing_id"):
        publish(Task(path, topic, TableColumns({}), "m"), settings, SystemClock())
    assert read(kafka, topic) == []


def test_references_of_a_range_of_a_topic(
    kafka: KafkaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`baseline build --topic` makes a reference of each model of the range."""
    topic = kafka.new_topic(2, "features")
    for i in range(600):
        event = {"model": f"m{i % 2}", "time": 1.7e9 + i, "features": {"x": i * 0.1}}
        kafka.producer.produce(topic, json.dumps(event).encode())
    kafka.producer.flush(10)
    monkeypatch.setenv("MODELWATCH_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap)
    assert cli.main(["baseline", "build", "--topic", topic, "--out", str(tmp_path / "refs")]) == 0
    assert "2 of 2 models have a reference" in capsys.readouterr().out
    assert load_reference(tmp_path / "refs" / "m1.mwref")[0].events == 300


def test_references_of_a_topic_in_another_format(
    kafka: KafkaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`baseline build --topic` reads a topic in the format that the configuration says it has."""
    topic = kafka.new_topic(1, "mapped")
    for i in range(300):
        kafka.producer.produce(topic, json.dumps({"who": "m", "ts": 1.7e9 + i, "x": {"a": i * 0.1}}).encode())
    kafka.producer.flush(10)
    config = tmp_path / "modelwatch.toml"
    mapping = '{ model = "/who", time = "/ts", features = "/x" }'
    config.write_text(
        f'[kafka]\nbootstrap_servers = "{kafka.bootstrap}"\n'
        f'topics = [{{ name = "{topic}", format = "mapped", mapping = {mapping} }}]\n'
    )
    words = ["baseline", "build", "--topic", topic, "--config", str(config), "--out", str(tmp_path / "refs")]
    assert cli.main(words) == 0
    assert "1 of 1 models have a reference" in capsys.readouterr().out
    assert load_reference(tmp_path / "refs" / "m.mwref")[0].events == 300


def test_an_assessment_of_a_topic(
    kafka: KafkaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`assess --topic` needs a broker alone; its ticks fit what the topic holds, and times are days or instants."""
    topic = kafka.new_topic(2, "seldom")
    for i in range(600):
        event = {"model": "m", "time": 1.7e9 + i * 45.0, "features": {"x": i * 0.1}}
        kafka.producer.produce(topic, json.dumps(event).encode())
    kafka.producer.flush(10)
    monkeypatch.chdir(tmp_path)
    words = ["assess", "--topic", topic, "--brokers", kafka.bootstrap, "--since", "2020-01-01", "--json"]
    assert cli.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["events"], found["models"], found["tick_seconds"]) == (600, 1, 900.0)
