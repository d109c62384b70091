#!/usr/bin/env python3
"""What a compose project must be, beyond what its schema says: the parts that the choice of a metadata store asks for, pinned images, ports on this machine only.

usage: composed.py STORE PROJECT.json"""

import json
import re
import sys
from pathlib import Path

ALWAYS = {"agent-1", "agent-2", "compactor", "minio", "bucket"}
STORES = {"postgres": {"postgres"}, "foundationdb": {"foundationdb", "foundationdb-configured"}}
SCHEMES = {"postgres": "postgres://", "foundationdb": "fdb://"}


def problems(store, project):
    services = project["services"]
    if set(services) != ALWAYS | STORES[store]:
        yield f"services are {sorted(services)}"
    taken = set()
    for name, service in services.items():
        if not re.search(r":[\w.-]*\d[\w.-]*$|:local$", service["image"]):
            yield f"{name}: {service['image']} is not pinned"
        for port in service.get("ports", []):
            if port.get("host_ip") != "127.0.0.1":
                yield f"{name}: port {port['published']} is open to the network"
            if port["published"] in taken:
                yield f"{name}: port {port['published']} is taken"
            taken.add(port["published"])
    for name, config in project.get("configs", {}).items():
        if "content" in config or not Path(config["file"]).is_file():
            yield f"{name} is no file that could be mounted"
    if store == "foundationdb":
        known = services["foundationdb"]["environment"]["FDB_CLUSTER_FILE_CONTENTS"]
        if Path(project["configs"]["fdb.cluster"]["file"]).read_text().strip() != known or services["foundationdb"]["networks"]["cluster"]["ipv4_address"] not in known:
            yield "FoundationDB's address, its cluster file and that of the agents differ"
    advertised = {}
    for name in ("agent-1", "agent-2", "compactor"):
        env = services[name]["environment"]
        if not env["SILTSTONE_METADATA__URL"].startswith(SCHEMES[store]):
            yield f"{name}: metadata in {env['SILTSTONE_METADATA__URL']}"
        if name != "compactor":
            advertised[name] = env["SILTSTONE_LISTEN__ADVERTISED"]
            if advertised[name].split(":")[1] not in {port["published"] for port in services[name]["ports"]}:
                yield f"{name}: clients are told {advertised[name]}, which is not published"
    if len(set(advertised.values())) != len(advertised):
        yield f"agents share an address: {advertised}"


def main():
    found = list(problems(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())))
    for line in found:
        print(f"  {line}", file=sys.stderr)
    print(f"{sys.argv[1]}: {'wrong' if found else 'fine'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
