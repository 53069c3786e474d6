"""Throws requests of every kind at a daemon that is at work; ends with 1 where an answer is none that it promises.

``make fuzz`` runs it. It starts a real Kafka and a daemon with incidents and tokens, and has Schemathesis make requests
from the daemon's own ``/openapi.json``: examples, edges of every parameter, and random ones until the time is over.
Every answer must be one that the document promises and fit it, and none may be a 500; 503 is how a busy daemon answers.
It must be alive, ready and quiet about errors afterwards.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from servers.daemon import Daemon
from servers.kafka import KafkaServer
from servers.lenders import FAULTY, PARTITIONS, began_at, config, traffic, write_references

CHECKS = "status_code_conformance,content_type_conformance,response_schema_conformance"
TOKEN = "fuzzed-by-us"


def run(program: str, seconds: int, seed: int) -> int:
    """Fuzz for ``seconds``; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder, KafkaServer(Path(folder) / "kafka") as kafka:
        directory, references = Path(folder), Path(folder) / "references"
        write_references(references)
        (directory / "tokens").write_text(f"{TOKEN} status,fairness,write\n")
        start, topic = began_at(20.0), kafka.new_topic(PARTITIONS)
        for part in (traffic(start, (0.0, 10.0)), traffic(start, (10.0, 20.0), faulty=True)):
            kafka.produce(topic, part.records)
        http = f'token_file = "{directory}/tokens"\n'
        # What a model may not be asked for, retiring and accepting included, it is asked for: the fleet shrinks.
        with Daemon(directory / "daemon", http + config(kafka, topic, references), probe="livez") as daemon:
            daemon.token = TOKEN
            daemon.until(lambda: {each["model"] for each in daemon.incidents()} >= FAULTY, 300.0)
            code = _throw(program, daemon.url, seconds, seed)
            ready = daemon.get("/readyz").status == 200
            log = daemon.log.read_text()
            faults = [line for line in log.splitlines() if "Traceback" in line or "http_handler_failed" in line]
            answers = daemon.metric("modelwatch_http_requests_total")
            faults += [code for code in answers if "500" in code]
            print(f"ready afterwards: {ready}; faults: {faults}; answers by status: {answers}")
    return code or int(bool(faults) or not ready)


def _throw(program: str, url: str, seconds: int, seed: int) -> int:
    # Two requests at a time: each detail of a model is asked of the loop, which has a fleet to watch.
    how = ["--url", url, "--checks", CHECKS, "--workers", "2", "--seed", str(seed), "--continue-on-failure"]
    how += ["--max-time", str(seconds), "--request-timeout", "30", "--header", f"Authorization: Bearer {TOKEN}"]
    how += ["--warnings", "off", "--suppress-health-check", "all"]
    schema = str(Path(__file__).parents[2] / "monitor" / "web" / "openapi.json")
    return subprocess.run([program, "run", schema, *how], check=False).returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the schemathesis to run")
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    sys.exit(run(asked.program, asked.seconds, asked.seed))
