"""runc's own tests (bats) of Debian's source package. They call the runtime by its words, on a root folder of busybox, which is
made here, as is what receives their terminals."""

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import debian_source
from judges import crun, podman
from judges.outcome import of_tap

MUST = 0.75  # a report more than a bar: what is missing is for docs/conformance.md to say
VERSION = "1.1.5+ds1-1+deb12u1"
# Checkpoints; what is about the host's own cgroups, and its user namespaces; agents of seccomp; an image of Debian and sshfs.
LEFT_OUT = {"cgroup_delegation", "cgroups", "checkpoint", "hooks", "mounts_sshfs", "seccomp-notify", "seccomp-notify-compat", "userns"}
PATIENCE_S = 180  # of a group: where a case fails that waits for a process of its own, it hangs
CGROUPS = pathlib.Path("/sys/fs/cgroup")
# --pid-file FILE --mode null|single … SOCKET: what is shown is dropped, or printed.
RECEIVE_TERMINALS = """#!{python} -IS
import os, socket, sys, threading
arguments = sys.argv[1:]
name = arguments[-1]
listener = socket.socket(socket.AF_UNIX)
listener.bind(name + ".new")
listener.listen()
os.rename(name + ".new", name)
with open(arguments[arguments.index("--pid-file") + 1], "w") as file:
    file.write(str(os.getpid()))
def show(terminal):
    try:
        while shown := os.read(terminal, 4096):
            if "single" in arguments:
                os.write(1, shown)
    except OSError:
        pass
while True:
    connection, _ = listener.accept()
    for terminal in socket.recv_fds(connection, 4096, 1)[1]:
        threading.Thread(target=show, args=[terminal], daemon=True).start()
    connection.close()
"""
# runhv's `run` is of an image unless a bundle is named; runc's is of the working folder. The tests make the folder of all
# containers' states themselves, for everybody to enter, which runhv refuses; and they do not wait until their receiver listens.
BETWEEN = """#!/bin/sh
for word; do
  shift
  set -- "$@" "$word"
  case $before in
    --root) [ ! -d "$word" ] || chmod 700 "$word" ;;
    --console-socket) timeout 30 sh -c 'until [ -S "$0" ]; do sleep 0.01; done' "$word" ;;
    --log | --log-format | --criu) ;;
    *) [ "$verb$word" != run ] || set -- "$@" --bundle .
       [ -n "$verb" ] || case $word in -*) ;; *) verb=$word ;; esac ;;
  esac
  before=$word
done
exec "{runtime}" "$@"
"""


def prepare(cache):
    cache.mkdir(parents=True, exist_ok=True)
    image = cache / "podman-image.tar"
    podman.make_image(image)
    return debian_source.unpacked("runc", VERSION, cache), image


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def remove_made_cgroups(before):
    """A test makes a folder in every hierarchy of cgroups that the kernel knows, mounted or not: those that are not are folders
    of a tmpfs, and who finds them there takes them for cgroups. In that of version 2 it leaves them."""
    for folder in set(CGROUPS.iterdir()) - before:
        if not folder.is_mount():
            shutil.rmtree(folder)
    for folder in sorted(CGROUPS.glob("*/runc-cgroups-integration-test/**/"), reverse=True):
        with contextlib.suppress(OSError):  # who was killed may be there yet
            folder.rmdir()


def run(prepared, runtime, work, only):
    source, image = prepared
    hierarchies = set(CGROUPS.iterdir())
    tree = work / "runc"
    shutil.copytree(source, tree, symlinks=True)
    tests = tree / "tests/integration"
    write_program(tests / "get-images.sh", f"#!/bin/sh\necho BUSYBOX_IMAGE={image}\n")
    write_program(tree / "contrib/cmd/recvtty/recvtty", RECEIVE_TERMINALS.format(python=sys.executable))
    write_program(work / "runtime", BETWEEN.format(runtime=runtime))
    (work / "tmp").mkdir(mode=0o711)
    environment = {**os.environ, "RUNC": str(work / "runtime"), "TMPDIR": f"{work}/tmp", "BATS_TMPDIR": f"{work}/tmp", "ROOTLESS_FEATURES": ""}
    cases = {}
    for group in sorted(tests.glob("*.bats")):
        if group.stem in LEFT_OUT:
            continue
        matching = ["--filter", only] if only else []
        said = work / f"{group.stem}.tap"
        bats = shlex.join(["timeout", "--foreground", "--kill-after=30", str(PATIENCE_S), "bats", "--tap", *matching, group.name])
        # They run as people do, at a terminal, where nobody types; what they mount goes with the namespace.
        command = ["unshare", "--mount", "script", "--quiet", "--command", f"{bats} > {shlex.quote(str(said))} 2>&1", "/dev/null"]
        with subprocess.Popen(command, cwd=tests, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as shell:
            shell.wait()
        crun.end_what_is_left(work)
        text = said.read_text(errors="replace")
        print(text, flush=True)
        cases.update(of_tap(text, f"{group.stem}: "))
    remove_made_cgroups(hierarchies)
    return cases
