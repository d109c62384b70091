"""aiokafka: the steps of scenarios/group_clients.py."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from shared import FIRST, MORE, PARTITIONS, demand, step

bootstrap, source, out, group = sys.argv[1:5]


async def member(name, topic):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=name, enable_auto_commit=False, auto_offset_reset="earliest",
                                isolation_level="read_committed", heartbeat_interval_ms=200, session_timeout_ms=10_000, fetch_max_wait_ms=100)
    await consumer.start()
    return consumer


async def polled(one):
    batches = await one.getmany(timeout_ms=100, max_records=100)
    return [record for records in batches.values() for record in records]


async def gather(count, *members):
    """Polls the members in turn until they gave `count` values, each of them once."""
    seen = set()
    while len(seen) < count:
        for one in members:
            for record in await polled(one):
                demand(record.value not in seen, True, f"{record.value} is read once")
                seen.add(record.value)
    return seen


async def in_group():
    one = await member(group, source)
    await gather(FIRST, one)
    await one.commit()
    await one.stop()
    step("group")


async def shared():
    members = [await member(group, source), await member(group, source)]
    while sorted(len(one.assignment()) for one in members) != [2, 2]:
        for one in members:
            demand(await polled(one), [], "what is read twice")
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for index in range(MORE):
        await producer.send(source, f"more-{index}".encode(), partition=index % PARTITIONS)
    await producer.stop()
    demand(await gather(MORE, *members), {f"more-{index}".encode() for index in range(MORE)}, "the second part")
    for one in members:
        await one.commit()
        await one.stop()
    step("shared")


async def transactions():
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{group}-tx")
    await producer.start()
    consumer = await member(f"{group}-tx", source)
    attempt = done = 0
    while done < FIRST + MORE:
        records = await polled(consumer)
        if not records:
            continue
        await producer.begin_transaction()
        for record in records:
            await producer.send(out, b"out-" + record.value, partition=record.partition)
        await producer.send_offsets_to_transaction({place: await consumer.position(place) for place in consumer.assignment()}, f"{group}-tx")
        if attempt % 3 == 0:
            await producer.abort_transaction()
            for place in consumer.assignment():
                consumer.seek(place, await consumer.committed(place) or 0)
        else:
            await producer.commit_transaction()
            done += len(records)
        attempt += 1
    await consumer.stop()
    await producer.stop()
    step("transactions")


async def read_committed():
    reader = await member(f"{group}-read", out)
    values = await gather(FIRST + MORE, reader)
    demand(all(value.startswith(b"out-") for value in values), True, "values of the output")
    await reader.stop()
    step("read committed")


async def fenced():
    producers = []
    for value in (b"never", b"nothing"):
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=f"{group}-fenced")
        await producer.start()
        await producer.begin_transaction()
        await producer.send_and_wait(out, value, partition=0)
        producers.append(producer)
    try:
        await producers[0].commit_transaction()
        raise SystemExit("the older producer committed")
    except KafkaError as error:
        demand(isinstance(error, (ProducerFenced, InvalidProducerEpoch)), True, f"the older producer's error: {error!r}")
    await producers[1].abort_transaction()
    await producers[1].stop()
    step("fenced")


async def main():
    for part in (in_group, shared, transactions, read_committed, fenced):
        await part()


asyncio.run(asyncio.wait_for(main(), 65))
