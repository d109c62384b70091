"""Kafka's own Java clients, version 4.2: one program each, see java/. Every step must be stated."""

from harness import check, records

STEPS = {
    "ProducerCheck": ("idempotent", "acknowledgements", "codecs", "refusals", "log append time", "topic limits"),
    "ConsumerCheck": ("read all", "fetch sizes", "offsets", "seeks", "out of range", "pauses", "long poll", "unknown topic"),
    "AdminCheck": ("cluster", "create and describe", "configs", "list offsets", "describe producers", "more partitions",
                   "delete records", "log dirs", "reassignments and quotas", "delete"),
}


def steps(context, main):
    topic, base = context.topic(main.lower()), context.base_time()
    result = context.java(main, context.bootstrap, topic, base)
    print(result.text, result.errors)
    for step in STEPS[main]:
        check.contains(result.text, f"ok: {step}", f"{main} states each step")
    return topic, base


def producer(context):
    topic, base = steps(context, "ProducerCheck")
    records.verify(context.bootstrap, topic, "java", base)


def consumer(context):
    topic, base = steps(context, "ConsumerCheck")
    records.verify(context.bootstrap, topic, "java", base)


def admin(context):
    steps(context, "AdminCheck")
