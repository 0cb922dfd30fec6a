"""Source packages of Debian, by name and version, from the archives that this machine's apt is configured for."""

import os
import pathlib
import re
import shutil
import subprocess

KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def archives():
    """(URI, suite) of each. RUNHV_DEBIAN_MIRROR comes in the place of all."""
    if mirror := os.environ.get("RUNHV_DEBIAN_MIRROR"):
        return [(mirror, "bookworm")]
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"], capture_output=True, text=True, check=True)
    found = [tuple(line.split()) for line in listed.stdout.splitlines() if re.fullmatch(r"\S+ bookworm(-security)?", line)]
    return list(dict.fromkeys(found))


def unpacked(package, version, cache):
    """The folder of the unpacked original tarball of `package`; apt's own sources, lists and caches stay as they are, and no root
    is needed. `version` is Debian's, as in the name of the .dsc."""
    folder = cache / f"{package}-{version}"
    if folder.is_dir():
        return folder
    private = cache / f"apt-{package}"
    shutil.rmtree(private, ignore_errors=True)
    for name in "lists/partial", "archives/partial", "source":
        (private / name).mkdir(parents=True)
    (private / "sources.list").write_text("".join(
        f"deb-src [signed-by={KEYRING}] {uri} {suite} main\n" for uri, suite in archives()))
    options = ["-o", f"Dir::Etc::sourcelist={private}/sources.list", "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={private}/lists",
               "-o", f"Dir::Cache={private}", "-o", "Acquire::Retries=2", "-o", "APT::Sandbox::User="]
    for command in ["update"], ["source", "--download-only", f"{package}={version}"]:
        subprocess.run(["apt-get", "-q", *options, *command], cwd=private / "source", check=True, timeout=600)
    new = cache / f"{package}-{version}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    (tarball,) = [each for each in (private / "source").glob("*.orig.tar.*") if each.suffix != ".asc"]  # its signature
    subprocess.run(["tar", "-xf", str(tarball), "-C", str(new), "--strip-components=1"], check=True)
    new.rename(folder)
    shutil.rmtree(private)
    return folder
