"""Java's side on a JVM for Windows, under Wine: the same jars as on Linux, and the programs for Windows."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

import pytest

from conftest import PATIENCE_S, ROOT, WINE, Runhv, for_windows, of_us, wait_until

# Quirk (Wine 8.0, 2026-11-30): a JVM stops now and then and says nothing; once in five runs of all of these tests. Who waits
# for it in vain is run once more, and the summary counts it.
pytestmark = pytest.mark.flaky(reruns=1)

# As the README has them, but that a Java for Windows has no compiler here.
OPTIONS = ["--add-modules", "dev.runhv.vmm", "--enable-native-access=dev.runhv.vmm,com.github.luben.zstd_jni"]


@dataclasses.dataclass
class Java:
    """A Java for Windows, with the distribution for Windows."""

    program: str
    runhv: Runhv

    @property
    def modules(self):
        return self.runhv.distribution / "lib/java"

    def compile(self, source):
        classes = self.runhv.folder / "classes"
        subprocess.run([pathlib.Path(os.environ["JAVA_HOME"], "bin/javac"), "-d", classes, "-p", self.modules, *OPTIONS[:2], source], check=True)
        return classes

    @property
    def environment(self):
        return {**self.runhv.environment, "RUNHV_STORE": for_windows(self.runhv.folder / "store")}

    def popen(self, *arguments, cwd=ROOT):
        # Wine does not tell what the JVM asks about processors, and that is all that it warns of.
        return subprocess.Popen([WINE, self.program, "-XX:-PrintWarnings", f"-Drunhv.home={for_windows(self.runhv.distribution)}", *arguments],
                                cwd=cwd, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments, timeout=PATIENCE_S, cwd=ROOT):
        process = self.popen(*arguments, cwd=cwd)
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.runhv.kill("java.exe")
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def of_source(self, source, *arguments):
        """The command line of a program, which is compiled here."""
        return "-p", for_windows(self.modules), *OPTIONS, "-cp", for_windows(self.compile(source)), source.stem, *arguments


@pytest.fixture
def java(java_program, runhv):
    return Java(java_program, runhv)


def test_the_program_of_the_readme_runs_a_container(java):
    result = java.run(*java.of_source(ROOT / "examples/Hello.java"))
    lines = result.stdout.decode().splitlines()
    assert (result.stderr, result.returncode) == (b"", 0), result.stdout
    assert lines[0].startswith("Linux 6.") and lines[1:] == ["Exited[code=0]"]


@pytest.fixture
def archive(request, tmp_path):
    """An OCI layout in a tar, whose image has the name mine:1."""
    layout = shutil.copytree(pathlib.Path(request.config.getoption("--images")).resolve() / "busybox", tmp_path / "layout")
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"] = {"io.containerd.image.name": "docker.io/library/mine:1"}
    (layout / "index.json").write_text(json.dumps(index))
    with tarfile.open(tmp_path / "mine.tar", "w") as tar:
        tar.add(layout, arcname="")
    return tmp_path / "mine.tar"


def test_an_archive_is_loaded_and_runs_by_its_name(java, archive):
    result = java.run(*java.of_source(ROOT / "tests/windows/java/Archive.java", for_windows(archive)))
    assert (result.stderr, result.returncode) == (b"", 0), result.stdout
    assert result.stdout.decode().splitlines() == ["[docker.io/library/mine:1]", "typed", "Exited[code=42]"]


def test_a_jvm_that_is_killed_takes_its_containers_along(java):
    process = java.popen(*java.of_source(ROOT / "tests/windows/java/Waiting.java"))
    assert process.stdout.readline().strip() == b"started", process.communicate(timeout=PATIENCE_S)
    assert java.runhv.processes("runhv-vmm.exe")
    java.runhv.kill("java.exe")
    process.communicate(timeout=PATIENCE_S)
    wait_until(lambda: java.runhv.processes("runhv-vmm.exe") == [])


def test_the_command_runs_an_image_and_looks_after_the_store(java, archive):
    """`runhv.exe` starts a JVM for each command that needs one."""
    environment = {**java.environment, "RUNHV_JAVA": for_windows(java.program)}

    def ran(*arguments, **options):
        result = java.runhv(*arguments, env=environment, **options)
        result.stderr = of_us(result.stderr)
        return result

    loaded = ran("load", "--input", for_windows(archive))
    assert (loaded.stdout.strip(), loaded.returncode) == (b"Loaded image: mine:1", 0), loaded.stderr
    run = ran("run", "-i", "--name", "one", "mine:1", "sh", "-c", "cat; exit 42", input=b"typed\n")
    assert (run.stdout, run.stderr, run.returncode) == (b"typed\n", b"", 42)
    assert b"mine" in ran("images").stdout
    assert ran("rmi", "mine:1").returncode == 0
    missing = ran("run", "oci:Z:\\no\\such", "true")
    assert missing.returncode == 125 and missing.stderr.startswith(b"runhv: "), missing.stderr
