"""Idempotent producers of large records that outlive an outage: BOOTSTRAP TOPIC FILE NAME PRODUCERS RECORD_BYTES BYTES_PER_SECOND.
They write `partition offset id` to FILE for every acknowledgement until a line comes on standard input, then `sent N`. No record may
fail; each value begins with its id and a space."""

import base64
import os
import random
import sys
import time

from confluent_kafka import Producer

from shared import goes_on

PARTITIONS = 4
bootstrap, topic, path, name = sys.argv[1:5]
producers, size, rate = (int(argument) for argument in sys.argv[5:8])
failed = []
NOISE = base64.b64encode(os.urandom(6 << 20))  # does not compress well: storage has to take all of it


def producer():
    return Producer({
        "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 900_000,
        "request.timeout.ms": 10_000, "socket.timeout.ms": 15_000, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500,
        "log_level": 0, "queue.buffering.max.kbytes": 16_384, "batch.size": 500_000})


def delivered(out, record):
    def callback(error, message):
        if error:
            failed.append(f"{record}: {error}")
        else:
            offset = message.offset()  # none: a later batch's acknowledgement stood for this one's, whose own answer was lost
            out.write(f"{message.partition()} {-1 if offset is None or offset < 0 else offset} {record}\n")
    return callback


def main(out):
    clients, sent, begin = [producer() for _ in range(producers)], 0, time.monotonic()
    counts = [0] * producers
    while not failed and goes_on():
        room = [index for index, client in enumerate(clients) if len(client) * size < 8 << 20]
        while room and sent * size < rate * (time.monotonic() - begin):
            index = room.pop()
            for _ in range(10):
                record = f"{name}{index}-{counts[index]}"
                at = random.randrange(len(NOISE) - size)
                clients[index].produce(topic, (record.encode() + b" " + NOISE[at:at + size])[:size], partition=counts[index] % PARTITIONS,
                                       on_delivery=delivered(out, record))
                counts[index] += 1
                sent += 1
        for client in clients:
            client.poll(0)
        out.flush()
        time.sleep(0.005)
    left = sum(client.flush(240) for client in clients)
    if failed or left:
        raise SystemExit(f"{left} left, {len(failed)} failed, first: {failed[:1]}")
    out.write(f"sent {sent}\n")


with open(path, "w", encoding="ascii") as file:
    main(file)
