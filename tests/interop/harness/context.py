"""What a scenario gets: a running server, a place for files, and shortcuts to the installed clients."""

import time

from . import install, process
from .places import EXPECTED, INTEROP, KAFKA, KAFKA_JARS


class Context:
    """Arguments of one scenario. `server` runs; `work` is an empty folder; `options` are the driver's flags."""

    def __init__(self, server, work, options):
        self.server, self.work, self.options = server, work, options

    @property
    def bootstrap(self):
        return self.server.bootstrap

    @property
    def is_siltstone(self):
        return self.server.kind == "siltstone"

    def topic(self, name):
        """A topic name that no other run on the same server used."""
        return f"{name}-{time.time_ns() // 1000 % 10**10:x}"

    def base_time(self):
        """Timestamps for records: an hour ago, so that no retention and no check of the clock touches them."""
        return int(time.time() * 1000) - 3_600_000

    def java(self, main, *args, seconds=90, **named):
        path = f"{install.JAVA_CLASSES}:{KAFKA_JARS}/*"
        return process.run(self.java_command(main, path, args), seconds=seconds, **named)

    def java_command(self, main, path=None, args=()):
        path = path or f"{install.JAVA_CLASSES}:{KAFKA_JARS}/*"
        log = KAFKA.parent / "log4j2.properties"
        return ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                f"-Dlog4j2.configurationFile={log}", "-cp", path, main, *[str(arg) for arg in args]]

    def tool(self, name, *args, seconds=60, **named):
        """One of Kafka's own command-line tools, by its class name."""
        quick = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -Xshare:auto"}  # a tool lives for a second
        return process.run([KAFKA, "tool", name, *args], seconds=seconds, env=quick, **named)

    def python(self, program, *args, seconds=60, **named):
        """One of the programs in python/, with the client libraries."""
        return process.run([install.PYTHON, "-B", INTEROP / "python" / program, *args], seconds=seconds, **named)

    def kcat(self, *args, seconds=60, **named):
        return process.run(["kcat", "-b", self.bootstrap, *args], seconds=seconds, **named)

    def expected(self, name):
        return EXPECTED / f"{name}.json"
