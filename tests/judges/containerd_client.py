"""containerd's own tests of its client, compiled from its Go module: those that run containers. A case is a test, or a part of
one. Images come from a registry on this machine. The tests start a containerd in folders that they name: /run/containerd-test."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

from judges import containerd
from judges.outcome import Outcome

MUST = 0.95
MODULE = "github.com/containerd/containerd/v2"
# Images, content and snapshots, and what asks registries of others; checkpoints need CRIU. The two BindLowPort wait for ever where
# everybody may have low ports; ExecLargeOutput has 700 MB go through a terminal.
LEFT_OUT = ("^Test(BindLowPort|Checkpoint|ClientTTRPC|ContainerExecLargeOutput|Content|Convert|Export|Image|Import|Lease|Migration|"
            "MountManager|Pull|Snapshotter|Transfer)")
PATIENCE_S = 900
OUTCOMES = {"PASS": Outcome.PASSED, "FAIL": Outcome.FAILED, "SKIP": Outcome.SKIPPED}
REGISTRY = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {work}/registry}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def prepare(cache):
    programs = containerd.prepare(cache)[containerd.VERSION]
    tests = programs.parent / "client.test"
    if not tests.exists():
        said = subprocess.run(["go", "mod", "download", "-json", f"{MODULE}@v{containerd.VERSION}"], stdout=subprocess.PIPE, check=True)
        source = programs.parent / "source"
        shutil.rmtree(source, ignore_errors=True)
        # The module cache is read-only, and so is what is copied with its modes.
        shutil.copytree(json.loads(said.stdout)["Dir"], source, copy_function=shutil.copyfile)
        subprocess.run(["chmod", "-R", "u+w", str(source)], check=True)
        # Their flag with a list of images is read after the names are: a variable of the environment is in its place.
        images = source / "integration/images/image_list.go"
        text = images.read_text()
        assert text.count("*imageListFile)") == 1
        images.write_text(text.replace("*imageListFile)", 'os.Getenv("IMAGE_LIST"))'))
        subprocess.run(["go", "test", "-p", "2", "-c", "-o", str(tests), "./integration/client"], cwd=source, check=True,
                       env={**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"})
        shutil.rmtree(source)
    return programs, tests


@contextlib.contextmanager
def registry(work):
    """Has the image; yields its name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = work / "registry.yml"
    configuration.write_text(REGISTRY.format(work=work, port=port))
    process = subprocess.Popen(["docker-registry", "serve", str(configuration)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        image = f"localhost:{port}/busybox:1.36"
        containerd.make_image(work)
        subprocess.run(["skopeo", "copy", "-q", "--retry-times", "5", "--dest-tls-verify=false", f"oci-archive:{work}/image.tar",
                        f"docker://{image}"], check=True)
        yield image
    finally:
        process.terminate()
        process.wait()


def run(prepared, runtime, work, only):
    programs, tests = prepared
    # Their runtime is the `runc` of PATH.
    path = work / "path"
    path.mkdir()
    (path / "runc").symlink_to(runtime)
    with registry(work) as image:
        (work / "images.toml").write_text("".join(f'{name} = "{image}"\n' for name in (
            "Alpine", "BusyBox", "BusyBoxByDigest", "VolumeCopyUp", "VolumeOwnership")))
        environment = {**os.environ, "PATH": f"{path}:{programs}:{os.environ['PATH']}", "TEST_SNAPSHOTTER": "native",
                       "IMAGE_LIST": f"{work}/images.toml"}
        output = work.parent / f"{work.name}.log"
        with open(output, "wb") as log:
            subprocess.run(["timeout", "--kill-after=30", str(PATIENCE_S + 30), str(tests), "-test.v", "-test.root", "-no-criu",
                            f"-test.skip={LEFT_OUT}", f"-test.run={only}", f"-test.timeout={PATIENCE_S}s", "-test.parallel=2"],
                           cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, env=environment)
    text = output.read_text(errors="replace")
    cases = dict.fromkeys(re.findall(r"^=== RUN +(\S+)", text, re.MULTILINE), Outcome.FAILED)  # where the whole ends before
    cases.update((name, OUTCOMES[said]) for said, name in re.findall(r"--- (PASS|FAIL|SKIP): (\S+)", text))
    shutil.rmtree("/run/containerd-test", ignore_errors=True)
    return cases
