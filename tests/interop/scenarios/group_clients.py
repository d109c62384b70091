"""Client libraries in groups and transactions: the same steps in each language.

The driver fills a topic of four partitions with a thousand records. Each program takes BOOTSTRAP IN OUT GROUP, states its steps as
`ok:` lines, and ends with 1 at the first check that fails. "group": one member reads all, each record once, and commits. "shared":
two members with two partitions each read forty records more, and nothing twice. "transactions": consume-process-produce from IN to
OUT under the group GROUP-tx, every third attempt aborted and done again. "read committed": the output under read_committed has each
record once. "fenced": a producer whose transactional id another one took cannot commit. What the programs say is checked again from
outside: the output with kcat under both isolation levels, the committed offsets of both groups with librdkafka's admin client.
"""

import json

from harness import check, install, process
from harness.places import INTEROP

STEPS = ("group", "shared", "transactions", "read committed", "fenced")
FIRST, MORE, PARTITIONS = 1000, 40, 4


def steps(context, client, command, env=None, hangs=None):
    """`hangs`: the status of a program that saw its library in a state that it can't leave: it has one more try, and the report says so. For
    kafka-python 3.0.12 alone; see its program."""
    for tries_left in (1, 0) if hangs else (0,):
        source, out, group = context.topic(f"{client}-in"), context.topic(f"{client}-out"), context.topic(client)
        context.python("prepare_groups.py", context.bootstrap, source, out, FIRST)
        result = process.run([*command, context.bootstrap, source, out, group], seconds=70, env=env, ok=(0, hangs) if hangs else (0,))
        print(result.text, result.errors)
        if result.code == 0:
            break
        why = " ".join(result.errors.split())[-160:]
        check.that(tries_left, f"{client} lost itself again: {why}; the log has it all")
        (context.work / "note").write_text(f"at the second try: {why}; the log has it all")
    for step in STEPS:
        check.contains(result.text, f"ok: {step}\n", f"{client} states each step")
    output(context, client, out)
    offsets(context, client, source, group)


def output(context, client, out):
    """Each input once under read_committed, in the order of its partition; aborted ones beside them under read_uncommitted."""
    want = {f"out-in-{index}" for index in range(FIRST)} | {f"out-more-{index}" for index in range(MORE)}
    rows = read(context, out, "read_committed")
    values = [value for _, value in rows]
    check.equal(sorted(want - set(values))[:5], [], f"output of {client} that is missing")
    check.equal(sorted(set(values) - want)[:5], [], f"output of {client} that nobody committed")
    check.equal(len(values), len(want), f"records in the output of {client}")
    for partition in range(PARTITIONS):
        mine = [value for part, value in rows if part == partition]
        order = [f"out-{name}-{index}" for name, count in (("in", FIRST), ("more", MORE)) for index in range(partition, count, PARTITIONS)]
        check.same_list(mine, order, f"output of {client} in partition {partition}")
    everything = {value for _, value in read(context, out, "read_uncommitted")}
    check.that("never" in everything, f"the fenced record of {client} is in the log")
    check.that(len(read(context, out, "read_uncommitted")) > len(values) + 2, f"aborted records of {client} are in the log")


def read(context, topic, isolation):
    text = context.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", f"isolation.level={isolation}", "-f", "%p %s\\n").text
    return [(int(partition), value) for partition, value in (line.split(" ", 1) for line in text.splitlines())]


def offsets(context, client, source, group):
    for name in (group, f"{group}-tx"):
        told = json.loads(context.python("committed.py", context.bootstrap, name).text)
        want = {f"{source}-{partition}": (FIRST + MORE) // PARTITIONS for partition in range(PARTITIONS)}
        check.equal(told, want, f"offsets that {client} committed as {name}")


def franz_go(context):
    steps(context, "franz-go", [install.GO_BIN / "groups"])


def sarama(context):
    steps(context, "sarama", [install.GO_BIN / "sarama"])


def confluent(context):
    steps(context, "confluent-kafka", [install.PYTHON, "-B", INTEROP / "python/confluent_groups.py"])


def confluent_consumer(context):
    """The same with librdkafka's implementation of the new group protocol."""
    steps(context, "confluent-kafka-848", [install.PYTHON, "-B", INTEROP / "python/confluent_groups.py"], {"GROUP_PROTOCOL": "consumer"})


def kafka_python(context):
    command = [install.PYTHON, "-B", INTEROP / "python/kafka_python_groups.py"]
    steps(context, "kafka-python", command, hangs=3)


def aiokafka(context):
    steps(context, "aiokafka", [install.PYTHON, "-B", INTEROP / "python/aiokafka_groups.py"])


def kafkajs(context):
    steps(context, "kafkajs", ["node", INTEROP / "kafkajs/groups.js"], install.NODE_ENV)


def rdkafka(context):
    steps(context, "rdkafka", [install.RDKAFKA, "groups"])
