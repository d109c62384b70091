"""Running client programs: always with a deadline, always with their output kept for the failure text."""

import os
import signal
import subprocess
import time

from .check import CheckFailed


class Result:
    """What a program wrote and how it ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def errors(self):
        return self.err.decode("utf-8", "replace")


def run(command, *, stdin=None, seconds=60, env=None, cwd=None, ok=(0,)):
    """Runs `command` to its end. `ok` lists the exit statuses that are no failure (None: any)."""
    full = {**os.environ, **(env or {})}
    words = [str(word) for word in command]
    begin = time.monotonic()
    print("+", " ".join(word if len(word) < 200 else word[:200] + "…" for word in words), flush=True)
    with subprocess.Popen(words, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=full, cwd=cwd) as child:
        try:
            out, err = child.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise CheckFailed(f"{words[0]} did not end within {seconds} s; last output: "
                              f"{(out + err)[-600:].decode('utf-8', 'replace')}") from None
    print(f"  status {child.returncode} after {time.monotonic() - begin:.2f} s", flush=True)
    result = Result(child.returncode, out, err)
    if ok is not None and child.returncode not in ok:
        print(result.text, result.errors)  # the report takes the end of it
        tail = (err or out)[-1200:].decode("utf-8", "replace").strip()
        raise CheckFailed(f"{' '.join(words)[:160]} ended with {child.returncode}: {tail}")
    return result


def gone(pid):
    """True when no process runs under `pid` any more; a zombie counts as gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def signal_pid(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end_group(group):
    """Ends what is left of a process group that this driver created."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
