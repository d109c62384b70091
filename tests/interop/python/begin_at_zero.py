"""Commits offset 0 for every partition of a topic, in the name of a group without members: BOOTSTRAP GROUP TOPIC [PARTITIONS]. Whoever reads on from what the
group has committed needs no rule for where to begin, and finds it an error if ever there is nothing to go by."""

import sys

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from shared import PARTITIONS

bootstrap, group, topic = sys.argv[1:4]
partitions = int(sys.argv[4]) if len(sys.argv) > 4 else PARTITIONS
admin = AdminClient({"bootstrap.servers": bootstrap})  # has to outlive the answer
offsets = [TopicPartition(topic, partition, 0) for partition in range(partitions)]
for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, offsets)]).values():
    future.result(30)
