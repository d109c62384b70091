"""Client libraries that all do the same ten steps, each in its own language; what they wrote is read again with kcat.

Each program takes BOOTSTRAP TOPIC BASE-TIMESTAMP, states every check as an `ok:` line, and ends with 1 at the first
check that fails. What they check: create a topic with four partitions; produce ten thousand records (idempotently where
the library can), acknowledged at contiguous offsets; read all back by assignment, exact to headers and timestamps;
find and seek offsets by timestamp; a record that is too large; a topic and a partition that are not there.
"""

from harness import check, install, process, records
from harness.places import INTEROP

STEPS = ("created", "produced", "read", "timestamps", "too large", "unknown topic")


def steps(context, client, command, env=None):
    topic, base = context.topic(client), context.base_time()
    result = process.run([*command, context.bootstrap, topic, base], seconds=80, env=env)
    print(result.text)
    for step in STEPS:
        check.contains(result.text, f"ok: {step}", f"{client} states each step")
    records.verify(context.bootstrap, topic, client, base)


def franz_go(context):
    steps(context, "franz-go", [install.FRANZ_GO])


def kafka_python(context):
    steps(context, "kafka-python", [install.PYTHON, "-B", INTEROP / "python/kafka_python_client.py"])


def confluent(context):
    steps(context, "confluent-kafka", [install.PYTHON, "-B", INTEROP / "python/confluent_client.py"])


def kafkajs(context):
    steps(context, "kafkajs", ["node", INTEROP / "kafkajs/client.js"], install.NODE_ENV)


def rdkafka(context):
    steps(context, "rdkafka", [install.RDKAFKA])


def rskafka(context):
    """This crate sorts headers by name, so it has records and steps of its own; kcat reads them too."""
    topic = context.topic("rskafka")
    result = process.run([install.RSKAFKA, context.bootstrap, topic], seconds=60)
    for step in ("created", "produced", "read", "offsets", "unknown topic"):
        check.contains(result.text, f"ok: {step}\n", "rskafka states each step")
    rows = records.kcat_json(context.bootstrap, topic)
    check.equal([row["offset"] for row in rows], list(range(100, 1000)), "offsets of what rskafka wrote and did not delete")
    values = [None if index % 11 == 0 else f"value-{index}" for index in range(100, 1000)]
    check.same_list([row["payload"] for row in rows], values, "values that rskafka wrote, read by kcat")
