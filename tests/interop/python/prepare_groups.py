"""Makes the topics of scenarios/group_clients.py and fills the first: BOOTSTRAP IN OUT COUNT [BASE].
With a base, record i has the timestamp BASE + 10,000 i."""

import sys

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from shared import PARTITIONS, demand

bootstrap, source, out, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
base = int(sys.argv[5]) if len(sys.argv) > 5 else None
admin = AdminClient({"bootstrap.servers": bootstrap})  # has to outlive the answers
made = admin.create_topics([NewTopic(source, PARTITIONS, 1), NewTopic(out, PARTITIONS, 1)])
for future in made.values():
    future.result(30)
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
for index in range(count):
    stamp = {} if base is None else {"timestamp": base + 10_000 * index}
    producer.produce(source, f"in-{index}".encode(), partition=index % PARTITIONS, **stamp)
demand(producer.flush(30), 0, "records left after flush")
