"""The distribution as a whole: it works wherever it lies, tells what it is, and holds the licences of what is in it."""

import dataclasses
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import zipfile

import pytest


@pytest.fixture(params=["moved", "moved without file times"])
def moved(request, runhv, tmp_path):
    dist = tmp_path / "elsewhere/runhv"
    times = request.param == "moved"
    shutil.copytree(runhv.dist, dist, symlinks=True,
                    copy_function=shutil.copy2 if times else shutil.copy)
    return dataclasses.replace(runhv, dist=dist)


def test_a_moved_distribution_runs_and_says_nothing_else(moved):
    result = moved.run("echo", "here")
    assert (result.stdout, result.stderr, result.returncode) == (b"here\n", b"", 0)


def test_the_start_cache_of_java_fits_wherever_the_distribution_lies(runhv, tmp_path):
    dist = tmp_path / "elsewhere/runhv"
    shutil.copytree(runhv.dist, dist, symlinks=True)
    # "on" ends the JVM where the cache cannot be used.
    result = dataclasses.replace(runhv, dist=dist).run("true", env={"JAVA_TOOL_OPTIONS": "-XX:AOTMode=on"})
    assert result.returncode == 0, result.stderr


def test_release_archives_of_one_distribution_are_equal_and_run(runhv, tmp_path):
    name = "runhv-0.1.0-linux-x86_64"
    tool = pathlib.Path(__file__).parents[2] / "tools/package.py"
    for output in ("one", "two"):
        subprocess.run([tool, runhv.dist, tmp_path / output, name, "1700000000"], check=True, stdout=subprocess.DEVNULL)
    one, two = ({file.name: file.read_bytes() for file in (tmp_path / output).iterdir()} for output in ("one", "two"))
    assert one == two and set(one) == {f"{name}.tar.gz", f"{name}.cdx.json", "SHA256SUMS"}
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "one", check=True)

    subprocess.run(["tar", "-xf", tmp_path / f"one/{name}.tar.gz", "-C", tmp_path], check=True)
    unpacked = dataclasses.replace(runhv, dist=tmp_path / name)
    assert not (unpacked.dist / "share/runhv/runhv.aot").exists()
    verified = unpacked("verify", "--distribution")
    assert verified.returncode == 0, verified.stderr
    result = unpacked.run("echo", "here")
    assert (result.stdout, result.stderr, result.returncode) == (b"here\n", b"", 0)
    listed = json.loads(one[f"{name}.cdx.json"])["components"]
    assert {entry["name"] for entry in listed} >= {"Linux", "Bochs, CPU core", "jackson-core", "zstd-jni", "xz"}
    assert all(entry["licenses"] and entry["properties"] for entry in listed)


def test_version_tells_the_engine_and_where_the_licences_are(runhv):
    result = runhv("version")
    lines = result.stdout.decode().splitlines()
    assert result.returncode == 0 and lines[0].startswith("runhv version ") and lines[1].startswith("commit: ")
    assert lines[2] == "engine soft: Bochs 3.0 CPU core"
    assert lines[3] == f"licences: {runhv.dist}/share/doc/runhv/NOTICE"
    assert runhv("--version").stdout == result.stdout
    refused = runhv("version", "--json")
    assert (refused.stderr, refused.returncode) == (b"runhv: version takes no argument\n", 125)


def test_licences_of_everything_in_it_are_there(runhv):
    doc = runhv.dist / "share/doc/runhv"
    notice = (doc / "NOTICE").read_text()
    for name, words in {
        "COPYING.bochs": "GNU LESSER GENERAL PUBLIC LICENSE",
        "LICENSE.bochs": "Bochs",
        "COPYING.softfloat": "Regents of the University of California",
        "GPL-2": "GNU GENERAL PUBLIC LICENSE",
        "rapidjson": "Milo Yip",
        "gson": "Google Inc.",
        "zstd-jni": "Luben Karavelov",
        "zstd": "Meta Platforms",
        "xz": "XZ for Java authors",
    }.items():
        assert words in " ".join((doc / "licences" / name).read_text().split()), name
        assert name in notice
    assert "linux-source-6.12 " in (doc / "source/linux/VERSION").read_text()
    assert (doc / "source/linux/edits.py").is_file() and (doc / "source/softcpu/edits.py").is_file()
    for jar in (runhv.dist / "lib/java").glob("*.jar"):
        if jar.name.startswith("runhv-"):
            continue
        in_jar = any(name.startswith("META-INF/LICENSE") for name in zipfile.ZipFile(jar).namelist())
        assert in_jar or (doc / "licences" / re.sub(r"-[\d.-]+\.jar$", "", jar.name)).is_file(), jar.name


