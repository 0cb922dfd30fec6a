#!/usr/bin/env python3
"""Makes a release archive of a distribution: package.py DIST OUTPUT NAME EPOCH.

OUTPUT then holds NAME.tar.gz (NAME.zip of a distribution for Windows), NAME.cdx.json, which is the same as the list of
components inside (CycloneDX), and the SHA256SUMS of all that it holds. Equal distributions make equal archives: names are
sorted, every time is EPOCH, everybody is root."""

import gzip
import hashlib
import io
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

# What a JVM wrote fits that JVM alone, and is not the same twice.
LEFT_OUT = {"share/runhv/runhv.aot", "share/runhv/SHA256SUMS", "share/runhv/SHA256SUMS.sig"}
COMPONENTS = "share/doc/runhv/runhv.cdx.json"
MANIFEST = "share/runhv/SHA256SUMS"
# A component in NOTICE: its name, its licence, where it is.
COMPONENT = re.compile(r"^(\S.*?)(?:\n {20,}| {2,})(\S+(?: (?:WITH|AND) \S+)?) {2,}(\S.*)$", re.MULTILINE)


def sha256(file):
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def expanded(pattern):
    """Each of the names in braces."""
    found = re.search(r"\{(.*?)\}", pattern)
    if not found:
        return [pattern]
    return [pattern[:found.start()] + name + pattern[found.end():] for name in found[1].split(",")]


def files(dist):
    return sorted(file.relative_to(dist).as_posix() for file in dist.rglob("*") if file.is_file() or file.is_symlink())


def coordinates(jar):
    """What Maven wrote into a jar: its properties, none where there are none."""
    with zipfile.ZipFile(jar) as content:
        for name in content.namelist():
            if name.startswith("META-INF/maven/") and name.endswith("/pom.properties"):
                return dict(line.split("=", 1) for line in content.read(name).decode().split() if "=" in line)
    return {}


def component(dist, name, licence, place):
    """`place`: a file of the distribution, a pattern of them, or words."""
    entry = {"type": "library", "name": name, "licenses": [{"expression": licence}]}
    numbered = re.fullmatch(r"(.*?) (\d[\w.]*)(, .*)?", name)
    if numbered:
        entry |= {"name": numbered[1] + (numbered[3] or ""), "version": numbered[2]}
    if place.startswith("share/") or place.startswith("lib/") and " " not in place:
        held = list(itertools.chain.from_iterable(sorted(dist.glob(pattern)) for pattern in expanded(place)))
        if not held:
            sys.exit(f"NOTICE names {place}, which is not in {dist}")
        for file in held:
            made = entry | {"hashes": [{"alg": "SHA-256", "content": sha256(file)}]}
            if file.suffix == ".jar":
                of_maven = coordinates(file)
                version = re.search(r"-(\d[\w.-]*)\.jar$", file.name)
                made |= {"name": file.name[:version.start()], "version": version[1]}
                if of_maven:
                    made["purl"] = "pkg:maven/{groupId}/{artifactId}@{version}".format(**of_maven)
            made["properties"] = [{"name": "file", "value": file.relative_to(dist).as_posix()}]
            yield made
    else:
        yield entry | {"properties": [{"name": "file", "value": place}]}


def components(dist, name, epoch):
    listed = COMPONENT.findall((dist / "share/doc/runhv/NOTICE").read_text())
    held = [entry for found in listed for entry in component(dist, *found)]
    named = {value["value"] for entry in held for value in entry["properties"]}
    unnamed = [jar for jar in files(dist) if jar.endswith(".jar") and jar not in named and "/runhv-" not in jar]
    if unnamed:
        sys.exit(f"NOTICE does not name {', '.join(unnamed)}")
    version = name.split("-")[1]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
            "component": {"type": "application", "name": "runhv", "version": version,
                          "licenses": [{"expression": "Apache-2.0"}]},
        },
        "components": held,
    }


def write_archive(tree, archive, epoch):
    def owned(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = epoch
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in [tree, *sorted(tree.rglob("*"))]:
            tar.add(path, path.relative_to(tree.parent).as_posix(), recursive=False, filter=owned)
    with open(archive, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(content.getbuffer())


def write_zip(tree, archive, epoch):
    """With names in UTF-8, and the times of UTC, which a zip does not say of them."""
    at = time.gmtime(epoch)[:6]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for file in files(tree):
            entry = zipfile.ZipInfo(f"{tree.name}/{file}", at)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 0  # DOS: whoever unpacks it has no use for modes
            packed.writestr(entry, (tree / file).read_bytes())


def main():
    dist, output, name, epoch = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    windows = (dist / "bin/runhv.exe").exists()
    tree = output / name
    shutil.rmtree(tree, ignore_errors=True)
    for file in files(dist):
        if file not in LEFT_OUT:
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(dist / file, tree / file, follow_symlinks=False)
    listed = json.dumps(components(tree, name, epoch), indent=1) + "\n"
    (tree / COMPONENTS).write_text(listed)
    (tree / MANIFEST).write_text("".join(f"{sha256(tree / file)}  {file}\n" for file in files(tree)))
    if os.environ.get("RUNHV_SIGNING_KEY"):
        subprocess.run(["openssl", "dgst", "-sha256", "-sign", os.environ["RUNHV_SIGNING_KEY"], "-out",
                        tree / f"{MANIFEST}.sig", tree / MANIFEST], check=True)
    made = [f"{name}.zip" if windows else f"{name}.tar.gz", f"{name}.cdx.json"]
    (write_zip if windows else write_archive)(tree, output / made[0], epoch)
    (output / made[1]).write_text(listed)
    shutil.rmtree(tree)
    held = [file for file in files(output) if file != "SHA256SUMS"]
    (output / "SHA256SUMS").write_text("".join(f"{sha256(output / file)}  {file}\n" for file in held))
    print("".join(f"{output / file}\n" for file in made), end="")


if __name__ == "__main__":
    main()
