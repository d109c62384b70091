"""Runs one scenario in a process group of its own, with a hard time-out, and prints its line."""

import os
import signal
import sys
import time
import traceback

from . import check, process


class Outcome:
    """How a scenario ended: `why` is empty when it passed; `note` is what should be known of it in any case."""

    def __init__(self, name, seconds, why, note=""):
        self.name, self.seconds, self.why, self.note = name, seconds, why, note

    def line(self):
        word = "FAIL" if self.why else "PASS"
        reason = f"  {self.why or self.note}" if self.why or self.note else ""
        return f"{word} {self.seconds:6.1f} s  {self.name}{reason}"


def guarded(name, action, log, seconds):
    """Forks, runs `action()` in a new session with its output in `log`, and ends whatever it leaves behind."""
    begin = time.monotonic()
    reason = log.with_suffix(".why")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(inside(action, log, reason))
    try:
        timed_out = wait(child, begin + seconds)
    finally:
        end(child)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    why = reason.read_text() if reason.exists() else ""
    if timed_out:
        why = f"timed out after {seconds} s, last: {last_line(log)}"
    elif status != 0 and not why:
        why = f"ended with {status}: {last_line(log)}"
    note = log.parent / "note"
    return Outcome(name, time.monotonic() - begin, why, note.read_text() if note.exists() else "")


def end(child):
    """Ends the child's group, or the child alone if it had no time to make one; only `waitpid` frees their id."""
    process.end_group(child)
    process.signal_pid(child, signal.SIGKILL)


def wait(child, deadline):
    """Waits without reaping, so that the group's id stays ours until it was ended."""
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.02)
    return False


def inside(action, log, reason):
    """The child's whole life; its return value is its exit status."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        action()
        sys.stdout.flush()
        return 0
    except check.CheckFailed as failed:
        reason.write_text(" ".join(str(failed).split())[:1500])
    except BaseException as error:  # the reason must reach the report whatever it is
        reason.write_text(f"{type(error).__name__}: {error}"[:500])
    traceback.print_exc()
    sys.stderr.flush()
    return 1


def last_line(log):
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "(nothing)"
