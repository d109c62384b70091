"""Siltstone as it runs in a cloud: agents in zones, on one metadata store and one bucket, that come, go, and are harmed; and a compactor."""

import signal
import urllib.error
import urllib.request

from . import check, process
from .places import SILTSTONE
from .servers import HOST, Siltstone

PLACES = 5  # ports for agents


class Process(Siltstone):
    """A process on the shared metadata and store."""

    role = "agent"

    def __init__(self, port, data, metadata, store, env, zone):
        super().__init__(port, data, store=store, env={**metadata.env(), **env, "SILTSTONE_NODE__ZONE": zone})
        self.metadata, self.zone = metadata, zone

    def _command(self):
        return [str(SILTSTONE), self.role, "--metadata", self.metadata.url(), "--store", self.store, "--data", str(self.data / "data"),
                "--http", f"{HOST}:{self.port + 1}", *self._own()]

    def _own(self):
        return ["--shards", "16", "--kafka", self.bootstrap]

    def stop_still(self):
        process.signal_pid(self.pid, signal.SIGSTOP)

    def go_on(self):
        process.signal_pid(self.pid, signal.SIGCONT)


class Compactor(Process):
    """`siltstone compactor`: no Kafka port; it is up when its HTTP port says so."""

    role = "compactor"

    def _own(self):
        return []

    def _up(self):
        check.that(self.alive(), f"the compactor ended at its start: {self.log_tail()}")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port + 1}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


class Cloud:
    """Three agents to begin with, one in each zone, and places for more. `bootstrap` names all places."""

    kind = "siltstone"

    def __init__(self, port, work, metadata, store, env):
        self.port, self.work, self.metadata, self.store, self.env = port, work, metadata, store, env
        self.agents, self.born = {}, 0  # place ▸ agent
        self.compactor = Compactor(port + 2 * PLACES, work / "compactor", metadata, store, env, "zone-0")

    @property
    def bootstrap(self):
        return ",".join(f"{HOST}:{self.port + 2 * place}" for place in range(PLACES))

    def serving(self):
        return [agent.bootstrap for agent in self.agents.values()]

    def start(self):
        for place in range(3):
            self.add(place)
        self.compactor.start()
        return self

    def add(self, place):
        """A new agent with nothing of its own, where there is none."""
        self.born += 1
        agent = Process(self.port + 2 * place, self.work / f"agent-{self.born}", self.metadata, self.store, self.env, self.zone(place))
        self.agents[place] = agent
        agent.start()
        return agent

    def zone(self, place):
        return f"zone-{place % 3}"

    def free(self):
        return next((place for place in range(PLACES) if place not in self.agents), None)

    def stop(self):
        """Ends all, also who stands still."""
        for one in [*self.agents.values(), self.compactor]:
            if one.alive():
                one.go_on()
        for one in [*self.agents.values(), self.compactor]:
            try:
                one.stop()
            except check.CheckFailed:
                one.kill_nine()


def drains():
    """True if this program drains when it is told to end: it then has a setting for it."""
    return "drain" in process.run([SILTSTONE, "config"]).text
