"""What runhv's own kernel gives a container: services of the kernel that programs count on, and no limit before memory.

The programs are those of tests/fixtures/guest; each says what is wrong, and nothing where all is well.
"""

import pytest


def silent(result, status=0):
    assert (result.stdout, result.stderr, result.returncode) == (b"", b"", status)


@pytest.mark.parametrize("check,file", [
    ("set", "file"),
    ("set", "listed"),
    ("remove-none", "file"),
    ("default", "folder"),
    ("default-of-a-file", "file"),
    ("not-mine", "file"),
    ("of-the-image", "listed"),
    ("copied-up", "listed"),
])
def test_access_lists_of_files_of_the_image(runhv, check, file):
    silent(runhv.run("acl", check, f"/opt/{file}", image="guest"))


@pytest.mark.parametrize("check", ["attributes", "flags"])
@pytest.mark.parametrize("file", ["file", "folder"])
def test_attributes_and_flags_of_files_of_the_image(runhv, check, file):
    silent(runhv.run("acl", check, f"/opt/{file}", image="guest"))


def test_access_lists_on_a_scratch_disk(runhv):
    silent(runhv.run("acl", "set", "/opt/file", image="guest", before=["--scratch", "16m"]))
