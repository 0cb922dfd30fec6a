#!/usr/bin/env python3
"""Writes the agent's initramfs: make_initramfs.py AGENT OUTPUT

A cpio archive, format newc (Documentation/driver-api/early-userspace/buffer-format.rst of Linux),
with the agent as /init, the directories that it mounts on, and the two nodes that it needs before
any file system is mounted. The same agent gives the same bytes.
"""

import os
import pathlib
import stat
import sys

# name, mode, device number, content
DIRECTORIES = ["dev", "lower", "proc", "root", "rw"]
NODES = [("dev/console", 5, 1), ("dev/random", 1, 8)]


def entry(inode: int, name: str, mode: int, device=(0, 0), data: bytes = b"") -> bytes:
    raw_name = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = [inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(raw_name), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + raw_name
    return pad(header) + pad(data)


def pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def main() -> int:
    agent, output = map(pathlib.Path, sys.argv[1:])
    entries = [(name, stat.S_IFDIR | 0o755, (0, 0), b"") for name in DIRECTORIES]
    entries += [(name, stat.S_IFCHR | 0o600, (major, minor), b"") for name, major, minor in NODES]
    entries += [("init", stat.S_IFREG | 0o755, (0, 0), agent.read_bytes())]
    archive = b"".join(entry(inode, *fields) for inode, fields in enumerate(entries, 1))
    archive += entry(0, "TRAILER!!!", 0)
    temporary = output.with_suffix(".tmp")
    temporary.write_bytes(archive)
    os.replace(temporary, output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
