"""All scenarios, in the order in which they run. A scenario is a module with a `run(context)` and this entry."""

from dataclasses import dataclass
from typing import Callable

from . import agents, clients, clouds, cluster_chaos, compaction, compaction_chaos, connect, dumpavail, erase, exactly_once, full_disk, group_clients, group_tools, java_clients, java_groups, kcat, kill_nine, leaders_move, network, partitions, probe, readme, restart, restore, stalled, store_outage, tools, unruly, zone_cache, zones
from .java_groups import QUICK, SMALL


@dataclass
class Case:
    """One scenario: what it needs installed, its hard time-out, and whether it needs a server of its own."""

    name: str
    run: Callable
    needs: tuple
    seconds: int
    own_server: bool = False
    store: str | None = None
    siltstone_only: bool = False
    per_round: int = 0
    per_minute: int = 0  # seconds more for each of `--minutes`
    settings: dict | None = None  # broker configs under Kafka's names; needs a server of its own
    environment: dict | None = None  # Siltstone's own settings, as environment variables; needs a server of its own
    port: int | None = None  # where the server must listen; needs a server of its own
    by_name: bool = False  # takes so long that it runs only where it is asked for
    fills_store: bool = False  # writes so much that objects must be there, not only inline segments

    def limit(self, options):
        """Seconds after which the scenario is ended and has failed."""
        return self.seconds + self.per_round * options.rounds + int(self.per_minute * options.minutes)


