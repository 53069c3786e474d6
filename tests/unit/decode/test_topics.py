"""Does each topic get the decoder that the configuration says?"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monitor.compose import make_decoders
from monitor.config import load

if TYPE_CHECKING:
    from monitor.config import Config

MANUAL = Path(__file__).parents[3] / "docs/events.md"
TOPICS = """
[kafka]
topics = [
  { name = "native" },
  { name = "^iris-", format = "kserve", model = "iris", feature_names = ["length", "width"] },
  { name = "iris", format = "kserve", model = "iris", feature_names = ["length", "width"] },
  { name = "other", format = "kserve", model = "other" },
]
"""


def loaded(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "modelwatch.toml"
    path.write_text(text)
    return load(path, {})


def test_topics_that_are_read_alike_share_a_decoder(tmp_path: Path) -> None:
    """A batch of several topics is decoded in one piece where it can be."""
    decoder_of = make_decoders(loaded(tmp_path, TOPICS))
    assert decoder_of("iris") is decoder_of("iris-2") is decoder_of("iris-3")
    assert decoder_of("iris") is not decoder_of("other")
    assert decoder_of("native") is decoder_of("a file")


def test_a_topic_says_model_and_names(tmp_path: Path) -> None:
    """What the topic says of its records is in the events."""
    decoder = make_decoders(loaded(tmp_path, TOPICS))("iris")
    batch = decoder.decode([b'{"instances": [[1, 2]]}'], np.array([1.78e9]))
    assert batch.string(batch.model, 0) == "iris"
    assert [batch.string(batch.name, i) for i in range(2)] == ["length", "width"]


def test_the_manuals_mapping_is_read(tmp_path: Path) -> None:
    """The example of a mapped topic loads, and reads a record as it says."""
    (text,) = re.findall(r"```toml\n(\[\[kafka\.topics\]\].*?)```", MANUAL.read_text(), re.DOTALL)
    assert tomllib.loads(text)
    decoder = make_decoders(loaded(tmp_path, text))("scoring.log")
    record = {
        "ts": 1772357400250,
        "request": {"features": {"income": 2}},
        "customer": {"age": 3, "sex": "F"},
        "response": {"p": 0.5},
    }
    batch = decoder.decode(
        [json.dumps(record).encode()], np.array([0.0]), keys=[b"req-1"], headers=[[("X-Model", b"credit")]]
    )
    assert (batch.string(batch.model, 0), batch.string(batch.id, 0)) == ("credit", "req-1")
    assert batch.time.tolist() == [1772357400.25]
    assert [batch.string(batch.name, i) for i in range(4)] == ["income", "age", "score", "sex"]
