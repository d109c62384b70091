"""Holds a transaction open until a line comes on its standard input: BOOTSTRAP TOPIC TRANSACTIONAL-ID. Says `open` when it is."""

import sys

from confluent_kafka import Producer

from shared import demand

producer = Producer({"bootstrap.servers": sys.argv[1], "transactional.id": sys.argv[3], "transaction.timeout.ms": 60_000})
producer.init_transactions(30)
producer.begin_transaction()
producer.produce(sys.argv[2], b"open", partition=0)
demand(producer.flush(20), 0, "records left")
print("open", flush=True)
sys.stdin.readline()