CASES = [
    Case("kcat", kcat.run, ("kcat",), 90),
    Case("java-producer", java_clients.producer, ("java", "kcat"), 90),
    Case("java-consumer", java_clients.consumer, ("java", "kcat"), 90),
    Case("java-admin", java_clients.admin, ("java",), 90),
    Case("differential", probe.run, ("java",), 90, own_server=True),
    Case("franz-go", clients.franz_go, ("go", "kcat"), 60),
    Case("kafka-python", clients.kafka_python, ("python", "kcat"), 90),
    Case("confluent-kafka", clients.confluent, ("python", "kcat"), 60),
    Case("kafkajs", clients.kafkajs, ("kafkajs", "kcat"), 60),
    Case("rdkafka", clients.rdkafka, ("rdkafka", "kcat"), 60),
    Case("java-classic-groups", java_groups.classic, ("java",), 120, own_server=True, settings=SMALL),
    Case("java-consumer-groups", java_groups.consumer, ("java",), 150, own_server=True, settings=SMALL),
    Case("java-group-admin", java_groups.admin, ("java",), 90),
    Case("java-transactions", java_groups.transactions, ("java",), 120, own_server=True, settings=QUICK),
    Case("java-transactions-old", java_groups.transactions_old, ("java", "java-old"), 120, own_server=True, settings=QUICK),
    Case("java-transaction-admin", java_groups.transaction_admin, ("java",), 60),
    Case("franz-go-groups", group_clients.franz_go, ("go", "kcat", "python"), 90),
    Case("sarama-groups", group_clients.sarama, ("go", "kcat", "python"), 90),
    Case("confluent-kafka-groups", group_clients.confluent, ("kcat", "python"), 90),
    Case("confluent-kafka-new-protocol", group_clients.confluent_consumer, ("kcat", "python"), 90, own_server=True, settings=QUICK),
    Case("kafka-python-groups", group_clients.kafka_python, ("kcat", "python"), 170),
    Case("aiokafka-groups", group_clients.aiokafka, ("kcat", "python"), 90),
    Case("kafkajs-groups", group_clients.kafkajs, ("kafkajs", "kcat", "python"), 90),
    Case("rdkafka-groups", group_clients.rdkafka, ("rdkafka", "kcat", "python"), 90),
    Case("rskafka", clients.rskafka, ("rskafka", "kcat"), 60),
    Case("compaction", compaction.run, ("java", "kafka"), 480, own_server=True, settings=compaction.SETTINGS, environment=compaction.ENVIRONMENT),
    Case("kafka-streams", java_groups.streams, ("java",), 150),
    Case("kafka-connect", connect.run, ("java", "kcat"), 150),
    Case("kafka-tools", tools.run, ("java", "kcat"), 150),
    Case("kafka-group-tools", group_tools.run, ("java", "python", "kcat"), 150),
    Case("readme", readme.run, ("java", "python", "go", "kafkajs", "kcat"), 180, own_server=True, port=readme.PORT),
    Case("dumpavail", dumpavail.run, ("kafka", "kcat"), 180, own_server=True),
    Case("kill-nine", kill_nine.run, ("java", "python", "kcat"), 150, own_server=True, per_round=20),
    Case("groups-restart", restart.run, ("java",), 120, own_server=True, settings=restart.PATIENT),
    Case("exactly-once-chaos", exactly_once.run, ("java", "python", "kcat"), 600, own_server=True, settings=QUICK, per_minute=75),
    Case("exactly-once-chaos-new-protocol", exactly_once.run_new_protocol, ("java", "python", "kcat"), 600, own_server=True, settings=QUICK,
         per_minute=75),
    Case("kcat@minio", kcat.run, ("kcat", "minio"), 90, store="minio", siltstone_only=True),
    Case("dumpavail@minio", dumpavail.run, ("kafka", "kcat", "minio"), 180, store="minio", siltstone_only=True,
         fills_store=True),
    Case("java-producer@minio", java_clients.producer, ("java", "kcat", "minio"), 90, store="minio",
         siltstone_only=True),
    Case("store-outage", store_outage.run, ("java", "python", "kcat", "minio"), 240, store="minio", siltstone_only=True, per_minute=90),
    Case("unruly-store", unruly.run, ("java", "python", "kcat", "minio"), 150, store="minio", siltstone_only=True),
    Case("stalled", stalled.run, (), 180, own_server=True, siltstone_only=True),
    Case("partitions", partitions.run, (), 180, siltstone_only=True),
    Case("full-disk", full_disk.run, ("java", "python", "kcat"), 200, own_server=True, siltstone_only=True, per_minute=60),
    Case("compaction-chaos", compaction_chaos.run, ("java", "kcat", "postgres", "python"), 800, own_server=True, siltstone_only=True, settings=QUICK,
         per_minute=75),
    Case("erase", erase.run, ("kcat",), 180, own_server=True, siltstone_only=True, environment=erase.ENVIRONMENT),
    Case("erase-agents", erase.run_agents, ("kcat", "postgres"), 240, own_server=True, siltstone_only=True),
    Case("agents", agents.run, ("java", "kcat", "postgres", "python"), 240, own_server=True, siltstone_only=True),
    Case("restore", restore.run, ("kcat", "postgres"), 200, own_server=True, siltstone_only=True),
    Case("zones", zones.run, ("java", "kcat", "postgres", "python"), 360, own_server=True, siltstone_only=True),
    Case("network", network.run, ("java", "kcat", "minio", "postgres", "python"), 360, own_server=True, siltstone_only=True),
    Case("zone-cache", zone_cache.run, ("kcat", "minio", "postgres"), 180, own_server=True, siltstone_only=True),
    Case("leaders-move", leaders_move.run, ("go", "java", "minio", "postgres", "python"), 240, store="minio", siltstone_only=True),
    Case("cluster-chaos", cluster_chaos.run, ("go", "java", "minio", "postgres", "python"), 600, store="minio", siltstone_only=True, per_minute=100,
         by_name=True),
    Case("gs-store", clouds.google, ("kcat", "fake-gcs"), 120, own_server=True, siltstone_only=True),
    Case("az-store", clouds.azure, ("kcat", "azurite"), 120, own_server=True, siltstone_only=True),
]
NAMES = [case.name for case in CASES]


def choose(options):
    """The scenarios that the command line asks for and the server can run."""
    wanted = [case for case in CASES if (case.name in options.only if options.only else not case.by_name)]
    if options.record:
        wanted = [case for case in wanted if case.name == "differential"]
    if options.server != "siltstone" or (options.store and not options.only):
        wanted = [case for case in wanted if not case.siltstone_only]
    return wanted
