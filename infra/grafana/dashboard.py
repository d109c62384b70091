#!/usr/bin/env python3
"""Makes infra/helm/siltstone/dashboards/siltstone.json. `dashboard.py --check` only says whether the file is what this would make."""

import json
import re
import sys
from pathlib import Path

INFRA = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(INFRA / "checks"))
sys.dont_write_bytecode = True

import names  # noqa: E402  (the path must be set first)

FILE = INFRA / "helm/siltstone/dashboards/siltstone.json"
SOURCE = {"type": "prometheus", "uid": "${source}"}
HERE = 'cluster=~"$cluster", instance=~"$instance"'
WIDTH, HEIGHT, COLUMNS = 8, 8, 3


def rate(metric, by, labels=""):
    """A counter's rate, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{HERE}{labels}}}[$__rate_interval]))"


def quantile(q, metric, by="", labels=""):
    """A quantile over all chosen processes together."""
    inner = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, sum by ({inner}) (rate({metric}_bucket{{{HERE}{labels}}}[$__rate_interval])))"


def quantiles(metric, labels=""):
    return [(quantile(q, metric, labels=labels), f"p{q * 100:g}") for q in (0.5, 0.99, 0.999)]


def gauge(metric, labels=""):
    return f"{metric}{{{HERE}{labels}}}"


def panel(title, unit, queries, text="", stack=False):
    return {"title": title, "unit": unit, "queries": queries, "text": text, "stack": stack}


PUTS = rate("siltstone_objects_billed_requests_total", "cluster", ', class="write"')
GETS = rate("siltstone_objects_billed_requests_total", "cluster", ', class="read"')
HITS, MISSES = (rate(f"siltstone_cache_{what}_total", "cluster", ', part="page"') for what in ("hits", "misses"))
FLUSHED, FLUSHES = (rate(f"siltstone_produce_{what}_total", "cluster", ', kind="object"') for what in ("flushed_bytes", "flushes"))

ROWS = [
    ("Traffic", [
        panel("Bytes in", "Bps", [(rate("siltstone_kafka_received_bytes_total", "instance"), "{{instance}}")], "Requests, by agent.", True),
        panel("Bytes out", "Bps", [(rate("siltstone_kafka_sent_bytes_total", "instance"), "{{instance}}")], "Answers, by agent.", True),
        panel("Requests", "reqps", [(rate("siltstone_kafka_requests_total", "api"), "{{api}}")], "", True),
        panel("Connections", "short", [(gauge("siltstone_kafka_connections"), "{{instance}}")], "Beyond limits.connections they wait to be accepted.", True),
        panel("Errors that clients were given", "short", [(rate("siltstone_kafka_errors_total", "api, error"), "{{api}} {{error}}")],
              "One for each partition or request. NOT_LEADER_OR_FOLLOWER for seconds is a drain; UNKNOWN_SERVER_ERROR is a defect."),
        panel("Processes that answer", "short", [('count by (job) (up{cluster=~"$cluster", job=~"siltstone-.+"} == 1)', "{{job}}")]),
    ]),
    ("Latency", [
        panel("Produce", "s", quantiles("siltstone_kafka_request_seconds", ', api="Produce"'), "From a request's arrival to its answer."),
        panel("Fetch", "s", quantiles("siltstone_kafka_request_seconds", ', api="Fetch"'), "Waits for new records on purpose, up to the consumer's fetch.max.wait.ms."),
        panel("Other requests, p99", "s", [(quantile(0.99, "siltstone_kafka_request_seconds", "api", ', api!~"Produce|Fetch"'), "{{api}}")],
              "JoinGroup and SyncGroup wait for other members."),
        panel("A write's stages, p99", "s", [
            (quantile(0.99, "siltstone_produce_buffer_seconds"), "1 in the buffer"), (quantile(0.99, "siltstone_produce_build_seconds"), "2 put together"),
            (quantile(0.99, "siltstone_produce_upload_seconds"), "3 into the bucket"),
            (quantile(0.99, "siltstone_produce_commit_seconds"), "4 into the metadata"), (quantile(0.99, "siltstone_produce_fold_seconds"), "4 and 5 until visible")],
              "Small flushes have neither the second stage nor the third."),
        panel("A write's stages, p50", "s", [
            (quantile(0.5, "siltstone_produce_buffer_seconds"), "1 in the buffer"), (quantile(0.5, "siltstone_produce_build_seconds"), "2 put together"),
            (quantile(0.5, "siltstone_produce_upload_seconds"), "3 into the bucket"),
            (quantile(0.5, "siltstone_produce_commit_seconds"), "4 into the metadata"), (quantile(0.5, "siltstone_produce_fold_seconds"), "4 and 5 until visible")]),
        panel("Bytes that wait to be flushed", "bytes", [(gauge("siltstone_produce_buffered_bytes"), "{{instance}}")], "Near buffer.bytes producers wait.", True),
    ]),
    ("Object store: requests and cost", [
        panel("Requests", "reqps", [(rate("siltstone_objects_requests_total", "kind"), "{{kind}}")], "Attempts; retries and hedges count, as they do on the bill.", True),
        panel("Requests that did not succeed", "reqps", [(rate("siltstone_objects_requests_total", "kind, result", ', result!="ok"'), "{{kind}} {{result}}")],
              "dropped: its twin was faster, or its deadline passed. refused: credentials, permissions, no bucket. busy: asks for less."),
        panel("Time of a request, p99", "s", [(quantile(0.99, "siltstone_objects_request_seconds", "kind"), "{{kind}}")]),
        panel("Bytes", "Bps", [(rate("siltstone_objects_bytes_total", "kind"), "{{kind}}")]),
        panel("Retries and hedges", "reqps", [
            (rate("siltstone_objects_retries_total", "kind"), "retry {{kind}}"), (rate("siltstone_objects_hedges_total", "kind"), "hedge {{kind}}"),
            (rate("siltstone_objects_hedge_wins_total", "kind"), "hedge was faster {{kind}}"), (rate("siltstone_objects_slow_downs_total", "kind"), "asked for less {{kind}}")]),
        panel("Nothing goes into objects", "short", [(gauge("siltstone_produce_circuit_open"), "{{instance}}: {{why}}"), (rate("siltstone_produce_turned_away_total", "cluster"), "batches turned away a second")],
              "1: uploads fail, or are refused, and producers are told so at once (flush.patience)."),
        panel("Cost of requests, a month at this rate", "currencyUSD", [
            (f"{PUTS} * 2592000 / 1000 * $put_price", "PUT, LIST"), (f"{GETS} * 2592000 / 1000 * $get_price", "GET, HEAD")],
              "By the prices above, for 1,000 requests: S3's in us-east-1 unless you change them. Deletes cost nothing there. Storage and traffic are not in it.", True),
        panel("Size of a flushed object", "bytes", [(f"{FLUSHED} / {FLUSHES}", "{{cluster}}")], "As stored, compressed. Small ones are paid for by latency: flush.interval."),
        panel("Flushes", "short", [(rate("siltstone_produce_flushes_total", "kind"), "{{kind}}"), (rate("siltstone_produce_failed_flushes_total", "cluster"), "failed")],
              "A second. inline: into the metadata, without a PUT."),
        panel("Bytes flushed", "Bps", [(rate("siltstone_produce_flushed_bytes_total", "kind"), "{{kind}}")], "", True),
    ]),
    ("Metadata", [
        panel("Commits of flushes", "ops", [(rate("siltstone_produce_commit_seconds_count", "instance"), "{{instance}}")], "Transactions; several flushes may share one.", True),
        panel("Time of a commit", "s", quantiles("siltstone_produce_commit_seconds"), "The metadata store's."),
        panel("From commit until folded", "s", quantiles("siltstone_produce_fold_seconds"), "How far agents follow behind what they wrote. At 5 s a shard is not served any more."),
        panel("Bytes kept in the metadata store", "Bps", [(rate("siltstone_produce_flushed_bytes_total", "instance", ', kind="inline"'), "{{instance}}")],
              "Until the compactor merges them; at most inline.bytes_per_second an agent.", True),
        panel("Reads", "ops", [(rate("siltstone_metadata_reads_total", "kind"), "{{kind}}")], "Requests. version: read versions; an idle agent asks some twenty a second in all.", True),
        panel("Transactions", "ops", [(rate("siltstone_metadata_commits_total", "result"), "{{result}}")], "conflict, too_old: decided about again. unknown, unavailable: the store is in trouble.", True),
        panel("Bytes read and written", "Bps", [(rate("siltstone_metadata_read_bytes_total", "cluster"), "read"), (rate("siltstone_metadata_written_bytes_total", "cluster"), "written")], "Keys and values."),
        panel("Keys read and written", "ops", [(rate("siltstone_metadata_read_keys_total", "cluster"), "read"), (rate("siltstone_metadata_written_keys_total", "cluster"), "written")]),
        panel("Shards followed, keys watched", "short", [(gauge("siltstone_follow_shards"), "followed {{instance}}"), (gauge("siltstone_metadata_watches"), "watched {{instance}}")],
              "An agent follows what clients are sent to it for, and what was used lately."),
        panel("How far the last shard trails", "s", [(gauge("siltstone_follow_lag_seconds"), "{{instance}}")], "About 1 in peace. At 5 a shard is not served."),
        panel("Looks and rounds", "ops", [(rate("siltstone_follow_looks_total", "result"), "looks, {{result}}"), (rate("siltstone_follow_rounds_total", "result"), "rounds, {{result}}"),
                                          (rate("siltstone_follow_changes_total", "change"), "shards {{change}}")], "A look is at all shards at once, a round reads one shard's log."),
    ]),
    ("Memory, cache, process", [
        panel("Memory", "bytes", [(gauge("process_resident_memory_bytes"), "{{instance}}")]),
        panel("Cache", "bytes", [(gauge("siltstone_cache_bytes"), "{{instance}}")], "At most cache.bytes."),
        panel("Pages found in the cache", "percentunit", [(f"{HITS} / ({HITS} + {MISSES})", "{{cluster}}")], "Low while consumers are near the end: raise cache.bytes."),
        panel("Cache: pages and blocks", "ops", [
            (rate("siltstone_cache_misses_total", "part"), "fetched {{part}}"), (rate("siltstone_cache_fetches_joined_total", "part"), "waited for {{part}}"),
            (rate("siltstone_cache_evictions_total", "cluster"), "evicted"), (rate("siltstone_cache_prefetches_total", "result"), "read ahead {{result}}")]),
        panel("Processors", "short", [(rate("process_cpu_seconds_total", "instance"), "{{instance}}")], "Cores in use."),
        panel("File descriptors", "percentunit", [(f'{gauge("process_open_fds")} / {gauge("process_max_fds")}', "{{instance}}")]),
        panel("Threads", "short", [(gauge("process_threads"), "{{instance}}")]),
        panel("Age", "s", [(f'time() - {gauge("process_start_time_seconds")}', "{{instance}}")], "Since the process began."),
    ]),
    ("Zones and other agents", [
        panel("Records between clients and agents", "Bps", [(rate("siltstone_kafka_zone_bytes_total", "direction, zone"), "{{direction}}, {{zone}} zone")],
              "other: crosses zones, and is paid for. unknown: the client's zone, or the agent's, is not known.", True),
        panel("Pages that were not in the cache", "ops", [(rate("siltstone_zone_pages_total", "from"), "{{from}}")],
              "neighbour: another agent gave it. own, alone: from the bucket, as meant. Others: from the bucket, because something failed.", True),
        panel("Pages asked of other agents", "ops", [(rate("siltstone_peer_asked_total", "result"), "asked, {{result}}")]),
        panel("Pages given to other agents", "ops", [(rate("siltstone_peer_served_total", "result"), "served, {{result}}")]),
        panel("Time until another agent gives a page", "s", quantiles("siltstone_peer_ask_seconds"), "At peer.patience the bucket is asked, too."),
        panel("Connections between agents", "short", [(gauge("siltstone_peer_connections"), "{{instance}}"), (rate("siltstone_peer_rejected_connections_total", "reason"), "rejected a second: {{reason}}")]),
    ]),
    ("Compactor", [
        panel("Jobs", "short", [(f'sum by (kind, result) (increase(siltstone_compactor_jobs_total{{{HERE}}}[$__rate_interval]))', "{{kind}} {{result}}")],
              "changed: somebody else was faster, nothing is lost. failed: tried again."),
        panel("Read and written", "Bps", [(rate("siltstone_compactor_read_bytes_total", "cluster"), "read"), (rate("siltstone_compactor_written_bytes_total", "level"), "written, level {{level}}")]),
        panel("Merged, beside what is flushed", "Bps", [
            (rate("siltstone_compactor_merged_bytes_total", "level"), "to level {{level}}"), (rate("siltstone_produce_flushed_bytes_total", "cluster"), "flushed")],
              "In the long run level 1 keeps up with what is flushed."),
        panel("How often a byte is written", "short", [("siltstone:write_amplification:ratio6h{cluster=~\"$cluster\"}", "{{cluster}}"),
                                                       (gauge("siltstone_compactor_write_amplification"), "as {{instance}} knows")], "At most 3 in the long run."),
        panel("Segments", "short", [(rate("siltstone_compactor_segments_total", "level"), "made, level {{level}}"), (rate("siltstone_compactor_reclaimed_total", "step"), "{{step}}")], "A second."),
        panel("Retention and compaction by key", "short", [
            (rate("siltstone_compactor_trims_total", "cluster"), "log starts raised"), (rate("siltstone_compactor_compacted_bytes_total", "cluster"), "bytes that newer keys replaced")]),
    ]),
    ("Groups and transactions", [
        panel("Requests of groups", "reqps", [(rate("siltstone_kafka_requests_total", "api", ', api=~"JoinGroup|SyncGroup|Heartbeat|ConsumerGroupHeartbeat|LeaveGroup|OffsetCommit|OffsetFetch"'), "{{api}}")]),
        panel("Commits of offsets", "s", quantiles("siltstone_kafka_request_seconds", ', api="OffsetCommit"'), "Each is a durable transaction of the metadata store."),
        panel("Groups that came to an agent", "short", [(rate("siltstone_group_loads_total", "instance"), "{{instance}}")], "A second. Many, for long: agents come and go."),
        panel("Ends of transactions", "s", quantiles("siltstone_kafka_request_seconds", ', api="EndTxn"')),
        panel("Transactions", "reqps", [(rate("siltstone_kafka_requests_total", "api", ', api=~"InitProducerId|AddPartitionsToTxn|TxnOffsetCommit|EndTxn"'), "{{api}}"),
                                        (rate("siltstone_transactions_timed_out_total", "cluster"), "timed out")]),
    ]),
]


def drawn(panel_, number, x, y):
    """A panel as Grafana wants it."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if panel_["stack"] else 5, "showPoints": "never",
              "stacking": {"mode": "normal" if panel_["stack"] else "none", "group": "A"}}
    return {
        "id": number, "type": "timeseries", "title": panel_["title"], "description": panel_["text"], "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel_["unit"], "min": 0, "custom": custom}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [{"refId": chr(ord("A") + at), "expr": expr, "legendFormat": legend, "datasource": SOURCE} for at, (expr, legend) in enumerate(panel_["queries"])],
    }


