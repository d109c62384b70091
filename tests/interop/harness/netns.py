"""Hosts as network namespaces. Each host has a leg in every network; a leg that is cut loses all it carries without a word to anybody, as a broken
switch does: no connection is refused, reset or ended. This program and its clients are in all networks, at the address that ends with 1.
"""

import os
import re
import shutil

from . import check, process


def missing():
    """Why there can be no namespaces here, or None."""
    if os.geteuid() != 0:
        return "not root: no network namespaces"
    if shutil.which("ip") is None:
        return "no command ip: no network namespaces"
    try:
        networks = Networks(["probe"]).start()
        networks.host()
        networks.end()
    except check.CheckFailed as failed:
        return f"no network namespaces: {failed}"
    return None


class Networks:
    """Some networks, and hosts that come with `host`. `end` takes all of it away."""

    def __init__(self, names):
        self.tag, self.names, self.hosts = f"s{os.getpid()}", list(names), []

    def start(self):
        leftovers()
        for name in self.names:
            ip("link", "add", self.bridge(name), "type", "bridge")
            ip("addr", "add", f"{self.address(name, 0)}/24", "dev", self.bridge(name))
            ip("link", "set", self.bridge(name), "up")
        return self

    def bridge(self, name):
        return f"{self.tag}b{self.names.index(name)}"

    def address(self, name, host):
        """Of host 0, which is this program's, 1, 2, …"""
        return f"10.211.{self.names.index(name)}.{host + 1}"

    def host(self):
        """One more host."""
        self.hosts.append(Host(self, len(self.hosts) + 1))
        return self.hosts[-1].start()

    def end(self):
        for host in self.hosts:
            ip("netns", "del", host.name, ok=None)
        for name in self.names:
            ip("link", "del", self.bridge(name), ok=None)


class Host:
    """One host. `words` begin a command that runs there."""

    def __init__(self, networks, number):
        self.networks, self.number, self.name = networks, number, f"{networks.tag}h{number}"

    @property
    def words(self):
        return ["ip", "netns", "exec", self.name]

    def start(self):
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        for network in self.networks.names:
            leg = self.leg(network)
            ip("link", "add", leg, "type", "veth", "peer", "name", network, "netns", self.name)
            ip("link", "set", leg, "master", self.networks.bridge(network), "up")
            ip("-n", self.name, "addr", "add", f"{self.address(network)}/24", "dev", network)
            ip("-n", self.name, "link", "set", network, "up")
        return self

    def leg(self, network):
        return f"{self.name}n{self.networks.names.index(network)}"

    def address(self, network):
        return self.networks.address(network, self.number)

    def cut(self, network):
        ip("link", "set", self.leg(network), "nomaster")

    def heal(self, network):
        ip("link", "set", self.leg(network), "master", self.networks.bridge(network))


def ip(*words, ok=(0,)):
    return process.run(["ip", *words], ok=ok).text


def leftovers():
    """Takes away what a run that was killed has left: it would have our addresses."""
    def dead(name, letter):
        owner = re.match(rf"s(\d+){letter}\d+$", name)
        return owner and process.gone(int(owner.group(1)))
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        if dead(name, "h"):
            ip("netns", "del", name, ok=None)
    for line in ip("-o", "link", "show", "type", "bridge").splitlines():
        name = line.split(": ")[1]
        if dead(name, "b"):
            ip("link", "del", name, ok=None)
