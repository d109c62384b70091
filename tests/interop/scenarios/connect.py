"""Kafka Connect 4.2 in distributed mode: a file becomes a topic (a source connector, exactly once), and the topic a file again (a sink).

The worker's own three topics are on the server, so is its group, and the source's offsets and records go through transactions. A line
added to the file arrives at the other end; still so after a connector was restarted, stopped and resumed through Connect's REST API, and
after the worker was killed with SIGKILL. At the end the second file is the first, line by line: nothing lost, nothing twice.
"""

import json
import subprocess
import urllib.error
import urllib.request

from harness import check
from harness.records import kcat_json

LINES = 200


def run(context):
    work = Worker(context)
    try:
        work.scenario()
    finally:
        work.end()


class Worker:
    """One Connect worker and its two connectors."""

    def __init__(self, context):
        self.context, self.child = context, None
        self.name = context.topic("connect")
        self.rest = f"http://127.0.0.1:{context.options.port + 4}"
        self.source, self.sink = context.work / "source.txt", context.work / "sink.txt"
        self.written = 0

    def scenario(self):
        self.write()
        self.start()
        self.create("source", {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "file": str(self.source),
                               "topic": f"{self.name}-data", "topic.creation.default.partitions": 1,
                               "topic.creation.default.replication.factor": 1})
        self.create("sink", {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "file": str(self.sink),
                             "topics": f"{self.name}-data"})
        self.copied("at first")
        self.internal_topics()
        self.ask("POST", "/connectors/source/restart?includeTasks=true")
        self.write()
        self.copied("after the source was restarted")
        for name in ("sink", "source"):
            self.ask("PUT", f"/connectors/{name}/stop")
            self.states(name, "STOPPED", 0)
        self.write()
        for name in ("sink", "source"):
            self.ask("PUT", f"/connectors/{name}/resume")
        self.copied("after both were stopped and resumed")
        self.sink_committed()  # a sink is at-least-once: what it had not committed would come again
        self.kill()
        self.write()
        self.start()
        self.copied("after the worker was killed")
        self.offsets()

    def start(self):
        settings = {
            "bootstrap.servers": self.context.bootstrap, "group.id": self.name, "listeners": self.rest, "client.id": "connect",
            "exactly.once.source.support": "enabled", "plugin.discovery": "only_scan", "offset.flush.interval.ms": 500,
            "consumer.auto.offset.reset": "earliest", "session.timeout.ms": 6000, "heartbeat.interval.ms": 500,
            "scheduled.rebalance.max.delay.ms": 0, "consumer.session.timeout.ms": 6000, "consumer.heartbeat.interval.ms": 500,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
        for part in ("config", "offset", "status"):
            settings[f"{part}.storage.topic"] = f"{self.name}-{part}"
            settings[f"{part}.storage.replication.factor"] = 1
        settings.update({"offset.storage.partitions": 3, "status.storage.partitions": 2})
        file = self.context.work / "worker.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        with open(self.context.work / "worker.log", "ab") as log:
            command = self.context.java_command("org.apache.kafka.connect.cli.ConnectDistributed", args=(file,))
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        check.eventually(lambda: self.get("/connectors", None) is not None, "the worker answers", 60, 0.2)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        if self.child and self.child.poll() is None:
            self.kill()

    def ask(self, method, path, body=None):
        """One call of Connect's REST API; 409 means that the worker rebalances, and is tried again."""
        data = None if body is None else json.dumps(body).encode()

        def answered():
            request = urllib.request.Request(self.rest + path, method=method, data=data, headers={"Content-Type": "application/json"})
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return [answer.read() or b"null"]
            except urllib.error.HTTPError as error:
                told = error.read()[:300]
                check.that(error.code in (409, 500), f"{method} {path}: {error.code} {told}")
                return None
        return json.loads(check.eventually(answered, f"{method} {path} is answered", 40, 0.3)[0])

    def get(self, path, otherwise):
        check.that(self.child.poll() is None, f"the worker ended: {self.tail()}")
        try:
            with urllib.request.urlopen(self.rest + path, timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return otherwise

    def tail(self):
        return (self.context.work / "worker.log").read_text(errors="replace")[-600:]

    def create(self, name, config):
        self.ask("POST", "/connectors", {"name": name, "config": {"name": name, "tasks.max": 1, **config}})
        self.states(name, "RUNNING", 1)

    def states(self, name, state, tasks):
        def told():
            status = self.get(f"/connectors/{name}/status", {})
            failed = [task for task in status.get("tasks", []) if task["state"] == "FAILED"]
            check.that(not failed, f"no task of {name} fails: {failed}")
            return status.get("connector", {}).get("state") == state and [task["state"] for task in status["tasks"]] == [state] * tasks
        check.eventually(told, f"{name} is {state} with {tasks} tasks: {self.get(f'/connectors/{name}/status', None)}", 40, 0.2)

    def write(self):
        with open(self.source, "a", encoding="ascii") as file:
            for _ in range(LINES):
                file.write(f"line {self.written}\n")
                self.written += 1

    def copied(self, when):
        want = [f"line {index}" for index in range(self.written)]
        def arrived():
            check.that(self.child.poll() is None, f"the worker ended: {self.tail()}")
            return self.sink.exists() and len(self.sink.read_text().splitlines()) >= len(want)
        try:
            check.eventually(arrived, f"all {len(want)} lines are copied {when}", 60)
        finally:
            print(json.dumps({name: self.get(f"/connectors/{name}/status", None) for name in ("source", "sink")}))
        check.same_list(self.sink.read_text().splitlines(), want, f"lines copied {when}")

    def internal_topics(self):
        """Connect demands compaction of its topics, and refuses to start without."""
        for part, partitions in (("config", 1), ("offset", 3), ("status", 2)):
            told = self.context.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.context.bootstrap, "--describe",
                                     "--topic", f"{self.name}-{part}").text
            check.contains(told, f"PartitionCount: {partitions}\t", f"the {part} topic")
            check.contains(told, "cleanup.policy=compact", f"the {part} topic")

    def offsets(self):
        """What the source has read, as Connect tells it and as its topic holds it; and the sink's group."""
        told = self.ask("GET", "/connectors/source/offsets")
        check.equal(told["offsets"][0]["offset"], {"position": self.source.stat().st_size}, "position of the source")
        rows = kcat_json(self.context.bootstrap, f"{self.name}-offset", "-X", "isolation.level=read_committed")
        newest = [json.loads(row["payload"]) for row in rows if row["key"] and "source" in row["key"]][-1]
        check.equal(newest, {"position": self.source.stat().st_size}, "newest record of the offset topic")
        self.sink_committed()
        data = self.data()
        check.same_list([row["payload"] for row in data], [f"line {index}" for index in range(self.written)], "records of the topic")

    def data(self):
        return kcat_json(self.context.bootstrap, f"{self.name}-data", "-X", "isolation.level=read_committed")

    def sink_committed(self):
        """The sink's group has committed behind the last record, however many control records lie between."""
        end = self.data()[-1]["offset"] + 1

        def told():
            offsets = self.ask("GET", "/connectors/sink/offsets")["offsets"]
            return offsets and offsets[0]["offset"]["kafka_offset"] >= end
        check.eventually(told, f"the sink has committed offset {end}", 30, 0.3)
