"""Where things lie: this folder, the project, the peers beside it, and the cache."""

import os
from pathlib import Path

INTEROP = Path(__file__).resolve().parent.parent
PROJECT = INTEROP.parent.parent
KAFKA = (PROJECT / ".." / "shared" / "peers" / "kafka").resolve()
KAFKA_JARS = Path(os.environ.get("KAFKA_HOME", Path.home() / ".cache/siltstone-peers/kafka"))
CACHE = Path(os.environ.get("SILTSTONE_CACHE", Path.home() / ".cache/siltstone-interop"))
SILTSTONE = Path(os.environ.get("SILTSTONE_BIN", PROJECT / "target/release/siltstone"))
EXPECTED = INTEROP / "expected"
