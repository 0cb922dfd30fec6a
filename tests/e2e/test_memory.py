"""Memory that a program in the guest has freed is the host's again."""

import pathlib
import re
import subprocess

from shim import wait_until

FILE_MIB = 512
SCRIPT = f"""
head -c 16M /dev/urandom > /tmp/kept
md5sum < /tmp/kept > /tmp/sum
for round in 1 2; do
  dd if=/dev/zero of=/tmp/file bs=1M count={FILE_MIB} 2>/dev/null || exit 1
  echo filled
  read line
  rm /tmp/file
  echo freed
  read line
done
md5sum < /tmp/kept | cmp - /tmp/sum && echo kept
"""


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) >> 10


def test_memory_that_a_program_has_freed_is_the_hosts_again(runhv):
    process = runhv.popen("run", "-i", "--memory", "1280m", runhv.image("busybox"), "sh", "-c", SCRIPT,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def go_on():
        process.stdin.write(b"\n")
        process.stdin.flush()
        return process.stdout.readline()

    line = process.stdout.readline()
    for _ in range(2):
        assert line == b"filled\n"
        full = resident_mib(process.pid)
        assert full > FILE_MIB, "what was given back can be used again"
        assert go_on() == b"freed\n"
        # All but what lies in blocks of which the guest's kernel uses a part.
        wait_until(lambda: resident_mib(process.pid) < full - FILE_MIB * 9 // 10)
        line = go_on()
    assert line == b"kept\n", "no page in use was given back"
    assert process.wait(timeout=60) == 0
