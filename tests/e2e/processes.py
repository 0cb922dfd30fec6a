"""What the host says of a process, while its threads and descriptors come and go."""

import contextlib
import os
import pathlib

ENDED = (FileNotFoundError, ProcessLookupError)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except ENDED:
        return False


def threads(pid, name):
    """The text of the file `name` of every thread, by thread; of those that have not ended since they were listed."""
    texts = {}
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(*ENDED):
            texts[int(thread.name)] = (thread / name).read_text()
    return texts


def descriptors(pid):
    """Where every descriptor leads, by its number; of those that have not been closed since they were listed."""
    links = {}
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(*ENDED):
            links[int(descriptor.name)] = os.readlink(descriptor)
    return links
