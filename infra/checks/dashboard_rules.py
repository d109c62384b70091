#!/usr/bin/env python3
"""Writes each expression of the dashboard, and the adapter's, as a recording rule, Grafana's variables put in: for promtool, which knows PromQL."""

import json
import re
from pathlib import Path

import yaml

INFRA = Path(__file__).resolve().parent.parent
VARIABLES = {"$__rate_interval": "5m", "$cluster": ".*", "$instance": ".*", "$put_price": "0.005", "$get_price": "0.0004"}


def expressions():
    board = json.loads((INFRA / "helm/siltstone/dashboards/siltstone.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for rule in yaml.safe_load((INFRA / "prometheus/adapter.yaml").read_text())["rules"]["custom"]:
        name = re.match(r"[\w:]+", rule["seriesQuery"])[0]
        yield rule["seriesQuery"]
        yield rule["metricsQuery"].replace("<<.Series>>", name).replace("<<.LabelMatchers>>", 'namespace="n"').replace("<<.GroupBy>>", "pod")


def main():
    rules = []
    for number, text in enumerate(expressions()):
        for variable, value in VARIABLES.items():
            text = text.replace(variable, value)
        if "$" in text:
            raise SystemExit(f"an unknown variable: {text}")
        rules.append({"record": f"dashboard:expression:{number}", "expr": text})
    print(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))


if __name__ == "__main__":
    main()
