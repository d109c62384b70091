"""Kafka's command-line tools, as Kafka 4.2 ships them, each with its output checked."""

import json
import re

from harness import check
from harness.records import kcat_json
from harness.toolshell import ToolShell


def run(context):
    topic = context.topic("tools")
    with ToolShell(context) as context.shell:
        topics(context, topic)
        configs(context, topic)
        console_producer(context, topic)
        offsets(context, topic)
        delete_records(context, topic)
        performance(context)
        api_versions(context)
        log_dirs(context, topic)
        delete(context, topic)


def tool(context, name, *args, **named):
    return context.shell.tool(name, *args, **named)


def told_at_last(ask, part, what):
    """Asks until `part` is in the answer, since Kafka's brokers follow its controller a moment later; then the answer."""
    def told():
        text = ask()
        return text if part in text else None
    return check.eventually(told, f"{what}: {part!r} is told", 30)


def topics(context, topic):
    """kafka-topics: create, list, describe, add partitions, refuse what exists."""
    made = tool(context, "TopicCommand", "--create", "--topic", topic, "--partitions", 2, "--replication-factor", 1,
                "--config", "retention.ms=7200000")
    check.contains(made.text, f"Created topic {topic}.", "create")
    again = tool(context, "TopicCommand", "--create", "--topic", topic, ok=None)
    check.equal(again.code, 1, "status of creating it again")
    check.contains(again.text + again.errors, "already exists", "creating it again")
    tool(context, "TopicCommand", "--alter", "--topic", topic, "--partitions", 3)
    def describe():
        return tool(context, "TopicCommand", "--describe", "--topic", topic).text
    told = told_at_last(describe, "PartitionCount: 3\tReplicationFactor: 1\t", "describe")
    check.contains(told, f"Topic: {topic}\tTopicId: ", "describe")
    check.contains(told, "retention.ms=7200000", "describe")
    check.equal(len(re.findall(r"Partition: \d\tLeader: (\d+)\tReplicas: \1\tIsr: \1\t", told)), 3, "partitions described")
    check.that(topic in tool(context, "TopicCommand", "--list").text.splitlines(), "the topic is listed")


def configs(context, topic):
    """kafka-configs: alter, describe, delete; an unknown name is refused."""
    entity = ("--entity-type", "topics", "--entity-name", topic)
    def command(*args, **named):
        return tool(context, "kafka.admin.ConfigCommand", *args, *entity, **named)
    done = command("--alter", "--add-config", "max.message.bytes=3000000,cleanup.policy=[compact,delete]")
    check.contains(done.text, f"Completed updating config for topic {topic}.", "alter")
    told = told_at_last(lambda: command("--describe").text, "max.message.bytes=3000000 sensitive=false", "describe after alter")
    check.contains(told, "cleanup.policy=compact,delete sensitive=false", "describe after alter")
    command("--alter", "--delete-config", "cleanup.policy")
    told = told_at_last(lambda: command("--describe", "--all").text, "cleanup.policy=delete sensitive=false", "describe after delete")
    check.contains(told, "retention.ms=7200000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=7200000", "describe")
    bad = command("--alter", "--add-config", "no.such.config=1", ok=None)
    check.equal(bad.code, 1, "status of an unknown config")
    check.contains(bad.text + bad.errors, "InvalidConfigurationException", "an unknown config")


def console_producer(context, topic):
    """kafka-console-producer: keys and headers from lines."""
    lines = "".join(f"n:{index}\tkey-{index}\tline {index}\n" for index in range(200))
    tool(context, "ConsoleProducer", "--topic", topic, "--compression-codec", "lz4",
                 "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true", stdin=lines)
    rows = kcat_json(context.bootstrap, topic)
    want = {(f"key-{index}", f"line {index}", "n", str(index)) for index in range(200)}
    check.equal(len(rows), 200, "records by the console producer")
    check.equal({(row["key"], row["payload"], *row["headers"]) for row in rows}, want, "keys, values and headers")


def ends(context, topic):
    """End offsets as kcat counts them: partition ▸ number of records."""
    counts = [0, 0, 0]
    for row in kcat_json(context.bootstrap, topic):
        counts[row["partition"]] = row["offset"] + 1
    return counts


def listed(context, topic, when):
    out = tool(context, "GetOffsetShell", "--topic", topic, "--time", when).text
    return [int(line.rsplit(":", 1)[1]) for line in sorted(out.split())]


def offsets(context, topic):
    """kafka-get-offsets: latest, earliest, newest timestamp."""
    counts = ends(context, topic)
    check.equal(listed(context, topic, "latest"), counts, "latest offsets")
    check.equal(listed(context, topic, "earliest"), [0, 0, 0], "earliest offsets")
    newest = listed(context, topic, "max-timestamp")
    check.that(all(0 <= at < end for at, end in zip(newest, counts)), f"offsets of the newest timestamps {newest} below {counts}")


def delete_records(context, topic):
    """kafka-delete-records: the low watermark moves and is told."""
    file = context.work / "delete.json"
    file.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 5}]}))
    done = tool(context, "DeleteRecordsCommand", "--offset-json-file", file)
    check.contains(done.text, f"partition: {topic}-0\tlow_watermark: 5", "delete records")
    check.equal(listed(context, topic, "earliest"), [5, 0, 0], "earliest offsets after deleting")


def performance(context):
    """kafka-producer-perf-test: all records acknowledged, and there."""
    topic = context.topic("perf")
    done = tool(context, "ProducerPerformance", "--topic", topic, "--num-records", 50_000,
                        "--record-size", 200, "--throughput", -1)
    check.contains(done.text, "50000 records sent", "performance test")
    check.equal(listed(context, topic, "latest"), [50_000], "records of the performance test")


def api_versions(context):
    """kafka-broker-api-versions: the tool understands every range, and finds Produce usable."""
    told = tool(context, "BrokerApiVersionsCommand").text
    check.contains(told, f"{context.bootstrap} (id: ", "broker")
    check.contains(told, "Produce(0): 0 to 13 [usable: 13]", "Produce's versions")
    check.contains(told, "Fetch(1): 4 to 18 [usable: 18]", "Fetch's versions")
    check.contains(told, "Metadata(3): 0 to 13 [usable: 13]", "Metadata's versions")


def log_dirs(context, topic):
    """kafka-log-dirs: JSON that lists the topic's partitions without an error."""
    told = tool(context, "LogDirsCommand", "--describe", "--topic-list", topic).text
    answer = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
    dirs = answer["brokers"][0]["logDirs"]
    check.equal([entry["error"] for entry in dirs], [None], "errors of the log directories")
    names = sorted(entry["partition"] for entry in dirs[0]["partitions"])
    check.equal(names, [f"{topic}-{partition}" for partition in range(3)], "partitions in the log directory")


def delete(context, topic):
    tool(context, "TopicCommand", "--delete", "--topic", topic)
    check.eventually(lambda: topic not in tool(context, "TopicCommand", "--list").text.splitlines(), "the topic is gone from the list")
    absent = tool(context, "TopicCommand", "--describe", "--topic", topic, ok=None)
    check.contains(absent.text + absent.errors, "does not exist as expected", "describe after delete")
