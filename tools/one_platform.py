#!/usr/bin/env python3
"""Rewrites a jar that carries native libraries for many systems: `one_platform.py JAR linux/amd64` keeps those of one.

Maven Central's jar of zstd-jni holds 18, of which a distribution can load one."""

import os
import pathlib
import sys
import zipfile

NATIVE = {".so", ".dll", ".dylib", ".jnilib"}


def main():
    jar, platform = pathlib.Path(sys.argv[1]), sys.argv[2]
    kept = 0
    smaller = jar.with_suffix(".new")
    with zipfile.ZipFile(jar) as old, zipfile.ZipFile(smaller, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            if pathlib.PurePosixPath(entry.filename).suffix in NATIVE:
                if not entry.filename.startswith(platform + "/"):
                    continue
                kept += 1
            new.writestr(entry, old.read(entry))
    if not kept:
        smaller.unlink()
        sys.exit(f"{jar} has no native library for {platform}")
    os.replace(smaller, jar)


if __name__ == "__main__":
    main()
