"""The validation programs of the Open Container Initiative's runtime-tools: each asks a runtime for containers, and looks from
inside (its `runtimetest`) and from outside whether the runtime specification holds. A case is `program: assertion`; how a
program ends is one more."""

import json
import os
import pathlib
import shutil
import subprocess

from judges.outcome import Outcome, of_tap

MUST = 0.97
MODULE = "github.com/opencontainers/runtime-tools"
VERSION = "v0.9.1-0.20250303011046-260e151b8552"
PROGRAM_SECONDS = 300
# What is about the host where a container in a VM has a guest's: these look into cgroups of v1 and into namespaces by the pid
# of the container's process.
NOT_OF_A_VM = ("linux_cgroups_", "linux_ns_")


def prepare(cache):
    folder = cache / f"runtime-tools-{VERSION}"
    if folder.exists():
        return folder
    said = subprocess.run(["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"], stdout=subprocess.PIPE, check=True)
    source = pathlib.Path(json.loads(said.stdout)["Dir"])
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    (new / "validation").mkdir(parents=True)
    programs = {f"./validation/{path.parent.name}" for path in (source / "validation").glob("*/*.go")} - {"./validation/util"}
    for output, packages in [(new, ["./cmd/runtimetest"]), (new / "validation", programs)]:
        subprocess.run(["go", "build", "-p", "2", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", f"{output}/", *packages],
                       cwd=source, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    shutil.copyfile(source / "rootfs-amd64.tar.gz", new / "rootfs-amd64.tar.gz")
    new.rename(folder)
    return folder


def run(prepared, runtime, work, only):
    wrapper = work / "runtime"
    wrapper.write_text(f'#!/bin/sh\nexec "{runtime}" --root "{work}/state" "$@"\n')
    wrapper.chmod(0o755)
    bundles = work / "bundles"
    bundles.mkdir()
    cases = {}
    for program in sorted((prepared / "validation").iterdir()):
        if only not in program.name or program.name.startswith(NOT_OF_A_VM):
            continue
        cases.update(run_program(prepared, program, wrapper, bundles))
        remove_containers(wrapper)
    return cases


def run_program(prepared, program, wrapper, bundles):
    environment = {**os.environ, "RUNTIME": str(wrapper), "TMPDIR": str(bundles)}
    try:
        result = subprocess.run([program], cwd=prepared, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                timeout=PROGRAM_SECONDS, check=False)
        output, status = result.stdout, result.returncode
    except subprocess.TimeoutExpired as timeout:
        output, status = timeout.stdout or b"", None
    # What is indented is told inside of another assertion.
    lines = [line for line in output.decode(errors="replace").splitlines() if not line.startswith(" ")]
    cases = of_tap("\n".join(lines), f"{program.name}: ")
    cases[f"{program.name}: ends with success"] = Outcome.PASSED if status == 0 else Outcome.FAILED
    return cases


def remove_containers(wrapper):
    listed = subprocess.run([wrapper, "list", "--quiet"], stdout=subprocess.PIPE, timeout=60, check=False)
    for identifier in listed.stdout.decode().split():
        subprocess.run([wrapper, "delete", "--force", identifier], timeout=60, check=False)
