"""File systems of a few MiB in memory, seen by this scenario and what it starts alone: they are gone when the last of them has ended."""

import ctypes
import errno
import os

from . import check, process

NEWNS, NEWUSER = 0x00020000, 0x10000000


def own_mounts():
    """Gives this process (which has one thread) mounts of its own; as another user than root by a user namespace."""
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    if libc.unshare(NEWNS if user == 0 else NEWNS | NEWUSER) != 0:
        raise check.CheckFailed(f"no mounts of one's own: {os.strerror(ctypes.get_errno())}")
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    process.run(["mount", "--make-rprivate", "/"])


class SmallDisk:
    """A file system of `mib` MiB at `path`, which is made."""

    def __init__(self, path, mib):
        self.path, self.ballast = path, path / "ballast"
        path.mkdir(parents=True, exist_ok=True)
        process.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs", path])

    def free(self):
        """Bytes left."""
        stat = os.statvfs(self.path)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave=0):
        """Takes all but `leave` bytes."""
        with open(self.ballast, "ab", buffering=0) as file:
            while self.free() > leave:
                try:
                    file.write(b"\0" * min(1 << 20, self.free() - leave))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    break

    def make_room(self):
        self.ballast.unlink()
