"""Installs what scenarios need, into the cache. Every part is skipped when its inputs are unchanged.

Nothing is installed outside the cache but Debian's kcat and postgresql, and those only when they are missing.
"""

import hashlib
import os
import shutil
import sys
import time

from . import minio, postgres, process
from .places import CACHE, INTEROP, KAFKA, KAFKA_JARS

PIP = ["confluent-kafka==2.16.1", "kafka-python==3.0.12", "lz4==4.4.5", "python-snappy==0.7.3", "zstandard==0.25.0",
       "crc32c==2.9.post0", "aiokafka==0.14.0"]
MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
PYTHON = CACHE / "venv/bin/python"
GO_BIN = CACHE / "bin"
FRANZ_GO = GO_BIN / "franz-go"
RDKAFKA = CACHE / "rdkafka-target/release/interop-rdkafka"
RSKAFKA = CACHE / "rskafka-target/release/interop-rskafka"
JAVA_CLASSES = CACHE / "java-classes"
JAVA_OLD = CACHE / "java-old"
KAFKAJS = CACHE / "kafkajs"
AZURITE = CACHE / "azurite/node_modules/.bin/azurite-blob"
FAKE_GCS = CACHE / "gopath/bin/fake-gcs-server"
NODE_ENV = {"NODE_PATH": str(KAFKAJS / "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
GO_ENV = {"GOPATH": str(CACHE / "gopath"), "GOCACHE": str(CACHE / "gocache"), "GOFLAGS": "-mod=mod -modcacherw"}


def digest(*parts):
    """One digest over files (by content), folders (all files in them) and plain strings."""
    total = hashlib.sha256()
    for part in parts:
        files = [part] if not hasattr(part, "is_dir") else sorted(part.rglob("*")) if part.is_dir() else [part]
        for file in files:
            total.update(file.read_bytes() if hasattr(file, "read_bytes") and file.is_file() else str(file).encode())
    return total.hexdigest()


def once(name, inputs, install):
    """Runs `install()` unless it already ran with the same inputs; says how long it took."""
    stamp = CACHE / f".done-{name}"
    wanted = digest(*inputs)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    begin = time.monotonic()
    install()
    stamp.write_text(wanted)
    print(f"installed {name} in {time.monotonic() - begin:.1f} s", flush=True)


def root(*command):
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", *command]


def apt(package, binary):
    if shutil.which(binary):
        return
    process.run(root("apt-get", "update"), seconds=180)
    process.run(root("apt-get", "install", "-y", "--no-install-recommends", package), seconds=300)


def kcat():
    apt("kcat", "kcat")


def server_of_postgres():
    if postgres.programs() is None:
        process.run(root("apt-get", "update"), seconds=180)
        process.run(root("apt-get", "install", "-y", "--no-install-recommends", "postgresql"), seconds=300)


def kafka():
    process.run([KAFKA, "install"], seconds=600)


def java():
    kafka()

    def build():
        shutil.rmtree(JAVA_CLASSES, ignore_errors=True)
        process.run(["javac", "-Xlint:all,-serial,-processing,-classfile,-path,-try", "-Werror", "-proc:none", "-d", JAVA_CLASSES,
                     "-cp", f"{KAFKA_JARS}/*", *sorted((INTEROP / "java").glob("*.java"))], seconds=180)
    once("java", [INTEROP / "java", str(KAFKA_JARS)], build)


def java_old():
    pom = INTEROP / "java-old/pom.xml"

    def build():
        shutil.rmtree(JAVA_OLD, ignore_errors=True)
        process.run(["mvn", "-q", "-B", "-f", pom, "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
                     f"-DoutputDirectory={JAVA_OLD}"], seconds=300)
    once("java-old", [pom], build)


def python():
    def build():
        process.run([sys.executable, "-m", "venv", "--clear", CACHE / "venv"], seconds=120)
        process.run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PIP], seconds=300)
    once("python", [" ".join(PIP), sys.version], build)


def npm(name):
    """Packages as the lock file of a folder here says, into a folder of the cache."""
    sources, folder = [INTEROP / name / "package.json", INTEROP / name / "package-lock.json"], CACHE / name

    def build():
        folder.mkdir(exist_ok=True)
        for source in sources:
            shutil.copy(source, folder)
        process.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, seconds=180)
    once(name, sources, build)


def kafkajs():
    npm("kafkajs")


def azurite():
    npm("azurite")


def fake_gcs():
    once("fake-gcs", [GCS], lambda: process.run(["go", "install", GCS], env=GO_ENV, cwd=CACHE, seconds=900))


def go():
    def build():
        for program, package in ((FRANZ_GO, "."), (GO_BIN / "groups", "./groups"), (GO_BIN / "sarama", "./sarama"), (GO_BIN / "history", "./history")):
            process.run(["go", "build", "-o", program, package], cwd=INTEROP / "go", seconds=400,
                        env={**GO_ENV, "GOFLAGS": "-mod=readonly -modcacherw"})
    once("go", [INTEROP / "go"], build)


def crate(name):
    """A program in Rust: a workspace of its own, built into the cache."""
    folder = INTEROP / name

    def build():
        process.run(["cargo", "build", "--release", "--locked"], cwd=folder, seconds=600,
                    env={"CARGO_TARGET_DIR": str(CACHE / f"{name}-target")})
    once(name, [folder / "Cargo.toml", folder / "Cargo.lock", folder / "src"], build)


def rdkafka():
    crate("rdkafka")


def rskafka():
    crate("rskafka")


def minio_server():
    once("minio", [MINIO], lambda: process.run(["go", "install", MINIO], env=GO_ENV, cwd=CACHE, seconds=900))
    if not minio.BINARY.exists():
        raise FileNotFoundError(minio.BINARY)


PARTS = {"kcat": kcat, "postgres": server_of_postgres, "kafka": kafka, "java": java, "java-old": java_old, "python": python, "kafkajs": kafkajs, "go": go,
         "rdkafka": rdkafka, "rskafka": rskafka, "minio": minio_server,
         "azurite": azurite, "fake-gcs": fake_gcs}


def install(names):
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "bin").mkdir(exist_ok=True)
    for name in names:
        PARTS[name]()
