"""An idempotent producer that outlives its server: BOOTSTRAP TOPIC FILE. It writes `partition offset id` to FILE for
every acknowledgement until a line comes on its standard input, then `sent N`. No record may fail."""

import sys
import time

from confluent_kafka import Producer

from shared import goes_on

PARTITIONS, WINDOW = 4, 2000
bootstrap, topic, path = sys.argv[1:4]
failed = []


def main(out):
    producer = Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 600_000,
        "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "socket.timeout.ms": 10_000, "log_level": 0,
        "topic.metadata.refresh.fast.interval.ms": 100})

    def delivered(name):
        def callback(error, message):
            if error:
                failed.append(f"{name}: {error}")
            else:
                out.write(f"{message.partition()} {message.offset()} {name}\n")
        return callback
    sent = 0
    while not failed and goes_on():
        if len(producer) < WINDOW:
            for _ in range(10):
                name = f"librdkafka-{sent}"
                producer.produce(topic, name.encode(), partition=sent % PARTITIONS, on_delivery=delivered(name))
                sent += 1
        producer.poll(0)
        out.flush()
        time.sleep(0.002)
    left = producer.flush(120)
    if failed or left:
        raise SystemExit(f"{left} left, {len(failed)} failed, first: {failed[:1]}")
    out.write(f"sent {sent}\n")


with open(path, "w", encoding="ascii") as file:
    main(file)
