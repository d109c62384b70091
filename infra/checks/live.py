#!/usr/bin/env python3
"""Starts a server, uses it, and compares its /metrics with what names.py reads from the sources: each metric that the server shows must be known, with its kind
and labels. So what rules and dashboard are checked against is what the program does.

usage: live.py SILTSTONE"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import names

SAMPLE = re.compile(r"^(\w+?)(_bucket|_sum|_count)?(?:\{(.*)\})? ")
# Seen after a topic was written and read; others come with trouble, with a bucket, or after minutes.
AT_LEAST = {
    "siltstone_kafka_requests_total", "siltstone_kafka_request_seconds", "siltstone_kafka_connections", "siltstone_kafka_received_bytes_total",
    "siltstone_kafka_sent_bytes_total", "siltstone_produce_flushes_total", "siltstone_produce_flushed_bytes_total", "siltstone_produce_commit_seconds",
    "siltstone_produce_fold_seconds", "siltstone_produce_upload_seconds", "siltstone_objects_requests_total", "siltstone_objects_request_seconds", "siltstone_objects_bytes_total", "siltstone_produce_buffer_seconds", "siltstone_produce_build_seconds", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return None, ""


def ready(server, port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"the server ended with status {server.returncode}")
        if get(port, "/ready")[0] == 200:
            return
        time.sleep(0.1)
    sys.exit("the server is not ready after a minute")


def used(program, kafka):
    """Topic, producer, consumer: what counts."""
    at = ["-b", f"127.0.0.1:{kafka}"]
    steps = ((["topic", "create", "demo", "--partitions", "2"], None), (["produce", "demo"], "hello\n" * 100), (["consume", "demo", "--from", "beginning", "--exit"], None))
    for words, text in steps:
        done = subprocess.run([program, *words, *at], input=text, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(words)}: {done.stderr}")


def shown(text):
    """Metrics by name: kind and labels."""
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    found = {}
    for line in text.splitlines():
        match = None if line.startswith("#") else SAMPLE.match(line)
        if match:
            whole = match[1] + (match[2] or "")
            name = whole if whole in kinds else match[1]
            labels = set(re.findall(r'(\w+)="', match[3] or "")) - {"le"}
            found.setdefault(name, (kinds.get(name), set()))[1].update(labels)
    return found


def main():
    program, kafka, http = str(Path(sys.argv[1]).resolve()), free_port(), free_port()
    with tempfile.TemporaryDirectory() as data:
        command = [program, "standalone", "--data", data, "--kafka", f"127.0.0.1:{kafka}", "--http", f"127.0.0.1:{http}",
                   # Every flush is an object, through the code that speaks to buckets.
                   "--store", "memory://", "--set", "inline.bytes=1B"]
        with open(f"{data}/log", "w") as log:
            server = subprocess.Popen(command, cwd=data, stdout=log, stderr=log)
        try:
            ready(server, http)
            used(program, kafka)
            found = shown(get(http, "/metrics")[1])
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    known, wrong = names.exported(), []
    for name, (kind, labels) in found.items():
        metric = known.get(name)
        if metric is None:
            wrong.append(f"the server shows {name}, which names.py does not find in the sources")
        elif metric.kind != kind or not labels <= metric.labels:
            wrong.append(f"{name} is a {kind} with {sorted(labels)}; the sources say {metric.kind}, {sorted(metric.labels)}")
    wrong += [f"the server does not show {name}" for name in sorted(AT_LEAST - set(found))]
    print(f"{len(found)} metrics shown by a server that was used, {len(known)} in the sources; not seen this time: {', '.join(sorted(set(known) - set(found))) or 'none'}")
    for line in wrong:
        print(f"  {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
