"""A real MinIO on loopback, with one bucket, for scenarios whose store is object storage."""

import datetime
import hashlib
import hmac
import os
import subprocess
import urllib.error
import urllib.request

from . import check, process
from .places import CACHE

USER, SECRET, REGION, BUCKET = "interop-user", "interop-secret", "us-east-1", "siltstone"
BINARY = CACHE / "gopath/bin/minio"


class Minio:
    """MinIO over a directory of its own. `store(prefix)` and `env()` are what a server needs to use it. `host`: where it listens."""

    def __init__(self, port, data, host="127.0.0.1"):
        self.port, self.data, self.host, self.child = port, data, host, None

    def start(self):
        """Starts it and makes the bucket; whatever goes wrong on the way, or ends this program, leaves no process behind."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self):
        self.data.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": SECRET, "MINIO_BROWSER": "off",
               "MINIO_UPDATE": "off", "MINIO_CALLHOME_ENABLE": "off"}
        address = f"{self.host}:{self.port}"
        with open(f"{self.data}.log", "ab") as log:
            self.child = subprocess.Popen([str(BINARY), "server", "--quiet", "--address", address, str(self.data)],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        check.eventually(lambda: self._healthy(), f"MinIO is ready on {address}", 60)
        # Ready is not yet initialised: for some moments more it answers 503.
        check.eventually(lambda: self._signed("PUT", f"/{BUCKET}") in (200, 409), "MinIO made the bucket", 60)

    def stop(self):
        if self.child and self.child.poll() is None:
            process.signal_pid(self.child.pid, 15)
            self.child.wait(20)

    def store(self, prefix):
        return f"s3://{BUCKET}/{prefix}"

    def env(self):
        """Where and who by the names that AWS tools read, and that plain HTTP is meant."""
        endpoint = f"http://{self.host}:{self.port}"
        return {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL": endpoint, "SILTSTONE_STORE__ALLOW_HTTP": "true"}

    def objects(self):
        """Bytes and number of files under the bucket: proof that the store was used."""
        sizes = [path.stat().st_size for path in (self.data / BUCKET).rglob("*") if path.is_file()]
        return len(sizes), sum(sizes)

    def _healthy(self):
        check.that(self.child.poll() is None, "MinIO ended at its start")
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}/minio/health/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _signed(self, method, path):
        """One request with an empty body, signed with AWS Signature Version 4."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        host, empty = f"{self.host}:{self.port}", hashlib.sha256(b"").hexdigest()
        names = "host;x-amz-content-sha256;x-amz-date"
        head = f"host:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{now}\n"
        canonical = f"{method}\n{path}\n\n{head}\n{names}\n{empty}"
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{SECRET}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(f"http://{host}{path}", method=method, headers={
            "x-amz-date": now, "x-amz-content-sha256": empty,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={USER}/{scope}, SignedHeaders={names}, Signature={signature}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
