#!/usr/bin/env python3
"""Renders the chart with each file of values, and checks what comes out: Kubernetes' own schemas (strict), those of the Prometheus operator's kinds, and that the
parts fit together. What values.schema.json or the templates must refuse is tried, too.

usage: charts.py HELM CRDS_FOLDER [WRITE_RENDERED_TO]"""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

INFRA = Path(__file__).resolve().parent.parent
CHART, VALUES = INFRA / "helm/siltstone", INFRA / "checks/values"
# The oldest that the chart is for with its defaults, and a newer one; without them it is for an older one, too.
VERSIONS, OLDEST = ("1.35", "1.37"), "1.32"
# What the chart has of the Prometheus operator's kinds.
CUSTOM = ("podmonitors", "prometheusrules")


def helm(program, *words):
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def render(program, *words, version=VERSIONS[0]):
    return helm(program, "template", "log", CHART, "-n", "kafka", "--kube-version", f"{version}.0", *words)


def objects(text):
    return [document for document in yaml.safe_load_all(text) if document]


class Chart:
    def __init__(self, program, crds):
        self.program, self.wrong, self.checked = program, [], 0
        self.custom = {}
        for kind in CUSTOM:
            crd = yaml.safe_load((Path(crds) / f"monitoring.coreos.com_{kind}.yaml").read_text())
            for version in crd["spec"]["versions"]:
                self.custom[f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]

    def say(self, where, what):
        self.wrong.append(f"{where}: {what}")

    def accepted(self, values):
        """Everything about one file of values. Gives back what was rendered."""
        code, out, err = helm(self.program, "lint", "--strict", "--quiet", CHART, "-f", values, "--kube-version", f"{VERSIONS[0]}.0")
        if code:
            self.say(values.name, f"helm lint: {out}{err}")
        rendered = []
        zone = yaml.safe_load(values.read_text()).get("agent", {}).get("zone", {}).get("source", "podLabel")
        for version in VERSIONS if zone == "podLabel" else (OLDEST, *VERSIONS):
            code, out, err = render(self.program, "-f", values, version=version)
            if code:
                self.say(values.name, f"helm template: {err}")
                return []
            rendered = objects(out)
            for one in rendered:
                self.schema(values.name, one, version)
        Fit(values.name, rendered, self.say).check()
        return rendered

    def schema(self, where, one, version):
        name = f"{where}, {one.get('kind')} {one.get('metadata', {}).get('name')}"
        self.checked += 1
        custom = self.custom.get((one["apiVersion"], one["kind"]))
        try:
            if custom:
                jsonschema.Draft202012Validator(closed(custom)).validate(one)
            else:
                kubernetes_validate.validate(one, version, strict=True)
        except jsonschema.ValidationError as error:
            self.say(name, f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}")
        except kubernetes_validate.utils.ValidationError as error:
            self.say(name, f"{'.'.join(map(str, error.path))}: {error.message[:300]}")
        except kubernetes_validate.utils.SchemaNotFoundError:
            self.say(name, f"no schema of {one['apiVersion']} {one['kind']} in Kubernetes {version}")

    def refused(self):
        """Values that must not pass, each with a part of what is said."""
        for case in yaml.safe_load((INFRA / "checks/refused.yaml").read_text()):
            words = [word for setting in case["set"] for word in ("--set", setting)]
            code, _, err = render(self.program, "-f", VALUES / "minimal.yaml", *words, version=case.get("version", VERSIONS[0]))
            if not code:
                self.say("refused.yaml", f"{case['set']} was accepted")
            elif case["says"] not in err:
                self.say("refused.yaml", f"{case['set']} should say {case['says']!r}: {err}")
            self.checked += 1


def closed(schema):
    """The schema of a custom kind, refusing fields that it doesn't know, as `strict` does for Kubernetes' own."""
    if isinstance(schema, dict):
        out = {key: closed(value) for key, value in schema.items()}
        if "properties" in out and "additionalProperties" not in out and not out.get("x-kubernetes-preserve-unknown-fields"):
            out["additionalProperties"] = out["properties"].keys() == {"metadata"}
        if out.get("properties", {}).keys() >= {"apiVersion", "kind", "metadata"}:
            out["properties"]["metadata"] = {"type": "object"}
        if out.get("x-kubernetes-int-or-string"):
            return {}
        if "(?i)" in str(out.get("pattern")):
            del out["pattern"]  # a regular expression of Go's that is none of Python's
        return out
    return [closed(one) for one in schema] if isinstance(schema, list) else schema


