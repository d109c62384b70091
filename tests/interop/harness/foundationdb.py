"""A throw-away FoundationDB of one process on loopback, for agents that share their metadata.

SILTSTONE_TEST_FDB_DIR names the folder that has bin/fdbserver and bin/fdbcli, for backups also bin/fdbbackup, bin/fdbrestore and bin/backup_agent, and
lib/libfdb_c.so if it is not installed. SILTSTONE_BIN must then be a program built with `--features foundationdb`.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from . import check, process
from .postgres import Postgres

VARIABLE = "SILTSTONE_TEST_FDB_DIR"
AHEAD = 10**12  # a version that a database made anew does not reach


def missing():
    """Why there is no FoundationDB to be had here, or None."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return f"{VARIABLE} is not set: no FoundationDB server to run on"
    gone = [name for name in ("bin/fdbserver", "bin/fdbcli") if not (Path(folder) / name).exists()]
    return f"{folder} has no {gone[0]}" if gone else None


def chosen(options, port):
    """The metadata store that `--metadata` names, not started; or why there is none."""
    if options.metadata != "fdb":
        return Postgres(port), None
    return FoundationDb(port), missing()


class FoundationDb:
    """One server. `url()` and `env()` are what an agent needs."""

    def __init__(self, port, engine="memory"):
        self.port, self.engine, self.folder, self.child = port, engine, None, None
        self.home = Path(os.environ.get(VARIABLE, "."))

    def start(self):
        why = missing()
        check.that(why is None, why)
        self.folder = Path(tempfile.mkdtemp(prefix="siltstone-interop-fdb-"))
        (self.folder / "log").mkdir()
        self.cluster_file().write_text(f"interop:interop@127.0.0.1:{self.port}\n")
        return self._new()

    def _new(self):
        """A database that has never held anything."""
        command = [self.home / "bin/fdbserver", "-p", f"127.0.0.1:{self.port}", "-C", self.cluster_file(), "-d", self.folder / "data", "-L", self.folder / "log"]
        with open(self.folder / "out", "wb") as out:
            self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.ask(f"configure new single {self.engine}")
        check.eventually(lambda: "is available" in self.ask("status minimal"), "FoundationDB is available", 60)
        return self

    def backup(self, place):
        """Into the folder `place`, while others go on: as of the moment at which it ends."""
        self.ask(f"advanceversion {AHEAD}")
        check.that(self.version() >= AHEAD, "the version was advanced")
        place.mkdir()
        self._with_agent("fdbbackup", "start", "-C", self.cluster_file(), "-d", f"file://{place}", "-w")

    def restore(self, place):
        """Into a new database. Its versions begin at nothing, and fdbrestore moves them behind those of the backup."""
        self._end()
        process.run(["rm", "-rf", self.folder / "data"])
        self._new()
        check.that(self.version() < AHEAD, "versions begin anew")
        backup, = place.iterdir()
        self._with_agent("fdbrestore", "start", "--dest-cluster-file", self.cluster_file(), "-r", f"file://{backup}", "-w")

    def version(self):
        return int(self.ask("getversion").split()[-1])

    def _with_agent(self, program, *words):
        """Backups are made and read by agents of FoundationDB's own."""
        with open(self.folder / "backup-agent", "ab") as out, \
                subprocess.Popen([str(self.home / "bin/backup_agent"), "-C", str(self.cluster_file())], stdin=subprocess.DEVNULL, stdout=out, stderr=out) as agent:
            try:
                process.run([self.home / "bin" / program, *words], seconds=180, env=self.env())
            finally:
                agent.kill()

    def ask(self, text):
        check.that(self.child.poll() is None, f"fdbserver ended with {self.child.returncode}")
        return process.run([self.home / "bin/fdbcli", "-C", self.cluster_file(), "--timeout", 30, "--exec", text], seconds=60, env=self.env(), ok=None).text

    def stop(self, keep=None):
        """`keep`: a folder that does not exist yet, for what the server held: to look into what went wrong."""
        self._end()
        if self.folder is not None:
            if keep is not None:
                process.run(["cp", "-r", self.folder, keep])
            process.run(["rm", "-rf", self.folder])
            self.folder = None

    def _end(self):
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait(20)

    def cluster_file(self):
        return self.folder / "fdb.cluster"

    def url(self):
        return f"fdb://{self.cluster_file()}"

    def env(self):
        library = self.home / "lib"
        return {"LD_LIBRARY_PATH": str(library)} if (library / "libfdb_c.so").exists() else {}
