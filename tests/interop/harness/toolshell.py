"""Kafka's command-line tools in one JVM (java/ToolShell.java): a tool takes a fraction of a second instead of two."""

import json
import select
import subprocess

from . import check
from .process import Result


class ToolShell:
    """Tools by class name, one at a time, each with a deadline. For use in `with`."""

    def __init__(self, context):
        self.context = context

    def __enter__(self):
        with open(self.context.work / "tools.err", "ab") as errors:
            self.child = subprocess.Popen(self.context.java_command("ToolShell"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()

    def tool(self, name, *args, stdin="", seconds=40, ok=(0,)):
        """Runs one tool; classes are named from org.apache.kafka.tools on. Adds where the server is."""
        name = name if name.startswith(("org.", "kafka.")) else f"org.apache.kafka.tools.{name}"
        words = ["--bootstrap-server", self.context.bootstrap, *[str(arg) for arg in args]]
        print("+", name.rpartition(".")[2], *words, flush=True)
        self.child.stdin.write(json.dumps({"tool": name, "args": words, "stdin": stdin}).encode() + b"\n")
        self.child.stdin.flush()
        check.that(select.select([self.child.stdout], [], [], seconds)[0], f"{name} {' '.join(words)} does not end within {seconds} s")
        line = self.child.stdout.readline()
        check.that(line, f"the tools' JVM ended in {name} {' '.join(words)}")
        told = json.loads(line)
        result = Result(told["code"], told["out"].encode(), told["err"].encode())
        print(result.text[:3000], result.errors[:1500], f"status {result.code}", flush=True)
        if ok is not None and result.code not in ok:
            raise check.CheckFailed(f"{name} {' '.join(words)[:200]} ended with {result.code}: {(result.errors or result.text)[-600:]}")
        return result
