"""Groups of both protocols and an open transaction live through `kill -9` of their server (java/RestartCheck.java says how)."""

import subprocess

from harness import check

from .java_groups import QUICK

PATIENT = {**QUICK, "group.consumer.session.timeout.ms": 20_000}  # a real Kafka is away for longer than a quick session


def run(context):
    with open(context.work / "restart.err", "wb") as errors:
        child = subprocess.Popen(context.java_command("RestartCheck", args=(
            context.bootstrap, context.topic("restart"), "strict" if context.is_siltstone else "eventual")),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
    try:
        check.equal(child.stdout.readline().strip(), b"ready", "all is set up (see restart.err)")
        context.server.kill_nine()
        context.server.start()
        out, _ = child.communicate(b"\n", timeout=90)
    finally:
        if child.poll() is None:
            child.kill()
    print(out.decode())
    check.equal(child.returncode, 0, f"status: {(context.work / 'restart.err').read_text(errors='replace')[-1500:]}")
    for step in ("transaction", "classic", "consumer"):
        check.contains(out.decode(), f"ok: {step}\n", "each step is stated")
