"""A throw-away PostgreSQL server on loopback, for agents that share their metadata. Runs as an unprivileged user, as it insists on."""

import os
import pwd
import subprocess
import tempfile
from pathlib import Path

from . import check, process

USER, PASSWORD, DATABASE = "siltstone", "interop-secret", "siltstone"


def programs():
    """Where the newest installed server's programs are, or None."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


class Postgres:
    """One server. `url()` and `env()` are what an agent needs; the password is only in the environment. `address`: one more that it listens on, and
    tells agents of."""

    def __init__(self, port, address=None):
        self.port, self.address, self.folder = port, address, None

    def start(self):
        self.folder = Path(tempfile.mkdtemp(prefix="siltstone-interop-pg-"))
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, password):
                os.chown(path, self.user(), -1)
        self.command("initdb", "-D", self.folder / "data", "-U", USER, "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8",
                     "--locale=C", "--no-sync")
        if self.address is not None:
            with open(self.folder / "data/pg_hba.conf", "a", encoding="ascii") as rules:
                rules.write("host all all samenet scram-sha-256\n")
        self.control("start")
        self.query("postgres", f"CREATE DATABASE {DATABASE}")
        return self

    def stop(self, keep=None):
        """`keep`: a folder that does not exist yet, for what the server held: to look into what went wrong."""
        if self.folder is not None:
            self.control("stop", "-m", "immediate", ok=None)
            if keep is not None:
                process.run(["cp", "-r", self.folder, keep])
            process.run(["rm", "-rf", self.folder])
            self.folder = None

    def crash_and_restart(self):
        """Its processes are killed, as in a crash, and it starts again."""
        self.control("restart", "-m", "immediate")

    def url(self):
        if self.address is None:
            return f"postgres://{USER}@127.0.0.1:{self.port}/{DATABASE}"
        return f"postgres://{USER}@{self.address}:{self.port}/{DATABASE}?sslmode=disable"

    def env(self):
        return {"SILTSTONE_METADATA__PASSWORD": PASSWORD}

    def query(self, database, text):
        """The answer to a statement, a row a line."""
        return process.run([programs() / "psql", "-X", "-A", "-t", *self._login(), "-c", text, database], env={"PGPASSWORD": PASSWORD}).text

    def backup(self, place):
        """Into the file `place`, while others go on."""
        process.run([programs() / "pg_dump", "-Fc", "-f", place, *self._login(), DATABASE], env={"PGPASSWORD": PASSWORD})

    def restore(self, place):
        self.query("postgres", f"DROP DATABASE {DATABASE} WITH (FORCE)")
        self.query("postgres", f"CREATE DATABASE {DATABASE}")
        process.run([programs() / "pg_restore", "-d", DATABASE, *self._login(), place], env={"PGPASSWORD": PASSWORD})

    def _login(self):
        return "-h", "127.0.0.1", "-p", self.port, "-U", USER

    def control(self, *words, ok=(0,)):
        addresses = "127.0.0.1" if self.address is None else f"127.0.0.1,{self.address}"
        options = f"-p {self.port} -k {self.folder} -c listen_addresses={addresses}"
        return self.command("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, *words, ok=ok)

    def user(self):
        names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
        return names.get("postgres", names["nobody"])

    def command(self, program, *words, ok=(0,)):
        command = [str(word) for word in (programs() / program, *words)]
        named = {"user": self.user(), "extra_groups": []} if os.geteuid() == 0 else {}
        print("+", " ".join(command), flush=True)
        # Into a file: the server inherits it, so that a pipe would never end.
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=90, check=False, **named)
            out.seek(0)
            text = out.read().decode(errors="replace")
        check.that(ok is None or done.returncode in ok, f"{program} ended with {done.returncode}: {text[-800:]}")
