"""Emulators of Google's and Azure's object stores on loopback, with one bucket each, for scenarios whose store is `gs://` or `az://`."""

import base64
import datetime
import hashlib
import hmac
import json
import os
import subprocess
import urllib.error
import urllib.request

from . import check, install, process
from .faulty import Faulty

BUCKET = "siltstone"
ACCOUNT = "devstoreaccount1"  # Azurite's, known to everybody
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Emulator:
    """One process on `port`. `url(prefix)` and `env()` are what a server needs to use it."""

    def __init__(self, port, work):
        self.port, self.work, self.child = port, work, None

    def start(self):
        self.work.mkdir(parents=True, exist_ok=True)
        with open(self.work / "emulator.log", "ab") as log:
            self.child = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ})
        check.eventually(self.made, f"{type(self).__name__} makes a bucket", 30)
        return self

    def made(self):
        check.that(self.child.poll() is None, f"{type(self).__name__} ended at its start")
        try:
            with urllib.request.urlopen(self.make(), timeout=5) as answer:
                return answer.status in (200, 201)
        except urllib.error.HTTPError as error:
            raise check.CheckFailed(f"the bucket: {error.code} {error.read()[:300]!r}") from None
        except OSError:
            return False

    def stop(self):
        if self.child is not None and self.child.poll() is None:
            process.signal_pid(self.child.pid, 15)
            self.child.wait(20)


def as_signed(begin):
    """fake-gcs-server takes a PUT of an object, which Google's XML interface knows, only if its URL looks signed."""
    return begin.replace(b" HTTP/1.1", b"?X-Goog-Algorithm=none HTTP/1.1", 1) if begin.startswith(b"PUT ") else begin


def with_etag(begin):
    """Nor does it give its answers all of the headers that Google's have."""
    missing = b"" if b"\r\netag:" in begin.lower() else b"ETag: none\r\n"
    return begin.replace(b"\r\n", b"\r\n" + missing, 1)


class Google(Emulator):
    """fake-gcs-server on `port`, and a proxy before it on `port + 1`."""

    def start(self):
        Faulty(self.port + 1, self.port, as_signed, with_etag).start()
        return super().start()

    def command(self):
        address = f"127.0.0.1:{self.port + 1}"
        return [str(install.FAKE_GCS), "-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port), "-public-host", address,
                "-external-url", f"http://{address}", "-backend", "filesystem", "-filesystem-root", str(self.work / "data"),
                "-log-level", "warn"]

    def make(self):
        return urllib.request.Request(f"http://127.0.0.1:{self.port}/storage/v1/b?project=interop", method="POST",
                                      data=json.dumps({"name": BUCKET}).encode(), headers={"Content-Type": "application/json"})

    def url(self, prefix):
        return f"gs://{BUCKET}/{prefix}"

    def env(self):
        return {"SILTSTONE_STORE__ENDPOINT": f"http://127.0.0.1:{self.port + 1}", "SILTSTONE_STORE__ANONYMOUS": "true",
                "SILTSTONE_STORE__ALLOW_HTTP": "true"}


class Azure(Emulator):
    """Azurite's blob service."""

    def command(self):
        return [str(install.AZURITE), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(self.work / "data"),
                "--silent", "--skipApiVersionCheck", "--disableTelemetry"]

    def make(self):
        """A request to make the container, signed with the account's key."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"x-ms-date": now, "x-ms-version": "2021-12-02"}
        path = f"/{ACCOUNT}/{BUCKET}"
        signed = "PUT" + "\n" * 12 + "".join(f"{name}:{value}\n" for name, value in headers.items()) + f"/{ACCOUNT}{path}\nrestype:container"
        signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        return urllib.request.Request(f"http://127.0.0.1:{self.port}{path}?restype=container", method="PUT", headers=headers)

    def url(self, prefix):
        return f"az://{BUCKET}/{prefix}"

    def env(self):
        return {"SILTSTONE_STORE__ENDPOINT": f"http://127.0.0.1:{self.port}/{ACCOUNT}", "SILTSTONE_STORE__ACCESS_KEY_ID": ACCOUNT,
                "SILTSTONE_STORE__SECRET_ACCESS_KEY": KEY, "SILTSTONE_STORE__ALLOW_HTTP": "true"}
