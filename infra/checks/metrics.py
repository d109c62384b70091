#!/usr/bin/env python3
"""Whether rules, dashboard, adapter and docs name only metrics, labels and values that the program exports; and whether each alert has a runbook and a test."""

import json
import re
import sys
from pathlib import Path

import yaml

import names
import promql

INFRA = Path(__file__).resolve().parent.parent
DOCS = INFRA.parent / "docs"
CHART = INFRA / "helm/siltstone"
# What Prometheus or the scrape configuration adds.
OUTSIDE = {"job", "instance", "cluster", "pod", "namespace", "zone", "container"}
ALERTS = {"ALERTS": {"alertname", "alertstate", "severity"}}
RUNBOOKS = "https://github.com/siltstone/siltstone/blob/main/docs/"


class Check:
    def __init__(self):
        self.exported, self.words, self.wrong = names.exported(), names.words(), []
        self.recorded, self.used = {}, set()

    def say(self, where, what):
        self.wrong.append(f"{where}: {what}")

    def labels_of(self, selector, where):
        """The labels that a metric may have, or None if there is no such metric."""
        name = selector.metric
        if name == "up":
            return OUTSIDE
        if name in self.recorded:
            return self.recorded[name]
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        metric = self.exported.get(name) or self.exported.get(base)
        if metric is None:
            self.say(where, f"there is no metric {name}")
            return None
        self.used.add(base if base in self.exported and name not in self.exported else name)
        is_part = name != base and name not in self.exported
        if (metric.kind == "histogram") != is_part:
            self.say(where, f"{name}: {base} is a {metric.kind}")
        if selector.rated and metric.kind == "gauge":
            self.say(where, f"{name} is a gauge, and has no rate")
        if not selector.rated and (metric.kind == "counter" or is_part):
            self.say(where, f"{name} only grows: its rate or increase is meant")
        return metric.labels | OUTSIDE | ({"le"} if name.endswith("_bucket") and is_part else set())

    def expression(self, where, text):
        """Checks one; returns the labels that its metrics may have."""
        text = re.sub(r"\$__rate_interval|\$__range", "5m", text)
        text = re.sub(r"\$(put|get)_price", "1", text)
        selectors, grouped = promql.selectors(text)
        if not selectors:
            self.say(where, f"names no metric: {text}")
        every = set()
        for selector in selectors:
            labels = self.labels_of(selector, where)
            if labels is None:
                return set()
            every |= labels
            for label, _, value in selector.matchers:
                self.matcher(where, selector.metric, labels, label, value)
        for label in grouped - every:
            self.say(where, f"groups by {label}, which no metric there has")
        return (grouped - {"le"}) if grouped else every - {"le"}

    def matcher(self, where, metric, labels, label, value):
        if label not in labels:
            return self.say(where, f"{metric} has no label {label}")
        if label in OUTSIDE or label == "le" or label == "level":
            return None
        for one in value.split("|"):
            if one not in self.words:
                self.say(where, f"{metric}: no {label} is called {one!r}")
        return None

    def rules(self):
        for name in ("recording.yaml", "alerts.yaml"):
            for group in yaml.safe_load((CHART / "rules" / name).read_text())["groups"]:
                for rule in group["rules"]:
                    self.rule(name, rule)

    def rule(self, file, rule):
        title = rule.get("record") or rule["alert"]
        labels = self.expression(f"{file}, {title}", rule["expr"])
        tests = (INFRA / "prometheus" / file.replace(".yaml", "_test.yaml")).read_text()
        if not re.search(rf"\b{re.escape(title)}\b", tests):
            self.say(f"{file}, {title}", "has no test")
        if "record" in rule:
            self.recorded[title] = labels
            return
        for text in rule["annotations"].values():
            for label in re.findall(r"\$labels\.(\w+)", text):
                if label not in labels:
                    self.say(f"{file}, {title}", f"says {{{{ $labels.{label} }}}}, which its expression does not give")
        self.runbook(f"{file}, {title}", title, rule["annotations"].get("runbook_url", ""))

    def runbook(self, where, title, url):
        page, _, anchor = url.removeprefix(RUNBOOKS).partition("#")
        path = DOCS / page
        if not url.startswith(RUNBOOKS) or not path.is_file():
            return self.say(where, f"its runbook {url!r} is no page of docs/")
        headings = {heading.strip().lower() for heading in re.findall(r"^#+ (\w+)$", path.read_text(), re.M)}
        if anchor != title.lower() or anchor not in headings:
            self.say(where, f"docs/{page} has no heading {title}")
        return None

    def dashboard(self):
        board = json.loads((CHART / "dashboards/siltstone.json").read_text())
        identities = [panel["id"] for panel in board["panels"]]
        if len(identities) != len(set(identities)):
            self.say("dashboard", "two panels have one id")
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                labels = self.expression(f"dashboard, {panel['title']!r}", target["expr"])
                for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                    if label not in labels:
                        self.say(f"dashboard, {panel['title']!r}", f"its legend says {label}, which its expression does not give")
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                inside = re.match(r"label_values\((.*), (\w+)\)$", variable["query"]["query"])
                self.expression(f"dashboard, ${variable['name']}", inside[1])

    def adapter(self):
        for rule in yaml.safe_load((INFRA / "prometheus/adapter.yaml").read_text())["rules"]["custom"]:
            name = re.match(r"[\w:]+", rule["seriesQuery"])[0]
            if name not in self.recorded:
                self.say("adapter.yaml", f"nobody records {name}")
            served = rule["name"]["as"]
            if served not in (CHART / "templates/autoscaler.yaml").read_text():
                self.say("adapter.yaml", f"the autoscaler does not ask for {served}")

    def docs(self):
        """Metrics that the docs name must exist, with the abbreviations `_bytes_total`, `_hits_total` left alone."""
        for page in sorted(DOCS.rglob("*.md")):
            for name in re.findall(r"`(siltstone_[a-z_]+_(?:total|seconds|bytes|connections))\b", page.read_text()):
                if name not in self.exported:
                    self.say(page.relative_to(INFRA.parent), f"there is no metric {name}")


def main():
    check = Check()
    if len(check.exported) < 30:
        check.say("sources", f"only {len(check.exported)} metrics were found: names.py does not understand them any more")
    check.rules()
    check.dashboard()
    check.adapter()
    check.docs()
    shown = sorted(set(check.exported) - check.used)
    print(f"{len(check.exported)} metrics in the sources, {len(check.used)} of them in rules or dashboard; in neither: {', '.join(shown) or 'none'}")
    for line in check.wrong:
        print(f"  {line}", file=sys.stderr)
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
