#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sorts the jump table of a linked kernel: presort.py VMLINUX SYSTEM_MAP

Linux sorts it at each boot, by key and then by code address (jump_label_cmp of kernel/jump_label.c).
edits.py makes it look first whether that has been done.
"""

import pathlib
import struct
import sys

ENTRY = struct.Struct("<iiq")  # struct jump_entry: code, target, key; each relative to its own place
KEY_FLAGS = 3


def load_segments(image):
    """(virtual address, file offset, size in the file) of each."""
    table, = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    for at in range(table, table + size * count, size):
        kind, _, offset, address, _, file_size = struct.unpack_from("<IIQQQQ", image, at)
        if kind == 1:
            yield address, offset, file_size


def file_range(image, start, stop):
    for address, offset, size in load_segments(image):
        if address <= start and stop <= address + size:
            return offset + start - address, offset + stop - address
    sys.exit(f"presort.py: {start:#x} to {stop:#x} lie in no segment")


def sort_jump_table(image, start, stop):
    first, end = file_range(image, start, stop)
    entries = []
    for at in range(first, end, ENTRY.size):
        code, target, key = ENTRY.unpack_from(image, at)
        place = start + at - first
        entries.append((place + 8 + key, place + code, place + 4 + target))
    entries.sort(key=lambda entry: (entry[0] & ~KEY_FLAGS, entry[1]))
    for index, (key, code, target) in enumerate(entries):
        place = start + index * ENTRY.size
        ENTRY.pack_into(image, first + index * ENTRY.size, code - place, target - place - 4, key - place - 8)
    return len(entries)


def main():
    path = pathlib.Path(sys.argv[1])
    symbols = {}
    for line in pathlib.Path(sys.argv[2]).read_text(encoding="ascii").splitlines():
        address, _, name = line.split(None, 2)
        symbols[name] = int(address, 16)
    image = bytearray(path.read_bytes())
    count = sort_jump_table(image, symbols["__start___jump_table"], symbols["__stop___jump_table"])
    path.write_bytes(image)
    print(f"presort.py: {count} entries")


main()
