"""The same keyed, transactional and tombstoned input, compacted: what is left is what Kafka promises, and the same on both servers.

On Siltstone a Kafka runs beside it and gets the same input; on Kafka the scenario checks itself. See java/CompactionCheck.java.
"""

import time

from harness import check
from harness.servers import Kafka

# Kafka's cleaner looks often; its log files are short by the topics' segment.ms.
SETTINGS = {"log.cleaner.backoff.ms": 200, "log.cleaner.dedupe.buffer.size": 4_194_304, "log.cleaner.threads": 1}
# Rows are written, and looked at, several times a second; nothing waits to become more.
ENVIRONMENT = {"SILTSTONE_CHECKPOINT__INTERVAL": "500ms", "SILTSTONE_COMPACTOR__INTERVAL": "300ms", "SILTSTONE_COMPACTOR__KEY_WAIT": "0s",
               "SILTSTONE_COMPACTOR__GRACE": "3s"}
STEPS = ("refusals", "written", "settled", "stays")
SECONDS = 150


def run(context):
    base, seed = context.base_time(), context.options.seed if context.options.seed is not None else time.time_ns() % 10**9
    print(f"seed {seed}")
    left = compacted(context, context.bootstrap, base, seed)
    if not context.is_siltstone:
        return
    kafka = Kafka(context.options.port + 4, context.work / "kafka", settings=SETTINGS).start()
    try:
        check.same_list(left, compacted(context, kafka.bootstrap, base, seed), "what is left, by Siltstone and by Kafka")
    finally:
        kafka.stop()


def compacted(context, bootstrap, base, seed):
    """The records that compaction has left: topic, partition, offset, timestamp, key, value, headers."""
    begin = time.monotonic()
    result = context.java("CompactionCheck", bootstrap, context.topic("compaction"), base, seed, SECONDS, seconds=SECONDS + 60)
    for step in STEPS:
        check.contains(result.text, f"ok: {step}\n", f"CompactionCheck states each step on {bootstrap}")
    left = [line for line in result.text.splitlines() if line.startswith("left: ")]
    print(f"{bootstrap}: settled after {time.monotonic() - begin:.1f} s, {len(left)} records are left")
    print("\n".join(line for line in result.text.splitlines() if line.startswith("refusal: ")))
    check.that(len(left) > 100, "there is something to compare")
    return left
