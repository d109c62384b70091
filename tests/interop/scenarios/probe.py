"""Some five hundred single requests, good and bad, whose answers must be those of a real Kafka 4.2.

expected/answers.json holds Kafka's, written by `run --server kafka --record`. expected/deviations.json names each case in
which Siltstone answers otherwise on purpose, with its answer and the reason; a deviation that no longer differs fails as well.
"""

import json

from harness import check

# These must be served in exactly Kafka's versions. Others come later and are not compared.
APIS = ("API_VERSIONS METADATA PRODUCE FETCH LIST_OFFSETS OFFSET_FOR_LEADER_EPOCH INIT_PRODUCER_ID CREATE_TOPICS DELETE_TOPICS "
        "CREATE_PARTITIONS DELETE_RECORDS DESCRIBE_CONFIGS ALTER_CONFIGS INCREMENTAL_ALTER_CONFIGS DESCRIBE_CLUSTER "
        "DESCRIBE_TOPIC_PARTITIONS DESCRIBE_LOG_DIRS DESCRIBE_PRODUCERS LIST_PARTITION_REASSIGNMENTS DESCRIBE_CLIENT_QUOTAS "
        "FIND_COORDINATOR JOIN_GROUP SYNC_GROUP HEARTBEAT LEAVE_GROUP OFFSET_COMMIT OFFSET_FETCH OFFSET_DELETE DESCRIBE_GROUPS LIST_GROUPS "
        "DELETE_GROUPS CONSUMER_GROUP_HEARTBEAT CONSUMER_GROUP_DESCRIBE ADD_PARTITIONS_TO_TXN ADD_OFFSETS_TO_TXN TXN_OFFSET_COMMIT END_TXN "
        "LIST_TRANSACTIONS DESCRIBE_TRANSACTIONS WRITE_TXN_MARKERS").split()
NOTE = ("Answers of Apache Kafka 4.2.0 to java/Probe.java, as shared/peers/kafka starts it. Written by "
        "tests/interop/run --server kafka --record; not edited by hand.")


def run(context):
    out = context.java("Probe", context.bootstrap, context.topic("probe") + "-", seconds=80)
    print(out.errors)
    got = json.loads(out.text)
    got["(api versions)"] = {name: got["(api versions)"].get(name) for name in APIS}
    if context.options.record:
        record(context, got)
    want = json.loads(context.expected("answers").read_text())
    want.pop("(note)")
    compare(got, want, deviations(context) if context.is_siltstone else {})


def record(context, got):
    """One case a line, so that a difference between two recordings is a difference in lines."""
    cases = {"(note)": NOTE, **got}
    lines = [f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in cases.items()]
    context.expected("answers").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"recorded {len(got)} answers")


def deviations(context):
    path = context.expected("deviations")
    cases = json.loads(path.read_text()) if path.exists() else {}
    cases.pop("(note)", None)
    return cases


def compare(got, want, allowed):
    """All differences at once; the first few in the failure's text, all in the log."""
    differences = [f"deviation {name!r} is no case" for name in allowed if name not in want]
    for name, answer in want.items():
        if name in allowed and allowed[name]["answer"] == answer:
            differences.append(f"{name}: the deviation is Kafka's answer by now, remove it")
        answer = allowed[name]["answer"] if name in allowed else answer
        if got.get(name) != answer:
            differences += [f"{name}: {line}" for line in first_difference(got.get(name), answer)]
    differences += [f"{name}: a case that was never recorded" for name in got if name not in want]
    print("\n".join(differences))
    check.that(not differences, f"{len(differences)} of {len(want)} answers differ, all in the log: " + "; ".join(differences[:6]))


def first_difference(got, want, path=""):
    """The places in which two JSON values differ, as `path: got …, want …`."""
    if isinstance(got, dict) and isinstance(want, dict):
        names = list(want) + [name for name in got if name not in want]
        return [line for name in names for line in first_difference(got.get(name, "(absent)"), want.get(name, "(absent)"), f"{path}.{name}")]
    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        return [line for index, pair in enumerate(zip(got, want)) for line in first_difference(*pair, f"{path}[{index}]")]
    return [] if got == want else [f"{path}: got {check.short(got, 150)}, want {check.short(want, 150)}"]