def completed(runhv, *words):
    script = "\n".join([
        'source <("$0" completion bash)', 'COMP_WORDS=("$@")', "COMP_CWORD=$(($# - 1))", "_runhv",
        'printf "%s\\n" "${COMPREPLY[@]}"'])
    result = subprocess.run(["bash", "-c", script, runhv.program, "runhv", *words], capture_output=True, check=True)
    assert result.stderr == b""
    return result.stdout.decode().split()


def test_bash_completes_commands_options_and_names(runhv):
    assert completed(runhv, "") == ["run", "create", "start", "list", "state", "kill", "delete", "exec", "export", "ps", "pause", "resume", "events",
                                    "update", "features", "spec", "checkpoint", "restore", "pull", "push", "load", "save", "import", "images", "rmi", "tag", "prune", "inspect", "history", "df", "verify", "sbom", "login", "logout", "service", "kernels", "doctor", "help", "version", "completion"]
    assert completed(runhv, "help", "") == completed(runhv, "")
    assert completed(runhv, "run", "--t") == ["--timings", "--tty"]
    assert completed(runhv, "run", "--engine", "s") == ["soft"]
    assert completed(runhv, "rmi", "--") == ["--force"]
    in_help = re.findall(r"^ +(?:-., )?(--[a-z-]+)", runhv("help", "run").stdout.decode(), flags=re.M)
    assert completed(runhv, "run", "--") == in_help


def test_fish_completes_commands_options_and_names(runhv):
    if not shutil.which("fish"):
        pytest.skip("there is no fish here")

    def completed_by_fish(line):
        # Without the user's own configuration; a description follows each word after a tab.
        result = subprocess.run(
            ["fish", "--no-config", "-c", f"{runhv.program} completion fish | source; complete -C '{line}'"],
            env={**runhv.environment, "PATH": f"{runhv.dist / 'bin'}:{os.environ['PATH']}"}, capture_output=True, text=True, check=True)
        assert result.stderr == ""
        return [word.split("\t")[0] for word in result.stdout.splitlines()]

    assert completed_by_fish("runhv ") == sorted(completed(runhv, ""))
    assert completed_by_fish("runhv help vers") == ["version"]
    assert completed_by_fish("runhv run --ti") == ["--timings"]
    assert completed_by_fish("runhv run --engine s") == ["soft"]
    assert completed_by_fish("runhv images --no") == ["--no-trunc"]


def powershell_parsed(script):
    """The script's tree by tree-sitter's grammar of PowerShell's language."""
    tree_sitter = pytest.importorskip("tree_sitter", reason="there is no tree-sitter here: that PowerShell reads the script was not seen")
    grammar = pytest.importorskip("tree_sitter_powershell", reason="there is no grammar of PowerShell here: that it reads the script was not seen")
    return tree_sitter.Parser(tree_sitter.Language(grammar.language())).parse(script.encode()).root_node


def nodes(tree, kind):
    """All of a kind below a node, in their order."""
    for child in tree.children:
        if child.type == kind:
            yield child
        yield from nodes(child, kind)


def test_powershell_is_offered_what_bash_is(runhv):
    script = runhv("completion", "powershell").stdout.decode()
    tree = powershell_parsed(script)
    assert not tree.has_error and powershell_parsed(script.replace("{", "{ (", 1)).has_error
    offered, asked = {}, {}
    for clause in nodes(tree, "switch_clause"):
        condition, block = (child.text.decode() for child in clause.named_children)
        commands = [command.text.decode() for command in nodes(clause, "command")]
        for command in commands:
            block = block.replace(command, "")
        offered[condition.strip("'")] = re.findall(r"'([^']+)'", block)
        asked[condition.strip("'")] = commands
    assert offered["help"] == completed(runhv, "")
    assert offered["--engine"] == ["auto", "soft", "kvm", "whp"]
    for command in ("run", "pull", "save", "kernels", "service", "list", "login"):
        assert offered[command][:len(completed(runhv, command, ""))] == completed(runhv, command, "")
    assert offered["rmi"] == ["--force"] and asked["rmi"] == ["runhv images --format '{{.Repository}}:{{.Tag}}' 2>$null"]
    assert asked["kill"] == ["runhv list -q 2>$null"]
    commands = [command.named_children[0].text.decode() for command in nodes(tree, "command")]
    assert set(commands) == {"Register-ArgumentCompleter", "Where-Object", "ForEach-Object", "runhv"}


