"""Object storage with moods: a proxy before MinIO asks for less, throttles one prefix, shows objects late, finds credentials expired and
the bucket gone.

Idempotent producers, librdkafka's and Java's, and a kcat that follows go on throughout. A raw producer with a time-out of 30 s is told of an
outage within seconds, by a retriable error; what goes inline goes on; credentials are read again from the profile; nothing is
restarted. At the end everything acknowledged is there, once and in order.
"""

import time

from harness import check, load, metrics, minio, process, speak
from harness.faulty import Faulty
from harness.places import SILTSTONE

TOPIC, PROBE, QUICK = "moods", "probe", "quick"
TIMEOUT_MS = 30_000
EARLY = 8  # seconds: patience, and the time until the first failure is known
NOT_ENOUGH_REPLICAS = 19


def run(context):
    server = context.server
    proxy = Faulty(server.port + 2, int(server.env["AWS_ENDPOINT_URL"].rpartition(":")[2])).start()
    profile = context.work / "credentials"
    credentials(profile, minio.SECRET)
    server.stop()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del server.env[name]
    # A cache that forgets soon, so that what was just written is read from the store.
    server.env.update(AWS_ENDPOINT_URL=f"http://127.0.0.1:{proxy.listen}", AWS_SHARED_CREDENTIALS_FILE=str(profile),
                      SILTSTONE_FLUSH__PATIENCE="3s", SILTSTONE_CACHE__BYTES="1MiB", SILTSTONE_CACHE__PAGE_BYTES="256KiB")
    server.start()
    first = server.pid
    for name, write in ((TOPIC, "object"), (PROBE, "object"), (QUICK, "inline")):
        process.run([SILTSTONE, "topic", "create", name, "--partitions", 4, "--config", f"siltstone.write={write}", "--bootstrap", context.bootstrap])
    flow = load.Load(context, TOPIC, rate=3 << 19)
    flow.progress("before all")
    slowed(context, proxy, flow)
    late(context, proxy, flow)
    expired(context, proxy, flow, profile)
    away(context, proxy, flow, "gone", "refuses", "refused")
    away(context, proxy, flow, "busy", "fails", "failing")
    flow.finish()
    check.equal(server.pid, first, "the process is the one that was started")
    check.that(server.alive(), "the server lives")
    print(f"requests {dict(proxy.requests)}")


def credentials(profile, secret):
    profile.write_text(f"[default]\naws_access_key_id={minio.USER}\naws_secret_access_key={secret}\n")


def slowed(context, proxy, flow):
    """Two of three requests are turned away, then all PUTs of this agent for a moment: producers notice nothing but time."""
    proxy.set("storm")
    flow.progress("in a storm of SlowDown")
    check.that(metric(context, "siltstone_objects_slow_downs_total") > 0, "the server was asked for less")
    newest = max((path for path in proxy.written if b"/seg/" in path), key=proxy.written.get)
    proxy.throttled = newest.rsplit(b"/", 2)[0]  # the part with the hash
    proxy.set("throttle")
    check.eventually(lambda: proxy.requests["throttle"] > 2, "its prefix is throttled", 20)
    time.sleep(1)  # the mood itself, shorter than patience
    proxy.set("pass")
    flow.progress("after its prefix was throttled")
    check.equal(metric(context, "siltstone_produce_turned_away_total"), 0, "batches that were turned away")


def late(context, proxy, flow):
    proxy.set("late")
    flow.progress("while objects show late", records=600)
    behind = Behind(context)
    check.eventually(lambda: flow.alive() or behind.read() or proxy.requests["late"] > 0, "an object is asked for before it shows", 60)
    proxy.set("pass")
    behind.connection.close()
    print(f"late answers: {proxy.requests['late']}")


class Behind:
    """Reads what was written somewhat more than a second ago: not shown yet, and mostly out of the cache already. Who follows is answered from there."""

    SECONDS = 1.2

    def __init__(self, context):
        self.connection, self.ends = speak.Connection(context.bootstrap), []

    def read(self):
        now = time.monotonic()
        self.ends.append((now, self.fetch([(partition, 0) for partition in range(load.PARTITIONS)], 1)))
        old = [places for when, places in self.ends if now - when > self.SECONDS]
        if old:
            self.fetch(old[-1], 1 << 20)

    def fetch(self, places, size):
        """The partitions' ends, as an answer with so many bytes of each partition says them."""
        answer = self.connection.call(speak.fetch(TOPIC, places, 8 << 20, size))
        return [(partition, high) for partition, _, high, _ in speak.fetched(answer)]


def expired(context, proxy, flow, profile):
    """The keys expire, then are wrong in truth, as MinIO finds itself; then the profile has the right ones again."""
    credentials(profile, "no-secret-at-all")
    proxy.set("expired")
    told_early(context, "expired credentials", "refuses", "refused")
    proxy.set("pass")
    time.sleep(1)  # tries in which MinIO itself is asked
    check.contains(ready(context), "ready, but", "/ready with wrong credentials")
    credentials(profile, minio.SECRET)
    back(context, flow, "new credentials")


def away(context, proxy, flow, mode, how, why):
    proxy.set(mode)
    told_early(context, mode, how, why)
    proxy.set("pass")
    back(context, flow, f"'{mode}'")


def told_early(context, what, how, why):
    """The first error of a produce that would wait for 30 s; meanwhile what needs no object goes on."""
    begin, code, rounds = time.monotonic(), 0, 0
    connection = speak.Connection(context.bootstrap)
    while code == 0:
        check.that(time.monotonic() - begin < EARLY, f"{what}: told within {EARLY} s")
        code, _ = produce(connection, PROBE)
        rounds += 1
    took = time.monotonic() - begin
    check.equal(code, NOT_ENOUGH_REPLICAS, f"{what}: the error")
    check.that(took < EARLY, f"{what}: told after {took:.1f} s, within {EARLY}")
    check.eventually(lambda: metric(context, "siltstone_produce_circuit_open", why=why) == 1, f"{what}: the circuit is open", EARLY)
    check.contains(ready(context), f"ready, but the object store {how}", f"{what}: /ready")
    begin = time.monotonic()
    check.equal(produce(connection, PROBE)[0], NOT_ENOUGH_REPLICAS, f"{what}: the error while the circuit is open")
    check.equal(produce(connection, QUICK)[0], 0, f"{what}: the error of a produce that goes inline")
    print(f"{what}: told after {took:.1f} s and {rounds} requests; then two answers in {time.monotonic() - begin:.2f} s", flush=True)
    connection.close()


def produce(connection, topic):
    return speak.produced(connection.call(speak.produce(topic, [(0, speak.batch(1000))], timeout_ms=TIMEOUT_MS)))[0]


def back(context, flow, what):
    begin = time.monotonic()
    flow.progress(f"after {what}")
    print(f"{what}: flows again {time.monotonic() - begin:.1f} s after", flush=True)
    check.equal(ready(context), "ready\n", "/ready")


def ready(context):
    return metrics.page(context.server.port + 1, "ready")


def metric(context, name, **labels):
    return metrics.total(context.server.port + 1, name, **labels)
