"""The release archive for Windows: what it holds, and that a container runs from it wherever it is unpacked."""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import zipfile

import pytest

from conftest import PATIENCE_S, ROOT, WINE, for_windows

NAME = "runhv-0.1.0-windows-x86_64"


JARS = {"gson", "jackson-annotations", "jackson-core", "jackson-databind", "jackson-dataformat-toml", "xz", "zstd-jni"}


def jar_name(path):
    return re.sub(r"-\d[\w.-]*\.jar$", "", pathlib.PurePosixPath(path).name)


@pytest.fixture(scope="module")
def archives(request, tmp_path_factory):
    """What two runs of tools/package.py make of the distribution, by name."""
    distribution = pathlib.Path(request.config.getoption("--distribution")).resolve()
    made = []
    for _ in range(2):
        output = tmp_path_factory.mktemp("package")
        subprocess.run([ROOT / "tools/package.py", distribution, output, NAME, "1700000000"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=output, check=True)
        made.append({file.name: file for file in output.iterdir()})
    return made


def unpack(archives, folder):
    with zipfile.ZipFile(archives[0][f"{NAME}.zip"]) as archive:
        archive.extractall(folder)
    return folder / NAME


@pytest.fixture
def unpacked(archives, tmp_path):
    return unpack(archives, tmp_path / "Neuer Ordner é 例")


@pytest.fixture
def unpacked_for_scripts(archives, tmp_path):
    """`cmd /c` takes quotes off, and that of Wine knows the letters of one code page."""
    return unpack(archives, tmp_path / "unpacked")


def test_archives_of_one_distribution_are_equal(archives):
    one, two = ({name: file.read_bytes() for name, file in made.items()} for made in archives)
    assert one == two and set(one) == {f"{NAME}.zip", f"{NAME}.cdx.json", "SHA256SUMS"}


def test_it_holds_what_its_lists_say(unpacked):
    held = {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*") if file.is_file()}
    manifest = "share/runhv/SHA256SUMS"
    listed = dict(reversed(line.split("  ")) for line in (unpacked / manifest).read_text().splitlines())
    assert set(listed) == held - {manifest}
    for name, digest in listed.items():
        assert hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == digest, name
    programs = {name for name in held if name.endswith((".exe", ".dll", ".cmd", ".so"))}
    # No WHP of ours, which would be found before Windows' own, and no engine.
    assert programs == {"bin/runhv.exe", "bin/runhv-vmm.exe", "lib/runhv-jni.dll", "conformance/conformance_test.exe",
                        "conformance/on_windows.cmd"}
    assert {"runhv-java-api", "runhv-vmm", *JARS} == {jar_name(name) for name in held if name.endswith(".jar")}
    assert {f"share/runhv/{name}" for name in ("vmlinux-minimal", "agent.cpio", "scratch.ext4")} <= held

    components = json.loads((unpacked / "share/doc/runhv/runhv.cdx.json").read_text())["components"]
    assert {entry["name"] for entry in components} == {
        "Linux", "RapidJSON", "GCC's libstdc++, libgcc, libssp", "mingw-w64, its C run-time", "winpthreads of mingw-w64", "Zstandard", *JARS}
    notice = (unpacked / "share/doc/runhv/NOTICE").read_text()
    for text in re.findall(r"Text: ([\w.-]+)\.$", notice, flags=re.MULTILINE):
        assert f"share/doc/runhv/licences/{text}" in held
    assert {f"share/doc/runhv/source/linux/{name}" for name in ("VERSION", "edits.py", "build", "minimal.config")} <= held


def test_what_windows_reads_has_its_ends_of_lines(unpacked):
    for name in ("README.txt", "conformance/on_windows.cmd"):
        lines = (unpacked / name).read_bytes().split(b"\n")
        assert lines[-1] == b"" and all(line.endswith(b"\r") for line in lines[:-1]), name
    readme = (unpacked / "README.txt").read_bytes().decode()
    assert readme.isascii() and "NEVER RUN ON WINDOWS" in readme
    for program in re.findall(r"^ +((?:bin|conformance)\\\S+)", readme, flags=re.MULTILINE):
        assert (unpacked / program.replace("\\", "/")).is_file(), program


def test_the_bundle_of_its_readme_runs_from_any_folder(unpacked, runhv):
    """The folder's name has a space and letters of two alphabets."""
    example = re.search(r"^    \{.*?^    \}", (unpacked / "README.txt").read_text(), flags=re.MULTILINE | re.DOTALL)
    box = runhv.folder / "box"
    box.mkdir()
    (box / "config.json").write_text(example[0].replace("C:\\\\box", for_windows(box).replace("\\", "\\\\")))
    shutil.copy(runhv.image, box / "root.erofs")
    there = dataclasses.replace(runhv, distribution=unpacked)
    result = there("run", "--bundle", for_windows(box), "first", input=b"typed\n")
    assert (result.stderr, result.returncode) == (b"", 0)
    assert re.fullmatch(rb"Linux 6\.\d+\.\d+\S*\ntyped\n", result.stdout), result.stdout


def test_its_conformance_asks_the_whp_that_it_finds(unpacked, runhv, tmp_path):
    # Windows has WHP among its own; here it is ours, in the current folder, where it is looked for as well.
    result = subprocess.run(
        [WINE, str(unpacked / "conformance/conformance_test.exe"), "--filter", "Capabilities.*", "--report",
         for_windows(tmp_path / "report.json")],
        cwd=runhv.engine.parent, capture_output=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    cases = json.loads((tmp_path / "report.json").read_text())["cases"]
    assert {case["group"] for case in cases if case["outcome"] == "passed"} == {"Capabilities"}, cases


def test_its_script_asks_all_of_conformance(unpacked_for_scripts, runhv, tmp_path):
    """As its README says. WHP is found as above."""
    folder = unpacked_for_scripts / "conformance"
    result = subprocess.run(
        [WINE, "cmd", "/c", *(for_windows(path) for path in (folder / "on_windows.cmd", folder, tmp_path / "reports"))],
        cwd=runhv.engine.parent, env={**os.environ, "RUNHV_WHP_STRICT": "1"}, capture_output=True, timeout=600, check=False)
    report = json.loads((tmp_path / "reports/report.json").read_text())
    assert {case["outcome"] for case in report["cases"]} == {"passed"}, result.stdout
    assert (result.returncode, [path.name for path in (tmp_path / "reports").iterdir() if path.is_dir()]) == (0, [])


@pytest.mark.flaky(reruns=1)  # as test_java.py says
def test_the_script_of_the_workflow_runs_containers(request, unpacked_for_scripts, runhv, java_program, tmp_path):
    classes, reports = tmp_path / "classes", tmp_path / "reports"
    subprocess.run([pathlib.Path(os.environ["JAVA_HOME"], "bin/javac"), "-d", classes, "-p", unpacked_for_scripts / "lib/java", "--add-modules",
                    "dev.runhv.vmm", ROOT / "examples/Hello.java"], check=True)
    images = pathlib.Path(request.config.getoption("--images")).resolve()
    environment = {**runhv.environment, "JAVA_HOME": for_windows(pathlib.Path(java_program).parents[1]), "RUNHV_STORE": for_windows(tmp_path / "store")}
    result = subprocess.run(
        [WINE, "cmd", "/c", for_windows(ROOT / "tests/windows/containers_on_windows.cmd"), for_windows(unpacked_for_scripts),
         "oci:" + for_windows(images / "busybox"), for_windows(classes), for_windows(reports)],
        cwd=images.parents[1], env=environment, capture_output=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 0, result.stdout
    assert json.loads((reports / "doctor.json").read_text())["works"]
    assert re.search(r"^Linux 6\.", (reports / "container.txt").read_text(), flags=re.MULTILINE)
    assert "Exited[code=0]" in (reports / "java.txt").read_text()