def test_a_powershell_completes(runhv):
    if not shutil.which("pwsh"):
        pytest.skip("there is no PowerShell here: it was only seen that its grammar takes the script")
    script = runhv("completion", "powershell").stdout.decode()
    line = "runhv images --no"
    seen = subprocess.run(
        ["pwsh", "-NoProfile", "-Command", script + f"(TabExpansion2 '{line}' {len(line)}).CompletionMatches.CompletionText"],
        env={**runhv.environment, "PATH": f"{runhv.dist / 'bin'}:{os.environ['PATH']}"}, capture_output=True, text=True, check=True)
    assert seen.stdout.split() == ["--no-trunc"]


def test_every_command_has_a_manual_page(runhv):
    pages = runhv.dist / "share/man/man1"
    assert {page.name for page in pages.iterdir()} == {"runhv.1"} | {f"runhv-{name}.1" for name in completed(runhv, "")}
    assert (pages / "runhv-pull.1").read_bytes() == runhv("help", "--man", "pull").stdout
    assert runhv("help", "--man", "nothing").returncode == 125
    if not shutil.which("groff"):
        pytest.skip("there is no groff here: how the pages look was not seen")
    for page in pages.iterdir():
        shown = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-cbou", page], capture_output=True, text=True, check=True)
        assert shown.stderr == "" and "NAME" in shown.stdout, page.name
    shown = subprocess.run(["groff", "-man", "-Tutf8", "-P-cbou", pages / "runhv-run.1"], capture_output=True, text=True, check=True).stdout
    for line in runhv("help", "run").stdout.decode().splitlines():
        assert line.strip() in shown, line


def test_zsh_completes_commands_and_options(runhv, tmp_path):
    if not shutil.which("zsh"):
        pytest.skip("there is no zsh here")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, "TERM": "dumb", "HOME": str(tmp_path)})

    def say(text, until):
        os.write(terminal, text.encode())
        seen = ""
        while until not in seen:
            try:
                seen += os.read(terminal, 4096).decode()
            except OSError:
                pytest.fail(f"zsh ended: {seen}")

    try:
        # The terminal shows what is typed: the word that is waited for must not be in that.
        say(f"autoload -Uz compinit; compinit -u -D; source <({runhv.program} completion zsh); echo rea''dy\n", "ready")
        say("runhv vers\t", "runhv version ")
        say("\x15runhv run --timi\t", "--timings ")
        say("\x15runhv completion fi\t", "fish ")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_help_goes_to_stdout_and_a_wrong_command_to_stderr(runhv):
    assert runhv().stdout == runhv("help").stdout == runhv("--help").stdout != b""
    for command in completed(runhv, ""):
        text = runhv("help", command)
        assert (text.stderr, text.returncode) == (b"", 0)
        assert text.stdout.startswith(f"runhv {command} ".rstrip().encode()), text.stdout
        assert runhv(command, "--help").stdout == runhv(command, "-h").stdout == text.stdout
    for arguments, line in {
        ("frobnicate",): "runhv: unknown command frobnicate; see runhv help\n",
        ("help", "frobnicate"): "runhv: no help for frobnicate; see runhv help\n",
        ("run",): "runhv: no image is named; see runhv run --help\n",
    }.items():
        result = runhv(*arguments)
        assert (result.stdout, result.stderr.decode(), result.returncode) == (b"", line, 125)


@pytest.mark.parametrize("verb, status", [
    ("create", 1), ("start", 1), ("exec", 255), ("export", 1), ("ps", 1), ("pause", 1), ("resume", 1), ("update", 1), ("events", 1), ("features", 1),
    ("spec", 1), ("checkpoint", 1), ("restore", 1)])
def test_a_verb_of_oci_fails_in_one_line_without_java(runhv, tmp_path, verb, status):
    spy = tmp_path / "java"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    result = runhv(verb, "NOSUCH", env={"RUNHV_JAVA": str(spy)}, cwd=tmp_path)
    assert (result.stdout, result.returncode) == (b"", status)
    assert result.stderr.startswith(b"runhv: ") and result.stderr.count(b"\n") == 1
    assert not (tmp_path / "started").exists()


