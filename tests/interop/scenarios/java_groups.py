"""Groups and transactions with Kafka's own Java clients, and Kafka Streams: one program each, see java/. Every step must be stated."""

from harness import check, install, process

# Times short enough for tests: sessions of seconds, heartbeats and sweeps of fractions of one.
QUICK = {
    "group.min.session.timeout.ms": 1000,
    "group.consumer.min.session.timeout.ms": 2000,
    "group.consumer.session.timeout.ms": 3000,
    "group.consumer.min.heartbeat.interval.ms": 300,
    "group.consumer.heartbeat.interval.ms": 300,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
}
SMALL = {**QUICK, "group.max.size": 4, "group.consumer.max.size": 4}
TRANSACTIONS = ("commit", "abort", "interleaved", "empty", "fencing", "consume-process-produce", "require stable", "fenced group",
                "timeout", "epochs")
STEPS = {
    "GroupClassicCheck": ("resume", "eager", "cooperative", "assignors", "static", "fenced", "session timeout", "max poll", "pattern",
                          "more partitions", "full group", "refusals"),
    "GroupConsumerCheck": ("uniform", "range", "regex", "static", "session timeout", "max poll", "more partitions", "migration", "refusals"),
    "GroupAdminCheck": ("living classic", "empty classic", "living consumer", "empty consumer", "offsets of several groups", "deleted topic",
                        "unknown group"),
    "TransactionCheck": TRANSACTIONS,
    "StreamsCheck": ("word count", "restored", "two instances", "outputs", "internal topics"),
    "TransactionAdminCheck": ("list and describe", "abort by admin", "fence by admin", "terminate by admin"),
}


def stated(main, result):
    print(result.text, result.errors)
    for step in STEPS[main]:
        check.contains(result.text, f"ok: {step}\n", f"{main} states each step")


def steps(context, main, *args):
    stated(main, context.java(main, context.bootstrap, context.topic(main.lower()), *args, seconds=150))


def classic(context):
    steps(context, "GroupClassicCheck")


def consumer(context):
    steps(context, "GroupConsumerCheck")


def admin(context):
    steps(context, "GroupAdminCheck")


def transactions(context):
    steps(context, "TransactionCheck", 2)


def transactions_old(context):
    """The same program with the library of Kafka 3.9, which knows no EndTxn 5 and no implicit addition at produce."""
    path = f"{install.JAVA_CLASSES}:{install.JAVA_OLD}/*"
    command = context.java_command("TransactionCheck", path, (context.bootstrap, context.topic("transactions-old"), 1))
    stated("TransactionCheck", process.run([*command[:1], "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", *command[1:]], seconds=150))


def transaction_admin(context):
    steps(context, "TransactionAdminCheck")


def streams(context):
    """Kafka Streams under exactly_once_v2, restarted without its local state."""
    steps(context, "StreamsCheck", context.work / "streams")