def known(panel_, exported):
    """Whether the program has what a panel shows. One whose metrics are yet to come is left out until they are there."""
    wanted = re.findall(r"siltstone_[a-z_]+", " ".join(expr for expr, _ in panel_["queries"]))
    return all(name in exported or re.sub(r"_(bucket|sum|count)$", "", name) in exported for name in wanted)


def rows():
    """Rows with the panels that can be shown. Only of zones may any be missing: elsewhere a metric that is gone must not take its panel with it in silence."""
    exported = names.exported()
    for title, members in ROWS:
        shown = [member for member in members if not title.startswith("Zones") or known(member, exported)]
        if shown:
            yield title, shown


def panels():
    out, y, number = [], 0, 0
    for title, members in rows():
        number += 1
        out.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
        y += 1
        for at, member in enumerate(members):
            number += 1
            out.append(drawn(member, number, at % COLUMNS * WIDTH, y + at // COLUMNS * HEIGHT))
        y += -(-len(members) // COLUMNS) * HEIGHT
    return out


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name}, "refresh": 2, "multi": True,
            "includeAll": True, "allValue": ".*", "sort": 1, "current": {"text": "All", "value": "$__all"}}


def price(name, label, value):
    return {"name": name, "label": label, "type": "textbox", "query": value, "current": {"text": value, "value": value}}


def dashboard():
    return {
        "uid": "siltstone", "title": "Siltstone", "tags": ["siltstone"], "schemaVersion": 39, "version": 1, "editable": True, "timezone": "browser",
        "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "graphTooltip": 1, "annotations": {"list": []},
        "links": [{"title": "Alerts explained", "type": "link", "url": "https://github.com/siltstone/siltstone/blob/main/docs/alerts.md", "targetBlank": True}],
        "templating": {"list": [
            {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}},
            variable("cluster", "Cluster", "label_values(process_start_time_seconds{job=~\"siltstone-.+\"}, cluster)"),
            variable("instance", "Process", "label_values(process_start_time_seconds{job=~\"siltstone-.+\", cluster=~\"$cluster\"}, instance)"),
            price("put_price", "1,000 PUTs", "0.005"), price("get_price", "1,000 GETs", "0.0004"),
        ]},
        "panels": panels(),
    }


def main():
    text = json.dumps(dashboard(), indent=1) + "\n"
    if sys.argv[1:] == ["--check"]:
        if not FILE.exists() or FILE.read_text() != text:
            sys.exit(f"{FILE} is not what infra/grafana/dashboard.py makes: run that without --check")
    else:
        FILE.write_text(text)


if __name__ == "__main__":
    main()
