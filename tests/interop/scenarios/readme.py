"""The README's own snippets, letter for letter, against a server where the README says that it is: 127.0.0.1:9092.

Console lines that use kcat or siltstone run as they stand, in order; what stands below a command is what it must print. Python, Java, Go and
JavaScript run with only what any program of that language needs around them: imports, a function, a context. A snippet that writes must
leave its record in the topic; one that reads may go on for ever, and has done its part once it printed a record. A snippet in a language
that is not known here fails, so that none goes untested.
"""

import os
import re
import subprocess
import time

from harness import check, install, process
from harness.places import INTEROP, PROJECT, SILTSTONE
from harness.records import kcat_json

TOPIC, PORT = "demo", 9092
IGNORED = {"text", "toml", "yaml", "json", ""}  # pictures and settings, not programs
JAVA = """import java.time.*;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.serialization.*;

public final class Readme {
    public static void main(String[] args) throws Exception {
%s
    }
}
"""
GO_IMPORTS = {"context": "context.", "fmt": "fmt.", "log": "log.", "time": "time.", "github.com/twmb/franz-go/pkg/kgo": "kgo.",
              "github.com/twmb/franz-go/pkg/kadm": "kadm."}


def run(context):
    check.equal(context.bootstrap, f"127.0.0.1:{PORT}", "where the README says that the server is")
    text = (PROJECT / "README.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    check.that(len(blocks) > 4, f"the README has snippets: {len(blocks)}")
    if not context.is_siltstone:
        context.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", context.bootstrap, "--create", "--topic", TOPIC, "--partitions", 4)
    (context.work / "bin").mkdir()
    (context.work / "bin/siltstone").symlink_to(SILTSTONE)
    done = set()
    for language, code in blocks:
        if language in IGNORED:
            continue
        check.that(language in RUNNERS, f"the language {language!r} of a snippet is known: {code[:80]}")
        RUNNERS[language](context, code)
        done.add(language)
    check.equal(sorted({"console", "python", "java", "go", "js"} - done), [], "languages of which the README has no snippet")


def console(context, code):
    """Commands with the lines that they must print."""
    folder = context.work / "bin"
    for part in re.split(r"^\$ ", code, flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        words = set(re.findall(r"[\w./-]+", command))
        if "cargo" in words or ("siltstone" in words and not context.is_siltstone):
            continue
        check.that(words & {"kcat", "siltstone"}, f"a command that the scenario knows: {command}")
        result = process.run(["bash", "-o", "pipefail", "-c", command], env={"PATH": f"{folder}:{os.environ['PATH']}"}, cwd=context.work)
        if expected.strip():
            check.equal(result.text.strip(), expected.strip(), f"what `{command}` prints")


def program(context, language, code, command, env=None, cwd=None):
    """Runs a program to its end, or until it printed a record if it reads; what it wrote must be there."""
    before = len(kcat_json(context.bootstrap, TOPIC))
    log = context.work / f"readme-{language}-{time.monotonic_ns()}.log"
    reads = re.search(r"subscribe|Consum|PollFetches|poll\(", code) is not None
    with open(log, "wb") as out:
        child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd or context.work,
                                 env={**os.environ, **(env or {})})
    try:
        check.eventually(lambda: child.poll() is not None or (reads and "hello" in log.read_text()), f"the {language} snippet ends or reads", 60)
    except check.CheckFailed as failed:
        raise check.CheckFailed(f"{failed}: {log.read_text()[-600:]}") from None
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
    check.that(child.returncode == 0 or (reads and "hello" in log.read_text()), f"the {language} snippet: {log.read_text()[-900:]}")
    if re.search(r"send|[pP]roduce", code):
        rows = kcat_json(context.bootstrap, TOPIC)
        check.that(len(rows) > before, f"the {language} snippet wrote a record")
        check.that("hello" in [row["payload"] for row in rows], f"the record of the {language} snippet")


def python(context, code):
    file = context.work / "readme.py"
    file.write_text(code)
    program(context, "python", code, [install.PYTHON, "-B", file])


def java(context, code):
    folder = context.work / "java"
    folder.mkdir(exist_ok=True)
    (folder / "Readme.java").write_text(JAVA % code)
    process.run(["javac", "-proc:none", "-d", folder, "-cp", f"{install.KAFKA_JARS}/*", folder / "Readme.java"], seconds=60)
    program(context, "java", code, context.java_command("Readme", f"{folder}:{install.KAFKA_JARS}/*"))


def go(context, code):
    """Within a function that has a context; a client left open is the snippet's own matter."""
    used = [name for name, mark in GO_IMPORTS.items() if mark in code or name == "context"]
    imports = "".join(f'\t"{name}"\n' for name in used)
    file = context.work / "readme.go"
    file.write_text(f"package main\n\nimport (\n{imports})\n\nfunc main() {{\n\tctx := context.Background()\n\t_ = ctx\n{code}}}\n")
    program(context, "go", code, ["go", "run", file], env={**install.GO_ENV, "GOFLAGS": "-mod=readonly -modcacherw"}, cwd=INTEROP / "go")


def js(context, code):
    file = context.work / "readme.js"
    ending = "" if re.search(r"consumer", code) else "process.exit(0)"
    file.write_text(f"const {{ Kafka }} = require('kafkajs')\nasync function main() {{\n{code}\n{ending}\n}}\n"
                    "main().catch(error => { console.error(error); process.exit(1) })\n")
    program(context, "js", code, ["node", file], env=install.NODE_ENV)


RUNNERS = {"console": console, "python": python, "java": java, "go": go, "js": js, "javascript": js}
