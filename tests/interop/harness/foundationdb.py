"""A throw-away FoundationDB of one process on loopback, for agents that share their metadata.

SILTSTONE_TEST_FDB_DIR names the folder that has bin/fdbserver and bin/fdbcli, and lib/libfdb_c.so if it is not installed. SILTSTONE_BIN must then be a
program built with `--features foundationdb`.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from . import check, process

VARIABLE = "SILTSTONE_TEST_FDB_DIR"


def missing():
    """Why there is no FoundationDB to be had here, or None."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return f"{VARIABLE} is not set: no FoundationDB server to run on"
    gone = [name for name in ("bin/fdbserver", "bin/fdbcli") if not (Path(folder) / name).exists()]
    return f"{folder} has no {gone[0]}" if gone else None


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
        command = [self.home / "bin/fdbserver", "-p", f"127.0.0.1:{self.port}", "-C", self.cluster_file(), "-d", self.folder / "data", "-L", self.folder / "log"]
        with open(self.folder / "out", "wb") as out:
            self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.ask(f"configure new single {self.engine}")
        check.eventually(lambda: "is available" in self.ask("status minimal"), "FoundationDB is available", 60)
        return self

    def ask(self, text):
        check.that(self.child.poll() is None, f"fdbserver ended with {self.child.returncode}")
        return process.run([self.home / "bin/fdbcli", "-C", self.cluster_file(), "--timeout", 30, "--exec", text], seconds=60, env=self.env(), ok=None).text

    def stop(self, keep=None):
        """`keep`: a folder that does not exist yet, for what the server held: to look into what went wrong."""
        if self.child is not None and self.child.poll() is None:
            self.child.kill()
            self.child.wait(20)
        if self.folder is not None:
            if keep is not None:
                process.run(["cp", "-r", self.folder, keep])
            process.run(["rm", "-rf", self.folder])
            self.folder = None

    def cluster_file(self):
        return self.folder / "fdb.cluster"

    def url(self):
        return f"fdb://{self.cluster_file()}"

    def env(self):
        library = self.home / "lib"
        return {"LD_LIBRARY_PATH": str(library)} if (library / "libfdb_c.so").exists() else {}
