"""100,000 partitions on one server: tests/bench/partitions, with its goals as demands."""

from harness import process
from harness.places import PROJECT


def run(context):
    out = process.run([PROJECT / "tests/bench/partitions", "--check", "--port", context.server.port + 2, "--seconds", 5], seconds=150)
    print(out.text)
