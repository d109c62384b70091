"""Writes the numbers 0, 1, 2, … some hundred a second, until a line comes on its standard input; then prints how many:
BOOTSTRAP TOPIC. No record may fail."""

import sys

from confluent_kafka import Producer

from shared import PARTITIONS, goes_on

producer = Producer({"bootstrap.servers": sys.argv[1], "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 600_000,
                     "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "socket.timeout.ms": 10_000, "log_level": 0})
failed, sent = [], 0
while not failed and goes_on(0.02):
    for _ in range(4):
        producer.produce(sys.argv[2], str(sent).encode(), partition=sent % PARTITIONS, on_delivery=lambda error, _: error and failed.append(error))
        sent += 1
    producer.poll(0)
left = producer.flush(120)
if failed or left:
    raise SystemExit(f"{left} left, {len(failed)} failed, first: {failed[:1]}")
print(sent)
