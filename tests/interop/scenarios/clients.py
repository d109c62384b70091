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
    steps(context, "kafkajs", ["node", INTEROP / "kafkajs/client.js"],
          {"NODE_PATH": str(install.KAFKAJS / "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING": "1"})


def rdkafka(context):
    steps(context, "rdkafka", [install.RDKAFKA])
