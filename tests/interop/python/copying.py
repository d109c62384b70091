"""The loop of a transactional copier with librdkafka: what it does with the messages of each turn is its own."""

from confluent_kafka import KafkaException

from shared import goes_on


def copy(consumer, producer, source, seconds, process):
    """Takes from `source` and has `process(consumer, producer, messages)` do the rest, until the program is told to end. `seconds`: how long to wait for the
    producer's first answer."""
    producer.init_transactions(seconds)
    consumer.subscribe([source])
    while goes_on():
        messages = consumer.consume(40, 0.1)
        errors = [message.error() for message in messages if message.error()]
        if errors:
            raise KafkaException(errors[0])
        if messages:
            process(consumer, producer, messages)