class Fit:
    """Whether objects of one rendering fit together: what no schema sees."""

    def __init__(self, where, rendered, say):
        self.where, self.rendered, self.say_ = where, rendered, say
        self.workloads = {(one["kind"], one["metadata"]["name"]): one for one in rendered if one["kind"] in ("Deployment", "StatefulSet")}
        self.pods = [one["spec"]["template"] for one in self.workloads.values()]

    def say(self, what):
        self.say_(self.where, what)

    def of(self, kind):
        return [one for one in self.rendered if one["kind"] == kind]

    def selects(self, labels, what):
        """How many kinds of pods a selector finds; StatefulSets' pods have their own names as a label."""
        wanted = {key: value for key, value in labels.items() if key != "statefulset.kubernetes.io/pod-name"}
        found = [pod for pod in self.pods if wanted.items() <= pod["metadata"]["labels"].items()]
        if not found:
            self.say(f"{what} selects no pods")
        return found

    def check(self):
        names = [(one["kind"], one["metadata"]["name"]) for one in self.rendered]
        for twice in {name for name in names if names.count(name) > 1}:
            self.say(f"{twice} is there twice")
        if not any(pod["spec"]["containers"][0]["args"] == ["agent"] for pod in self.pods):
            self.say("there are no agents")
        for (kind, name), one in self.workloads.items():
            self.workload(f"{kind} {name}", one)
        for one in self.of("Service"):
            self.service(one)
        for one in self.of("PodDisruptionBudget") + self.of("PodMonitor"):
            self.selects(one["spec"]["selector"]["matchLabels"], f"{one['kind']} {one['metadata']['name']}")
        for one in self.of("HorizontalPodAutoscaler"):
            target = one["spec"]["scaleTargetRef"]
            workload = self.workloads.get((target["kind"], target["name"]))
            if workload is None:
                self.say(f"the autoscaler scales {target}, which is not there")
            elif "replicas" in workload["spec"]:
                self.say(f"{target['name']} is scaled, and has a fixed number of replicas that every upgrade sets back")
        for one in self.of("PodMonitor"):
            for endpoint in one["spec"]["podMetricsEndpoints"]:
                self.port(f"PodMonitor {one['metadata']['name']}", endpoint["port"], self.pods)

    def workload(self, what, one):
        spec = one["spec"]
        if not spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items():
            self.say(f"{what} does not select its own pods")
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        env = {variable["name"]: variable.get("value") for variable in container["env"]}
        if len(env) != len(container["env"]):
            self.say(f"{what} has a variable twice: {[variable['name'] for variable in container['env']]}")
        stop = int(env["SILTSTONE_SHUTDOWN__TIMEOUT"].removesuffix("s"))
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = 3 * int(env.get("SILTSTONE_SHUTDOWN__DRAIN", "5s").removesuffix("s"))
        needed = pause + (drain + 2 * stop if container["args"] == ["agent"] else stop)
        if pod["terminationGracePeriodSeconds"] <= needed:
            self.say(f"{what} is killed after {pod['terminationGracePeriodSeconds']} s, and may need {needed} s to stop")
        if one["kind"] == "StatefulSet" and spec["serviceName"] not in {service["metadata"]["name"] for service in self.of("Service")}:
            self.say(f"{what} has no headless service {spec['serviceName']}")
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in {volume["name"] for volume in pod.get("volumes", [])}:
                self.say(f"{what} mounts {mount['name']}, which is no volume")

    def service(self, one):
        what = f"Service {one['metadata']['name']}"
        pods = self.selects(one["spec"]["selector"], what)
        for port in one["spec"]["ports"]:
            self.port(what, port["targetPort"], pods)
        pod = one["spec"]["selector"].get("statefulset.kubernetes.io/pod-name")
        if pod and ("StatefulSet", pod.rpartition("-")[0]) not in self.workloads:
            self.say(f"{what} is for the pod {pod}, which no StatefulSet makes")

    def port(self, what, name, pods):
        for pod in pods:
            if name not in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}:
                self.say(f"{what}: no port of {pod['metadata']['labels']} is called {name}")


def main():
    chart = Chart(*sys.argv[1:3])
    rendered = {values.name: chart.accepted(values) for values in sorted(VALUES.glob("*.yaml"))}
    chart.refused()
    if len(sys.argv) > 3:
        Path(sys.argv[3]).write_text(json.dumps(rendered))
    print(f"{len(rendered)} files of values, {chart.checked} objects and refusals")
    for line in chart.wrong:
        print(f"  {line}", file=sys.stderr)
    return 1 if chart.wrong or not rendered else 0


if __name__ == "__main__":
    sys.exit(main())
