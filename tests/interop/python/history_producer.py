"""An idempotent producer with librdkafka that writes its history: BOOTSTRAP TOPIC PARTITIONS FILE NAME RATE. No record may fail."""

import sys
import time

from confluent_kafka import Producer

from history_file import COMMON, History, value
from shared import goes_on

bootstrap, topic, partitions, path, name, rate = sys.argv[1:7]
partitions, rate = int(partitions), float(rate)
history, failed = History(path), []


def delivered(number):
    def callback(error, message):
        now = time.monotonic()
        if error:
            failed.append(str(error))
            history.write(e="fail", c=name, n=number, t=now, why=str(error))
        else:
            offset = message.offset()
            history.write(e="ack", c=name, n=number, o=-1 if offset is None or offset < 0 else offset, t=now)
    return callback


def fatal(error):
    print(error, file=sys.stderr, flush=True)
    if error.fatal():
        failed.append(str(error))


producer = Producer({**COMMON, "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 600_000,
                     "request.timeout.ms": 4000, "error_cb": fatal})
sent, begin = 0, time.monotonic()
while not failed and goes_on(0.005):
    # What could not be sent in a pause is not sent all at once after it.
    begin = max(begin, time.monotonic() - sent / rate - 1)
    while sent < rate * (time.monotonic() - begin) and len(producer) < 5000:
        data, crc = value(name, sent)
        history.write(e="send", c=name, k="idem", n=sent, p=f"{topic}/{sent % partitions}", h=crc, t=time.monotonic())
        producer.produce(topic, data, partition=sent % partitions, on_delivery=delivered(sent))
        sent += 1
    producer.poll(0)
left = producer.flush(120)
history.close()
if failed or left:
    raise SystemExit(f"{left} left, {len(failed)} failed, first: {failed[:1]}")
