"""What a run leaves that is ended at its most awkward moment: nothing, or what the next run clears away."""

import os
import signal
import time

import pytest

from conftest import java

HOUR = 3600


@pytest.fixture
def interrupted(runhv, tmp_path):
    """A Java that makes the bundle, and then lets the signal come to `runhv` that waits for it."""
    seen = tmp_path / "seen"
    program = tmp_path / "java"

    def run(number):
        program.write_text(f"""#!/bin/sh
"{java()}" "$@"
ls "{runhv.run_directory}/bundles" >"{seen}"
kill -{number} $PPID
""")
        program.chmod(0o755)
        result = runhv.run("echo", "never", env={"RUNHV_JAVA": str(program)})
        bundles = seen.read_text().split()
        assert len(bundles) == 1, "Java had made the bundle"
        return result, bundles[0]

    return run


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_before_the_vmm_ends_the_run_and_leaves_nothing(runhv, interrupted, name):
    number = getattr(signal, name)
    result, _ = interrupted(int(number))
    assert (result.returncode, result.stdout, result.stderr) == (-number, b"", b"")
    assert runhv.leftovers() == []


def test_what_sigkill_leaves_the_next_run_after_ten_minutes_clears_away(runhv, interrupted):
    result, bundle = interrupted(int(signal.SIGKILL))
    assert result.returncode == -signal.SIGKILL
    left = runhv.run_directory / "bundles" / bundle
    assert runhv.run("true").returncode == 0
    assert (left / "config.json").exists(), "it may be the bundle of a run that is just starting"
    then = time.time() - HOUR
    os.utime(left, (then, then))
    assert runhv.run("true").returncode == 0
    assert runhv.leftovers() == []


def test_a_signal_that_is_pending_while_runhv_becomes_the_vmm_is_not_lost(runhv, tmp_path):
    bundle = runhv.prepare(tmp_path / "bundle", "sleep", "1000")

    def pend():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)

    process = runhv.popen("run", "--bundle", str(bundle), f"pending-{os.getpid()}", preexec_fn=pend)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert (bundle / "config.json").exists(), "a bundle of the caller's is the caller's"
