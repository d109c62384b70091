"""kcat 1.7.1 with librdkafka 2.0.2, as Debian ships them: what a newcomer types first, with exact contents checked."""

import json

from harness import check
from harness.records import kcat_json

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def run(context):
    metadata(context)
    auto_created(context)
    keys_and_headers(context)
    codecs(context)
    acknowledgements(context)
    positions(context)
    small_fetches(context)
    refused(context)


def lines(prefix, count):
    """Lines that compress well but are all different."""
    return [f"{prefix}-{index}-" + "abc" * (index % 70) for index in range(count)]


def produce(context, topic, values, *extra, ok=(0,)):
    return context.kcat("-P", "-t", topic, *extra, stdin="".join(value + "\n" for value in values).encode(), ok=ok)


def consume(context, topic, *extra):
    return context.kcat("-C", "-t", topic, "-e", "-q", *extra).text.splitlines()


def metadata(context):
    """One broker that names itself as the client reached it, and a controller."""
    answer = json.loads(context.kcat("-L", "-J").text)
    check.equal([broker["name"] for broker in answer["brokers"]], [context.bootstrap], "brokers in the metadata")
    check.equal(answer["controllerid"], answer["brokers"][0]["id"], "controller in the metadata")


def auto_created(context):
    """Producing to a topic that is not there makes it, with one partition and its broker as leader."""
    topic = context.topic("kcat-auto")
    produce(context, topic, ["first"])
    answer = json.loads(context.kcat("-L", "-J", "-t", topic).text)
    check.equal([entry["topic"] for entry in answer["topics"]], [topic], "topics in the metadata")
    leader = answer["brokers"][0]["id"]
    want = [{"partition": 0, "leader": leader, "replicas": [{"id": leader}], "isrs": [{"id": leader}]}]
    check.equal(answer["topics"][0]["partitions"], want, "partitions of the auto-created topic")
    check.equal(consume(context, topic, "-o", "beginning"), ["first"], "the auto-created topic's contents")


def keys_and_headers(context):
    topic = context.topic("kcat-keys")
    values = ["one:alpha", "two:", "three:gamma:with colon"]
    produce(context, topic, values, "-K", ":", "-H", "colour=red", "-H", "note=a b=c", "-H", "empty=")
    produce(context, topic, ["null-value:"], "-K", ":", "-Z")
    produce(context, topic, ["no key"])
    rows = kcat_json(context.bootstrap, topic)
    headers = ["colour", "red", "note", "a b=c", "empty", ""]
    want = [("one", "alpha", headers), ("two", "", headers), ("three", "gamma:with colon", headers),
            ("null-value", None, None), (None, "no key", None)]
    got = [(row["key"], row["payload"], row.get("headers")) for row in rows]
    check.same_list(got, want, "keys, values and headers")
    check.equal([row["offset"] for row in rows], list(range(5)), "offsets")


def codecs(context):
    """Batches of every codec in one topic come back whole and in order, from one consumer."""
    topic, want = context.topic("kcat-codecs"), []
    for codec in CODECS:
        values = lines(codec, 1000)
        produce(context, topic, values, "-z", codec, "-p", "0", "-X", "linger.ms=50")
        want += values
    check.same_list(consume(context, topic, "-o", "beginning"), want, "records of all codecs")


def acknowledgements(context):
    """acks 0, 1 and all, and an idempotent producer: everything is there once, in order."""
    for name, setting in (("0", "acks=0"), ("1", "acks=1"), ("all", "acks=all"), ("idem", "enable.idempotence=true")):
        topic, values = context.topic(f"kcat-acks-{name}"), lines(name, 2000)
        produce(context, topic, values, "-X", setting, "-X", "batch.num.messages=50")
        check.eventually(lambda: len(consume(context, topic, "-o", "beginning")) == len(values), f"{setting} all there", 20)
        check.same_list(consume(context, topic, "-o", "beginning"), values, setting)


def positions(context):
    """Starts at an offset, from the end, and at timestamps; queries offsets by time."""
    topic = context.topic("kcat-positions")
    for part in range(3):
        produce(context, topic, [f"{part}-{index}" for index in range(100)], "-p", "0")
    rows = kcat_json(context.bootstrap, topic)
    values = [row["payload"] for row in rows]
    check.equal(len(values), 300, "records")
    check.equal(consume(context, topic, "-o", "250"), values[250:], "from offset 250")
    check.equal(consume(context, topic, "-o", "-7"), values[-7:], "the last seven")
    check.equal(consume(context, topic, "-o", "beginning", "-c", "5"), values[:5], "the first five")
    check.equal(consume(context, topic, "-o", "end"), [], "from the end")
    middle, last = rows[100]["ts"], rows[200]["ts"]
    check.that(rows[99]["ts"] < middle <= rows[199]["ts"] < last, f"timestamps grow: {middle} {last}")
    since = [row["payload"] for row in rows if row["ts"] >= middle]
    check.equal(consume(context, topic, "-o", f"s@{middle}"), since, "from a timestamp")
    between = [row["payload"] for row in rows if middle <= row["ts"] < last]
    check.equal(consume(context, topic, "-o", f"s@{middle}", "-o", f"e@{last}"), between, "between two timestamps")
    first = next(row["offset"] for row in rows if row["ts"] >= middle)
    for stamp, offset in ((middle, first), (0, 0), (rows[-1]["ts"] + 100_000, -1), (-2, 0), (-1, 300)):
        answer = context.kcat("-Q", "-t", f"{topic}:0:{stamp}").text.strip()
        check.equal(answer, f"{topic} [0] offset {offset}", f"offset at timestamp {stamp}")


def small_fetches(context):
    """A fetch smaller than a batch still makes progress, and nothing is lost or repeated."""
    topic, values = context.topic("kcat-small"), lines("small", 3000)
    produce(context, topic, values, "-X", "batch.num.messages=200")
    got = consume(context, topic, "-o", "beginning", "-X", "fetch.message.max.bytes=512", "-X", "fetch.max.bytes=1000",
                  "-X", "message.max.bytes=1000", "-X", "receive.message.max.bytes=100000")
    check.same_list(got, values, "records through small fetches")


def refused(context):
    """A record over the broker's limit and a partition that is not there are refused by name."""
    topic = context.topic("kcat-refused")
    produce(context, topic, ["small"])
    big = context.kcat("-P", "-t", topic, "-X", "message.max.bytes=4000000", stdin=b"x" * 2_000_000, ok=None)
    check.equal(big.code, 1, "status after a record that is too large")
    check.contains(big.errors, "Message size too large", "a record that is too large")
    missing = context.kcat("-P", "-t", topic, "-p", "9", stdin=b"x\n", ok=None)
    check.contains(missing.errors, "Unknown partition", "produce to partition 9")
    absent = context.kcat("-C", "-t", context.topic("kcat-absent"), "-e", ok=None)
    check.contains(absent.errors, "Unknown topic or partition", "consume from an unknown topic")
    check.equal(consume(context, topic, "-o", "beginning"), ["small"], "contents after refusals")
