"""Prints the committed offsets of a group as JSON: BOOTSTRAP GROUP."""

import json
import sys

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

admin = AdminClient({"bootstrap.servers": sys.argv[1]})
asked = [ConsumerGroupTopicPartitions(sys.argv[2])]
told = next(iter(admin.list_consumer_group_offsets(asked, require_stable=True).values())).result(20)
print(json.dumps({f"{entry.topic}-{entry.partition}": entry.offset for entry in sorted(told.topic_partitions, key=lambda one: one.partition)}))
