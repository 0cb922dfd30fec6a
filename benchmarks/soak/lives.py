"""The lives that a container of the soak may have, by chance, and what each must come to."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
from control import HANDLE, NONE, Client

KINDS = ["plain", "processes", "pause", "kill", "lose the vmm", "lose the launcher"]
LIMIT_SECONDS = 300  # of one life: it hangs
KILLED, TERMINATED = 128 + signal.SIGKILL, 128 + signal.SIGTERM


class Life:
    """One container. Its kind and its moments come from the seed and its number alone."""

    def __init__(self, soak, seed, number, typical_ms):
        self.soak = soak
        self.name = f"{soak.name}-{number}"
        self.chance = random.Random(f"{seed}-{number}")
        self.kind = self.chance.choice(KINDS)
        self.typical_ms = typical_ms  # from a spawn to the first output, as things are
        self.first_output_ms = None
        self.process = None

    def run(self):
        """What went wrong, or None."""
        over = threading.Timer(LIMIT_SECONDS, self.give_up)
        over.start()
        try:
            return getattr(self, self.kind.replace(" ", "_"))()
        except Exception as problem:  # pylint: disable=broad-except
            return repr(problem)
        finally:
            over.cancel()
            self.give_up()
            if self.process is not None:
                self.process.communicate()

    def give_up(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def spawn(self, *command):
        begun = time.monotonic()
        self.process = subprocess.Popen(
            command, env=self.soak.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return begun

    def spawn_run(self, bundle):
        return self.spawn(self.soak.dist / "bin/runhv", "run", "--bundle", bundle, self.name)

    def moment(self):
        """Before, during or after the start, as it comes."""
        time.sleep(self.chance.uniform(0, 1.5 * self.typical_ms / 1000))

    def command(self, *arguments):
        return subprocess.run([self.soak.dist / "bin/runhv", *arguments], env=self.soak.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=LIMIT_SECONDS, check=False)

    def connect(self):
        """Once the program has spoken: from then on every request can be served."""
        if self.process.stdout.readline() != b"out\n":
            raise ValueError(f"no first output: {self.process.communicate()}")
        return Client.connect(self.soak.runtime / "runhv/containers" / self.name / "control")

    def end(self, statuses, outputs=(b"",)):
        output, errors = self.process.communicate()
        if self.process.returncode not in statuses or output not in outputs or errors:
            return f"status {self.process.returncode}, {output!r}, {errors.decode()!r}"
        return None

    def plain(self):
        begun = self.spawn_run(self.soak.short)
        output = os.read(self.process.stdout.fileno(), 4)
        self.first_output_ms = (time.monotonic() - begun) * 1000
        return self.end([0]) if output == b"out\n" else f"first output {output!r}, {self.end([])}"

    def processes(self):
        self.spawn_run(self.soak.long)
        with self.connect() as client:
            for turn in range(self.chance.randint(1, 4)):
                said, status = f"{self.name} {turn}\n", self.chance.randint(0, 255)
                reader, writer = os.pipe()
                number = client.process_start(json.dumps(
                    {"args": ["sh", "-c", f"echo {said.strip()}; exit {status}"], "cwd": "/", "env": ["PATH=/bin"]}),
                    ends=(NONE, HANDLE, NONE), handles=[writer])
                os.close(writer)
                with os.fdopen(reader, "rb") as output:
                    heard = output.read()
                ended = client.event("process_ended")
                if (heard, ended.process, ended.status.exit_status) != (said.encode(), number, status):
                    return f"process {number} of status {status}: {heard!r}, {ended}"
            client.signal(signal.SIGKILL)
            return self.end([KILLED])

    def pause(self):
        self.spawn_run(self.soak.long)
        with self.connect() as client:
            client.pause()
            time.sleep(self.chance.uniform(0, 0.1))
            if client.state().status != "paused":
                return f"paused, and then {client.state()}"
            if self.chance.random() < 0.25:
                return self.delete() or self.end([KILLED])
            client.resume()
            client.stop(signal.SIGTERM, grace_ms=100)
            return self.end([TERMINATED, KILLED])

    def kill(self):
        self.spawn_run(self.soak.long)
        self.moment()
        # Until it has come so far that it can be killed.
        while self.process.poll() is None:
            killed = self.command("kill", self.name, "KILL")
            if killed.returncode == 0:
                break
            if not any(words in killed.stderr for words in (b"does not exist", b"container not running")):
                return f"kill: {killed.stderr.decode()!r}"
        return self.end([KILLED], [b"", b"out\n"])

    def lose_the_vmm(self):
        self.spawn_run(self.soak.long)
        self.moment()
        self.process.kill()
        return self.end([-signal.SIGKILL], [b"", b"out\n"]) or self.delete()

    def lose_the_launcher(self):
        self.spawn("sh", "-c", '"$@" --end-with $$; :', "sh", self.soak.dist / "bin/runhv-vmm", "--id", self.name,
                   "--bundle", self.soak.long, "--engine", "soft")
        self.moment()
        self.process.kill()
        # Its output ends with the VMM.
        self.process.stdout.read()
        problem = self.process.stderr.read()
        return problem.decode() or self.delete()

    def delete(self):
        deleted = self.command("delete", "--force", self.name)
        if (deleted.returncode, deleted.stderr) != (0, b""):
            return f"delete --force: status {deleted.returncode}, {deleted.stderr.decode()!r}"
        if (self.soak.runtime / "runhv/containers" / self.name).exists():
            return "delete --force left its folder"
        return None
