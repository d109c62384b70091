"""The loop of a transactional copier with librdkafka: what it does with the messages of each turn is its own.

A turn speaks for the generation that the member was in before it asked for messages. librdkafka may rebalance while it gathers them, and goes on to the next
generation in the background: what is then committed under that one would be accepted, though another member has the partitions by now.
"""

from confluent_kafka import KafkaException

from shared import goes_on


def copy(consumer, producer, source, seconds, process):
    """Takes from `source` and has `process(consumer, producer, member, messages)` do the rest, until the program is told to end. `seconds`: how long to wait for the
    producer's first answer."""
    producer.init_transactions(seconds)
    consumer.subscribe([source])
    while goes_on():
        member = consumer.consumer_group_metadata()
        messages = consumer.consume(40, 0.1)
        errors = [message.error() for message in messages if message.error()]
        if errors:
            raise KafkaException(errors[0])
        if messages:
            process(consumer, producer, member if generation(member) >= 0 else consumer.consumer_group_metadata(), messages)


def generation(member):
    """The generation in a group's metadata, as librdkafka writes it: behind seven bytes of version."""
    return int.from_bytes(member[7:11], "little", signed=True)