def test_an_ordinary_user_runs_a_container(runhv):
    user = 65534 if os.getuid() == 0 else os.getuid()
    # Its own folders, below one that everybody may enter: the others of the tests are root's.
    home = pathlib.Path(tempfile.mkdtemp(prefix="runhv-test-"))
    try:
        for folder in (home, home / "run", home / "store"):
            folder.mkdir(exist_ok=True)
            os.chown(folder, user, -1)
        options = {"user": user, "extra_groups": []} if os.getuid() == 0 else {}
        environment = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"), "RUNHV_STORE": str(home / "store")}
        may_read = subprocess.run(
            ["test", "-x", runhv.program, "-a", "-r", runhv.images / "busybox/index.json"], check=False, **options)
        if may_read.returncode != 0:
            pytest.skip("another user may not read the folder that the distribution lies in")
        result = subprocess.run(
            [runhv.program, "run", runhv.image("busybox"), "id", "-u"], env=environment, capture_output=True, timeout=120,
            check=False, **options)
        assert (result.stdout, result.stderr, result.returncode) == (b"0\n", b"", 0)
        assert {path.stat().st_uid for path in home.rglob("*")} == {user}
    finally:
        shutil.rmtree(home)


def test_kernel_and_agent_take_at_most_20_mb(runhv):
    share = runhv.dist / "share/runhv"
    size = (share / "vmlinux-minimal").stat().st_size + (share / "agent.cpio").stat().st_size
    print("kernel and agent:", size)
    assert size <= 20_000_000


@pytest.fixture
def copied(runhv, tmp_path):
    """One that a test may damage."""
    dist = tmp_path / "copied"
    # Without the times Java's start cache does not fit, and Java finds itself by other names.
    shutil.copytree(runhv.dist, dist, symlinks=True, copy_function=shutil.copy)
    return dataclasses.replace(runhv, dist=dist)


def test_its_files_are_as_they_were_built(runhv):
    manifest = runhv.dist / "share/runhv/SHA256SUMS"
    files = len(manifest.read_text().splitlines())
    result = runhv("verify", "--distribution")
    assert (result.returncode, result.stderr) == (0, b""), result.stderr
    assert result.stdout.decode().startswith(f"{files} files are as they were built; ")
    # Debian's program sees the same.
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", manifest], cwd=runhv.dist, check=True)


def test_a_changed_missing_or_added_file_is_named(copied):
    kernel = copied.dist / "share/runhv/vmlinux-minimal"
    with kernel.open("r+b") as file:
        file.seek(1 << 20)
        byte = file.read(1)
        file.seek(1 << 20)
        file.write(bytes([byte[0] ^ 1]))
    (copied.dist / "share/doc/runhv/NOTICE").unlink()
    (copied.dist / "lib/librunhv-more.so").write_bytes(b"")
    result = copied("verify", "--distribution")
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 125 and lines[:-1] == [
        "runhv: damaged: share/doc/runhv/NOTICE is missing",
        "runhv: damaged: share/runhv/vmlinux-minimal is not what it was built as",
        "runhv: damaged: lib/librunhv-more.so is not a part of it",
    ], lines
    assert "3 of its files are damaged" in lines[-1]


def test_its_list_is_signed_by_the_key_that_is_named_or_not(copied, tmp_path):
    manifest = copied.dist / "share/runhv/SHA256SUMS"
    signature = manifest.with_name("SHA256SUMS.sig")
    signature.unlink(missing_ok=True)
    for name in "ours", "another":
        private = tmp_path / f"{name}.key"
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private], check=True)
        subprocess.run(["openssl", "ec", "-in", private, "-pubout", "-out", tmp_path / f"{name}.pub"], check=True)

    def verified(*arguments):
        result = copied("verify", "--distribution", *arguments, cwd=tmp_path)
        return result.returncode, (result.stdout + result.stderr).decode()

    status, text = verified()
    assert status == 0 and text.endswith("; unsigned\n"), text
    status, text = verified("--key", "ours.pub")
    assert status == 125 and "It is unsigned" in text, text
    subprocess.run(["openssl", "dgst", "-sha256", "-sign", tmp_path / "ours.key", "-out", signature, manifest], check=True)
    status, text = verified()
    assert status == 0 and "--key FILE" in text, text
    status, text = verified("--key", "ours.pub")
    assert status == 0 and text.endswith(f"; signed by the key {tmp_path}/ours.pub\n"), text
    status, text = verified("--key", "another.pub")
    assert status == 125 and "is not what the key" in text, text
    manifest.write_bytes(manifest.read_bytes().replace(b"  lib/librunhv.so\n", b"  lib/librunhv.os\n"))
    status, text = verified("--key", "ours.pub")
    assert status == 125 and "is not what the key" in text, text
