#!/usr/bin/env python3
"""Whether the program takes every setting that chart, compose file and units give it: `siltstone config` is run with each container's own environment.

usage: settings.py SILTSTONE RENDERED.json COMPOSE.json..."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INFRA = Path(__file__).resolve().parent.parent
# What stands for values that only a cluster knows.
FIELDS = {"metadata.name": "log-siltstone-agent-0", "status.podIP": "10.0.0.7", "status.hostIP": "10.0.0.1", "metadata.labels['topology.kubernetes.io/zone']": "eu-central-1a"}
NO_FDB = ("built without FoundationDB", "it must begin with postgres://")
# Settings that are to come: one that the program does not know yet is left out, and told of. Nothing else may be unknown.
COMING = ()
UNKNOWN = re.compile(r"^\s*([a-z_.]+) \(environment variable (\w+)\): is not a setting", re.M)


def of_pod(container):
    """A container's environment, as the kubelet would make it."""
    env = {}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        value = FIELDS[source["fieldRef"]["fieldPath"]] if "fieldRef" in source else "from-a-secret" if "secretKeyRef" in source else variable["value"]
        env[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda match: env.get(match[1], match[0]), value)
    return env


def containers(rendered, composed):
    for values, objects in json.loads(Path(rendered).read_text()).items():
        for one in objects:
            if one["kind"] in ("Deployment", "StatefulSet"):
                container = one["spec"]["template"]["spec"]["containers"][0]
                yield f"{values}, {one['metadata']['name']}", container["args"], of_pod(container)
    for path in composed:
        project = json.loads(Path(path).read_text())
        for name, service in project["services"].items():
            if "siltstone" in service.get("image", ""):
                yield f"{Path(path).stem}, {name}", service["command"], service["environment"]


class Program:
    def __init__(self, path):
        self.path, self.without_fdb, self.left_out = path, 0, set()

    def config(self, env, *words):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run([self.path, "config", *words], env={"PATH": os.environ["PATH"], **env}, cwd=empty, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout, done.stderr.strip()

    def takes(self, env):
        """What the program says against an environment, or None."""
        code, out, err = self.config(env)
        coming = {variable: name for name, variable in UNKNOWN.findall(err) if name.startswith(COMING)} if code else {}
        if coming:
            self.left_out |= set(coming.values())
            env = {name: value for name, value in env.items() if name not in coming}
            code, out, err = self.config(env)
        if code and any(said in err for said in NO_FDB) and env.get("SILTSTONE_METADATA__URL", "").startswith("fdb:"):
            self.without_fdb += 1
            code, out, err = self.config({**env, "SILTSTONE_METADATA__URL": "postgres://user@host/database"})
        if code:
            return err
        if "$(" in out:
            return f"a variable was not put in: {out}"
        return None


def main():
    program, wrong, tried = Program(sys.argv[1]), [], 0
    for where, command, env in containers(sys.argv[2], sys.argv[3:]):
        tried += 1
        if command not in (["agent"], ["compactor"]):
            wrong.append(f"{where}: runs {command}")
        wrong += [f"{where}: {said}" for said in [program.takes(env)] if said]
    for document in (INFRA.parent / "docs/deploy.md",):
        for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", document.read_text(), re.M | re.S)):
            tried += 1
            with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write(text)
                file.flush()
                code, _, err = program.config({}, "--config", file.name)
            if code:
                wrong.append(f"{document.name}, settings {number + 1}: {err}")
    print(f"{tried} sets of settings")
    if program.without_fdb:
        print(f"NOTE: this program was built without FoundationDB: {program.without_fdb} of them were tried with a URL of PostgreSQL's in place of fdb://")
    if program.left_out:
        print(f"NOTE: this program does not know yet, and they were left out: {', '.join(sorted(program.left_out))}")
    for line in wrong:
        print(f"  {line}", file=sys.stderr)
    return 1 if wrong or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
