"""Images that a test makes for itself, with the fixture `make`."""

import gzip
import json
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "fixtures"))

from make_images import Layout  # noqa: E402


def base_layer(runhv):
    """The decompressed layer of the busybox image."""
    manifest = image_manifest(runhv.images / "busybox")
    blob = runhv.images / "busybox/blobs/sha256" / manifest["layers"][0]["digest"].split(":")[1]
    return gzip.decompress(blob.read_bytes())


def image_manifest(layout):
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    return json.loads((layout / "blobs/sha256" / entry["digest"].split(":")[1]).read_text())


@pytest.fixture
def make(runhv, tmp_path):
    """Makes an image of tars, the first of them below the others; its store is empty."""
    runhv.store = tmp_path / "store"

    def make(*tars, config=None, compression=None, **platform):
        layout = Layout(tmp_path / "image")
        for tar in tars:
            layout.layer(tar, compression)
        layout.finish({"Env": ["PATH=/usr/bin:/bin"], **(config or {})}, **platform)
        return f"oci:{tmp_path}/image:latest"

    return make
