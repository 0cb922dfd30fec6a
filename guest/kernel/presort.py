#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sorts two tables of a linked kernel: presort.py VMLINUX SYSTEM_MAP

Linux sorts them at each boot: jump labels by key and then by code address (jump_label_cmp of
kernel/jump_label.c), static calls by key (static_call_site_cmp of kernel/static_call_inline.c).
edits.py makes it look first whether that has been done.
"""

import pathlib
import struct
import sys

# Name of the table, one of its entries, where its fields lie, which of them is the key. Each field holds an
# address, relative to the field's own; the first is the code.
TABLES = (
    ("___jump_table", struct.Struct("<iiq"), (0, 4, 8), 2),  # struct jump_entry: code, target, key
    ("_static_call_sites", struct.Struct("<ii"), (0, 4), 1),  # struct static_call_site: addr, key
)
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


def sort_table(image, start, stop, entry, offsets, key):
    first, end = file_range(image, start, stop)
    entries = []
    for at in range(first, end, entry.size):
        place = start + at - first
        entries.append([place + offset + field for offset, field in zip(offsets, entry.unpack_from(image, at))])
    entries.sort(key=lambda fields: (fields[key] & ~KEY_FLAGS, fields[0]))
    for index, fields in enumerate(entries):
        place = start + index * entry.size
        entry.pack_into(image, first + index * entry.size,
                        *(field - place - offset for offset, field in zip(offsets, fields)))
    return len(entries)


def main():
    path = pathlib.Path(sys.argv[1])
    symbols = {}
    for line in pathlib.Path(sys.argv[2]).read_text(encoding="ascii").splitlines():
        address, _, name = line.split(None, 2)
        symbols[name] = int(address, 16)
    image = bytearray(path.read_bytes())
    for name, *layout in TABLES:
        count = sort_table(image, symbols["__start" + name], symbols["__stop" + name], *layout)
        print(f"presort.py: {name.strip('_')}: {count} entries")
    path.write_bytes(image)


main()
