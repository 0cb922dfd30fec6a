"""A container on every Windows that our WHP can be like: its version, how it tells HLT, and Runs that return for nothing."""

import itertools

import pytest

PROFILES = ("windows-server-2022", "windows-11-22h2", "windows-11-24h2", "windows-server-2025")
HALTS = ("never", "then-block", "always")


def environment(profile, halt, seed):
    return {"RUNHV_WHP_STRICT": "1", "RUNHV_WHP_PROFILE": profile, "RUNHV_WHP_HALT": halt, "RUNHV_WHP_SEED": str(seed)}


# Another seed for each; tools/dev strict tries ten with every combination.
@pytest.mark.parametrize(("seed", "profile", "halt"),
                         [(seed, *each) for seed, each in enumerate(itertools.product(PROFILES, HALTS), 1)])
def test_a_container_runs_on_every_windows(runhv, profile, halt, seed):
    result = runhv.run("sh", "-c", "nproc; sleep 0.1; cat; exit 3", before=["-i", "--cpus", "2"], input=b"typed",
                       env=environment(profile, halt, seed))

    assert result.returncode == 3, result.stderr.decode()
    assert result.stdout == b"2\ntyped"


def test_the_version_of_windows_reaches_the_library(runhv):
    result = runhv.run("true", env=environment("windows-95", "never", 1))

    assert result.returncode == 125
    assert b"windows-95" in result.stderr


def test_the_costs_of_windows_change_nothing_else(runhv):
    result = runhv.run("echo", "here", env={"RUNHV_WHP_STRICT": "1", "RUNHV_WHP_COSTS": "1"})

    assert (result.returncode, result.stdout) == (0, b"here\n"), result.stderr.decode()
