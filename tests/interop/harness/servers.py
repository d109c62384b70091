"""The servers under test. Each has a port pair, a data directory, and can be killed and started again in place."""

import os
import signal
import subprocess

from . import check, process, wire
from .places import KAFKA, SILTSTONE

HOST = "127.0.0.1"


class Server:
    """One server process on `port` (and `port + 1`), with everything it keeps under `data`."""

    kind = "none"

    def __init__(self, port, data, store=None, env=None, settings=None):
        self.port, self.data, self.store, self.env = port, data, store, env or {}
        self.settings = settings or {}  # broker configs under Kafka's names
        self.pid = None

    @property
    def bootstrap(self):
        return f"{HOST}:{self.port}"

    def start(self):
        self.data.mkdir(parents=True, exist_ok=True)
        self._launch()
        check.eventually(lambda: self._up(), f"{self.kind} answers on {self.bootstrap}", 60, 0.02)
        return self

    def _up(self):
        check.that(self.alive(), f"{self.kind} ended at its start: {self.log_tail()}")
        return wire.answers(HOST, self.port)

    def alive(self):
        return self.pid is not None and not process.gone(self.pid)

    def kill_nine(self):
        self._end(signal.SIGKILL, 10)

    def stop(self):
        if self.alive():
            self._end(signal.SIGTERM, 30)

    def _end(self, number, seconds):
        process.signal_pid(self.pid, number)
        check.eventually(lambda: self._reaped(), f"{self.kind} ends after signal {number}", seconds, 0.02)
        self.pid = None

    def _reaped(self):
        return process.gone(self.pid)

    def log_tail(self):
        log = self.data / "server.log"
        return log.read_text(errors="replace")[-800:] if log.exists() else "(no log)"


class Kafka(Server):
    """Apache Kafka 4.2, one broker and controller in one process."""

    kind = "kafka"

    def _launch(self):
        extra = ";".join(f"{name}={value}" for name, value in self.settings.items())
        out = process.run([KAFKA, "start", self.port, self.data], seconds=90, env={"EXTRA": extra})
        self.pid = int(out.text.split()[-1])


class Siltstone(Server):
    """`siltstone standalone`. Its log gathers in one file over all restarts."""

    kind = "siltstone"

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.child = None

    def _environment(self):
        """As `shared/peers/kafka` does, no delay before a group's first rebalance; then the scenario's own settings."""
        settings = {"group.initial.rebalance.delay.ms": 0, **self.settings}
        named = {f"SILTSTONE_KAFKA__{name.replace('.', '_').upper()}": str(value) for name, value in settings.items()}
        return {**os.environ, **named, **self.env}

    def _command(self):
        command = [str(SILTSTONE), "standalone", "--data", str(self.data / "data"),
                   "--kafka", self.bootstrap, "--http", f"{HOST}:{self.port + 1}"]
        return [*command, "--store", self.store] if self.store else command

    def _launch(self):
        command = self._command()
        with open(self.data / "server.log", "ab") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env=self._environment())
        self.pid = self.child.pid

    def _reaped(self):
        return self.child.poll() is not None

    def alive(self):
        return self.child is not None and self.child.poll() is None


KINDS = {"kafka": Kafka, "siltstone": Siltstone}
