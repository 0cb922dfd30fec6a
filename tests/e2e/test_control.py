"""The control channel: what a launcher and other clients of `runhv-vmm` are told, and what they can ask."""

import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

import control
from control import CONFLICT, CORRUPT_INPUT, HANDLE, INVALID_ARGUMENT, NONE, NOT_FOUND, UNSUPPORTED, Client, Gone, Refused
from processes import descriptors

PROCESS = {"cwd": "/", "env": ["PATH=/bin:/usr/bin"]}


def process(*arguments, **fields):
    return json.dumps({**PROCESS, "args": arguments, **fields})


class Vmm:
    """`runhv-vmm` with its launcher's connection."""

    def __init__(self, runhv, *arguments, greet=True, **options):
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [str(runhv.dist / "bin/runhv-vmm"), "--control-fd", str(theirs.fileno()), *arguments],
            pass_fds=[theirs.fileno()], env={**runhv.environment, **options.pop("env", {})},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
        theirs.close()
        self.client = Client(ours, greet=greet)

    def end(self, timeout=60):
        """The exit status, stdout and stderr."""
        output, message = self.process.communicate(timeout=timeout)
        return self.process.returncode, output, message


@pytest.fixture
def vmm(runhv, tmp_path):
    started = []

    def start(*arguments, command=("sh", "-c", "echo ready; exec sleep 1000"), image="busybox", bundle=None, name=None, **options):
        name = name or f"control-{len(started)}"
        if bundle is None:
            bundle = tmp_path / name
            runhv.prepare(bundle, *command, image=image, identifier=name)
        one = Vmm(runhv, "--id", name, "--bundle", str(bundle), "--engine", "soft", *arguments, **options)
        one.socket = runhv.run_directory / "containers" / name / "control"
        started.append(one)
        return one

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()
        one.client.close()


@pytest.fixture
def running(vmm):
    one = vmm()
    one.client.event("started")
    assert one.process.stdout.readline() == b"ready\n"
    return one


@pytest.mark.instrumented
def test_a_whole_life_is_told_in_order(vmm):
    # The first thread of a created container's VMM sees the container's files (docs/oci.md), and no /proc: at its end
    # LeakSanitizer would wait there for what it cannot find.
    without_leaks = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    one = vmm("--created", command=["sh", "-c", "exit 3"], env=without_leaks)
    client = one.client
    assert client.event().kind == "created"
    state = client.state()
    assert (state.status, state.id, state.pid) == ("created", "control-0", one.process.pid)
    assert state.created_at_ns != 0 and state.started_at_ns == 0
    client.start()
    assert client.event().kind == "started"
    end = client.event()
    assert (end.kind, end.code, end.status.end, end.status.value, end.status.exit_status) == ("ended", 0, "exited", 3, 3)
    assert client.last_statistics.stages[7][0] != 0
    assert client.last_statistics.instructions_total > client.last_statistics.instructions_to_first_instruction > 0
    with pytest.raises(Gone):
        client.frame()
    assert one.end() == (3, b"", b"")


def test_without_created_it_starts_at_once(vmm):
    one = vmm(command=["echo", "x"])
    assert one.client.event("started").kind == "started"
    assert one.client.event("ended").status.exit_status == 0
    assert one.end() == (0, b"x\n", b"")


@pytest.mark.instrumented
def test_a_program_that_is_not_there_ends_it_before_created(vmm):
    one = vmm("--created", command=["/no/such/program"])
    end = one.client.event()
    assert (end.kind, end.code, end.status.end, end.status.value) == ("ended", 0, "not_started", 127)
    assert "/no/such/program" in end.error.operation + end.error.detail
    assert one.end()[0] == 127


def test_a_program_that_may_not_be_run_ends_it_before_created(vmm):
    one = vmm("--created", command=["/etc/passwd"])
    end = one.client.event()
    assert (end.kind, end.status.end, end.status.value) == ("ended", "not_started", 126)


def limited(which, value):
    return {"preexec_fn": lambda: resource.setrlimit(which, (value, value))}


@pytest.mark.parametrize("arguments,code,words", [
    (["--engine", "whp"], None, "whp"),
    (["--engine", "warp"], INVALID_ARGUMENT, "soft, kvm, whp"),
    (["--what"], INVALID_ARGUMENT, "unknown option --what"),
    (["--end-with", "x"], INVALID_ARGUMENT, "--end-with x"),
    (["--end-with", "4194304"], NOT_FOUND, "no such process"),
    (["--kernel", "/etc/passwd"], CORRUPT_INPUT, "/etc/passwd"),
    (["--kernel", "/no/kernel"], NOT_FOUND, "/no/kernel"),
    (["--initrd", "/no/initrd"], NOT_FOUND, "/no/initrd"),
    (["--root", "/proc/runhv"], None, "/proc/runhv"),
])
def test_every_failure_on_the_way_is_the_end_with_its_code(vmm, arguments, code, words):
    one = vmm(*arguments)
    end = one.client.event()
    assert end.kind == "ended" and end.code == end.error.code != 0
    assert code in (None, end.code), end
    assert words in f"{end.error.operation}: {end.error.detail}", end.error
    assert end.status.exit_status == 125
    status, output, message = one.end()
    assert (status, output) == (125, b"")
    assert message.startswith(b"runhv: ") and message.count(b"\n") == 1, message


def test_an_engine_that_is_not_there_has_its_own_code(vmm):
    assert vmm("--engine", "whp").client.event().code == control.HYPERVISOR_ABSENT


@pytest.mark.instrumented
@pytest.mark.parametrize("change,code,words", [
    (lambda config: config["annotations"].update({"dev.runhv.memory": "1"}), None, "memory"),
    (lambda config: config["process"].update({"args": []}), CORRUPT_INPUT, "process.args"),
    (lambda config: config.update({"ociVersion": "2.0.0"}), None, "ociVersion"),
    (lambda config: config["vm"]["image"].update({"path": "/no/image"}), NOT_FOUND, "/no/image"),
])
def test_every_fault_of_a_bundle_is_the_end_with_its_code(runhv, vmm, tmp_path, change, code, words):
    bundle = runhv.prepare(tmp_path / "bundle", "true")
    config = json.loads((bundle / "config.json").read_text())
    config.setdefault("annotations", {})
    change(config)
    (bundle / "config.json").write_text(json.dumps(config))
    end = vmm(bundle=bundle).client.event()
    assert (end.kind, end.status.exit_status) == ("ended", 125)
    assert code in (None, end.code), end
    assert words in f"{end.error.operation}: {end.error.detail}", end.error


def test_no_bundle_is_the_end(vmm):
    end = vmm(bundle=pathlib.Path("/no/bundle")).client.event()
    assert (end.kind, end.code) == ("ended", NOT_FOUND)


def test_a_name_in_use_is_a_conflict(running, vmm):
    other = vmm(name="control-0", bundle=pathlib.Path("/no/bundle"))
    end = other.client.event()
    assert (end.kind, end.code) == ("ended", CONFLICT)
    assert end.error.detail == 'container name "control-0" is in use'
    assert running.client.state().status == "running"


def test_a_refused_thread_is_the_end_and_no_abort(runhv, vmm, tmp_path):
    # Room for the machine's memory, and not for the stacks of 16 processors.
    bundle = runhv.prepare(tmp_path / "bundle", "true")
    config = json.loads((bundle / "config.json").read_text())
    config.setdefault("annotations", {})["dev.runhv.cpus"] = "16"
    (bundle / "config.json").write_text(json.dumps(config))
    seen = set()
    for mebibytes in range(200, 520, 16):
        one = vmm(bundle=bundle, name=f"limited-{mebibytes}", **limited(resource.RLIMIT_AS, mebibytes << 20))
        try:
            end = one.client.event("ended")
        except Gone:
            # The system's loader itself had no room.
            assert one.end()[0] not in (-signal.SIGABRT, -signal.SIGSEGV, 134, 139)
            continue
        status = one.end()[0]
        assert status == end.status.exit_status, end
        seen.add((status, end.code))
        if status == 0:
            break
    assert {code for status, code in seen if status == 125} <= {control.OUT_OF_MEMORY, control.HOST_FAILED}, seen
    assert any(status == 125 for status, _ in seen), seen


@pytest.mark.instrumented
def test_a_launcher_that_goes_away_changes_nothing(vmm):
    one = vmm(command=["sh", "-c", "sleep 1; echo done"])
    one.client.event("started")
    one.client.close()
    assert one.end() == (0, b"done\n", b"")


def test_a_launcher_that_never_speaks_is_not_waited_for_long(vmm):
    one = vmm(bundle=pathlib.Path("/no/bundle"), greet=False)
    assert one.end(timeout=10)[0] == 125


def test_a_launcher_can_listen_instead(runhv, tmp_path):
    bundle = runhv.prepare(tmp_path / "bundle", "echo", "x")
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    at = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{at}/launcher")
        listener.listen()
        process = runhv.popen_vmm("--id", "listened", "--bundle", str(bundle), "--engine", "soft",
                                  "--control-connect", str(folder / "launcher"), stdout=subprocess.PIPE)
        with Client(listener.accept()[0]) as client:
            assert client.event("ended").status.exit_status == 0
        assert process.communicate(timeout=60)[0] == b"x\n" and process.returncode == 0
    os.close(at)


@pytest.mark.instrumented
def test_the_process_can_listen_for_its_launcher(runhv, tmp_path):
    bundle = runhv.prepare(tmp_path / "bundle", "echo", "x")
    folder = tmp_path / "launcher"
    process = runhv.popen_vmm("--id", "sought", "--bundle", str(bundle), "--engine", "soft", "--control-listen", str(folder),
                              stdout=subprocess.PIPE)
    client = None
    while client is None:
        assert process.poll() is None
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            client = Client.connect(folder / "control")
    assert folder.stat().st_mode & 0o777 == 0o700
    with client:
        assert client.event("ended").status.exit_status == 0
    assert process.communicate(timeout=60)[0] == b"x\n" and process.returncode == 0
    assert list(folder.iterdir()) == []


def test_the_launchers_connection_is_not_the_containers(running):
    links = descriptors(running.process.pid)
    assert [link for link in links.values() if link.startswith("socket:")], "its own"
    assert not [number for number, link in links.items() if link.startswith("/dev/pts") and number > 2]


def test_a_late_client_is_told_what_it_missed(running):
    with Client.connect(running.socket) as late:
        assert late.state().status == "running"
        assert [event.kind for event in late.events if event.kind != "warning"] in (["started"], ["created", "started"])
        running.client.signal(signal.SIGKILL)
        end = late.event("ended")
        assert (end.status.end, end.status.value, end.status.exit_status) == ("signaled", 9, 137)
    assert running.client.event("ended").status.exit_status == 137
    assert running.end()[0] == 137


@pytest.mark.instrumented
def test_many_clients_are_told_the_same(running):
    clients = [Client.connect(running.socket) for _ in range(50)]
    quiet = Client.connect(running.socket, events=False)
    running.client.signal(signal.SIGKILL)
    for client in clients:
        assert client.event("ended").status.exit_status == 137
        client.close()
    with pytest.raises(Gone):
        quiet.frame()
    quiet.close()


def test_a_client_that_is_killed_in_a_frame_disturbs_nobody(running):
    for size in (1, 15, 16, 20):
        client = Client.connect(running.socket)
        client.connection.sendall(control.FRAME.pack(16, control.SIGNAL, 0, 1, 0)[:size] + b"\x10\0\0\0"[:max(0, size - 16)])
        client.close()
    assert running.client.state().status == "running"


@pytest.mark.instrumented
def test_garbage_ends_its_connection_alone(running):
    for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 4096, struct.pack("<IHHII", 0, 2, 0, 1, 9), struct.pack("<IHHII", 0, 2, 9, 1, 0)):
        client = Client.connect(running.socket)
        client.connection.sendall(garbage)
        kind, _, payload = client.frame()
        while kind != control.ERROR:
            kind, _, payload = client.frame()
        assert control.read_error(payload).code == CORRUPT_INPUT
        with pytest.raises(Gone):
            client.frame()
        client.close()
    assert running.client.state().status == "running"


def test_what_is_not_greeted_first_is_refused(running):
    client = Client(control.connect(running.socket), greet=False)
    with pytest.raises(Refused) as refused:
        client.state()
    assert refused.value.error.code == CORRUPT_INPUT
    with pytest.raises(Gone):
        client.frame()
    client.close()


def test_another_version_is_told_ours(running):
    client = Client.connect(running.socket, version=99)
    assert client.version == 1
    with pytest.raises(Gone):
        client.frame()
    client.close()


@pytest.mark.parametrize("kind,payload,code", [
    (77, b"", UNSUPPORTED),
    (control.SIGNAL, b"", CORRUPT_INPUT),
    (control.SIGNAL, struct.pack("<IIiI", 16, 0, 65, 0), INVALID_ARGUMENT),
    (control.SIGNAL, struct.pack("<IIiI", 16, 9, 15, 0), NOT_FOUND),
    (control.START, b"", CONFLICT),
    (control.RESUME, b"", CONFLICT),
    (control.HELLO, struct.pack("<IIII", 16, 1, 0, 0), CONFLICT),
    (control.PROCESS_START, struct.pack("<IIHHI3II3Q", 56, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0), INVALID_ARGUMENT),
    (control.PROCESS_START, struct.pack("<IIHHI3II3Q", 56, 0, 0, 0, 2, 0, 2, 0, 0, 0, 5, 0) + b"{}", NOT_FOUND),
    (control.PROCESS_START, struct.pack("<IIHHI3II3Q", 56, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0) + b"nope", CORRUPT_INPUT),
    (control.RESIZE, struct.pack("<IIHHI", 16, 0, 80, 24, 0), CONFLICT),
])
def test_a_request_that_cannot_be_is_refused_and_the_connection_goes_on(running, kind, payload, code):
    with pytest.raises(Refused) as refused:
        running.client.ask(kind, payload)
    assert refused.value.error.code == code, refused.value
    assert running.client.state().status == "running"


def test_descriptors_that_no_request_names_end_the_connection(running):
    reader, writer = os.pipe()
    client = Client.connect(running.socket)
    with pytest.raises(Refused):
        client.ask(control.STATE, b"", [writer])
    assert client.state().status == "running"
    client.connection.sendmsg([control.FRAME.pack(0, control.STATE, 0, 1, 0)],
                              [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", writer))])
    with pytest.raises(Gone):
        while True:
            client.frame()
    client.close()
    os.close(writer)
    assert os.read(reader, 1) == b"", "the VMM closed what it was sent"
    os.close(reader)


def test_a_client_that_does_not_read_is_dropped_and_slows_nobody(running):
    deaf = Client.connect(running.socket)
    deaf.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(400):
        number = running.client.process_start(process("/bin/true"))
        while running.client.event("process_ended").process != number:
            pass
    with pytest.raises(Gone):
        while True:
            deaf.frame()
    deaf.close()
    assert running.client.state().status == "running"


def test_many_silent_connections_leave_room_for_the_container(running):
    silent = [control.connect(running.socket) for _ in range(600)]
    assert running.client.state().status == "running"
    for connection in silent:
        connection.close()
    with Client.connect(running.socket) as client:
        assert client.state().status == "running"


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
def test_another_user_is_refused(running):
    folder = running.socket.parent
    script = f"import socket; s=socket.socket(socket.AF_UNIX); s.connect({str(running.socket)!r}); s.settimeout(20); print(s.recv(1))"
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", shutil.which("python3", path="/usr/bin:/bin"), "-c", script]
    result = subprocess.run(become, capture_output=True, check=False)
    assert b"Permission denied" in result.stderr, "the folders keep it out"
    # Where they do not, the VMM does.
    opened = [parent for parent in [folder, *folder.parents] if parent.stat().st_mode & 0o011 != 0o011]
    for each in opened:
        each.chmod(0o711)
    running.socket.chmod(0o777)
    result = subprocess.run(become, capture_output=True, check=False)
    for each in opened:
        each.chmod(0o700)
    assert result.stdout.strip() == b"b''" or b"reset" in result.stderr, result
    assert running.client.state().status == "running"


# ---- processes ----

def ended(client, number):
    """The end of a process."""
    while True:
        event = client.event("process_ended")
        if event.process == number:
            return event


def run_process(client, *arguments, data=None, **fields):
    """Runs a program to its end by pipes: its end, its output, its errors."""
    pipes = [os.pipe() for _ in range(3)]
    number = client.process_start(process(*arguments, **fields), [HANDLE] * 3, handles=[pipes[0][0], pipes[1][1], pipes[2][1]])
    for end in (pipes[0][0], pipes[1][1], pipes[2][1]):
        os.close(end)
    if data:
        os.write(pipes[0][1], data)
    os.close(pipes[0][1])
    outputs = []
    for end in (pipes[1][0], pipes[2][0]):
        with open(end, "rb") as output:
            outputs.append(output.read())
    return ended(client, number), *outputs


@pytest.mark.instrumented
def test_a_process_has_streams_and_a_status_of_its_own(running):
    end, output, errors = run_process(running.client, "sh", "-c", "cat; echo err >&2; exit 7", data=b"typed")
    assert (end.status.end, end.status.value, output, errors) == ("exited", 7, b"typed", b"err\n")
    end, _, _ = run_process(running.client, "sh", "-c", "kill -9 $$")
    assert (end.status.end, end.status.value, end.status.exit_status) == ("signaled", 9, 137)


def test_a_process_that_cannot_be_started_says_why(running):
    end, _, _ = run_process(running.client, "/no/such/program")
    assert (end.status.end, end.status.value) == ("not_started", 127)
    assert "/no/such/program" in end.error.operation + end.error.detail
    end, _, _ = run_process(running.client, "/etc/passwd")
    assert (end.status.end, end.status.value) == ("not_started", 126)
    assert running.client.state().process_count == 1


def test_a_process_is_in_the_containers_namespaces_and_inherits_nothing_else(running):
    _, output, _ = run_process(running.client, "sh", "-c", "env | sort; hostname; id -u; grep Cap /proc/self/status",
                               env=["PATH=/bin", "ONLY=this"], user={"uid": 7, "gid": 7})
    lines = output.decode().split("\n")
    assert [line for line in lines if "=" in line][:3] == ["HOME=/", "ONLY=this", "PATH=/bin"] and "control-0" in lines and "7" in lines
    assert {line.split()[1] for line in lines if line.startswith("Cap")} == {"0" * 16}
    same = "for each in pid mnt uts ipc net; do [ $(readlink /proc/self/ns/$each) = $(readlink /proc/1/ns/$each) ] || echo $each; done"
    _, output, _ = run_process(running.client, "sh", "-c", same, capabilities={"bounding": ["CAP_SYS_PTRACE"], "effective": ["CAP_SYS_PTRACE"],
                               "permitted": ["CAP_SYS_PTRACE"]})
    assert output == b"", "namespaces of the first process"


@pytest.mark.instrumented
def test_a_process_streams_through_connections_too(running):
    streams = [control.stream(running.socket) for _ in range(3)]
    number = running.client.process_start(process("sh", "-c", "tr a-z A-Z; echo err >&2"), [control.CONNECTION] * 3,
                                          [token for _, token in streams])
    (given, _), (output, _), (errors, _) = streams
    given.sendall(b"shout")
    given.shutdown(socket.SHUT_WR)
    received = [b"".join(iter(lambda connection=connection: connection.recv(4096), b"")) for connection in (output, errors)]
    assert received == [b"SHOUT", b"err\n"]
    assert ended(running.client, number).status.value == 0
    with pytest.raises(Refused) as refused:
        running.client.process_start(process("true"), [control.CONNECTION, NONE, NONE], [streams[0][1], 0, 0])
    assert refused.value.error.code == NOT_FOUND, "a token is taken once"
    for connection, _ in streams:
        connection.close()


def test_a_token_belongs_to_one_connection(running):
    connection, token = control.stream(running.socket)
    other = Client(control.connect(running.socket), greet=False)
    with pytest.raises(Refused) as refused:
        other.ask(control.STREAM, struct.pack("<IIQ", 16, 0, token))
    assert refused.value.error.code == CONFLICT
    other.close()
    connection.close()


@pytest.mark.instrumented
def test_bulk_output_of_a_process_arrives_whole(running):
    end, output, _ = run_process(running.client, "sh", "-c", "yes 0123456789 | head -c 3000000")
    assert end.status.value == 0 and len(output) == 3_000_000


@pytest.mark.instrumented
def test_signals_are_for_one_process(running):
    client = running.client
    reader, writer = os.pipe()
    script = "trap 'echo got; exit 4' USR1; echo up; while :; do sleep 0.05; done"
    number = client.process_start(process("sh", "-c", script), [NONE, HANDLE, NONE], handles=[writer])
    os.close(writer)
    with open(reader, "rb") as output:
        assert output.readline() == b"up\n"
        client.signal(signal.SIGUSR1, number)
        assert output.read() == b"got\n"
    assert ended(client, number).status.value == 4
    with pytest.raises(Refused) as refused:
        client.signal(signal.SIGTERM, number)
    assert refused.value.error.code == NOT_FOUND
    other = client.process_start(process("sleep", "1000"))
    client.event("process_started")
    client.signal(signal.SIGKILL, other)
    assert ended(client, other).status.end == "signaled"
    assert client.state().status == "running"


def read_until(terminal, words):
    seen = b""
    while words not in seen:
        seen += os.read(terminal, 4096)
    return seen


@pytest.mark.instrumented
def test_a_terminal_is_one_and_sizes_and_control_characters_work(running):
    client = running.client
    terminal, other = os.openpty()
    tcattr = subprocess.run(["stty", "raw", "-echo"], stdin=other, check=True)
    assert tcattr.returncode == 0
    script = "test -t 0 && test -t 1 && test -t 2 && tty && stty size; trap 'echo resized; stty size' WINCH; echo go; while :; do sleep 0.1; done"
    number = client.process_start(process("sh", "-c", script, terminal=True), [HANDLE, NONE, NONE], handles=[other],
                                  flags=control.TERMINAL, columns=100, rows=40)
    seen = read_until(terminal, b"go\r\n")
    assert b"/dev/pts/" in seen and b"40 100" in seen, seen
    client.resize(number, 60, 20)
    assert b"20 60" in read_until(terminal, b"20 60")
    os.write(terminal, b"\x03")
    end = ended(client, number)
    assert (end.status.end, end.status.value) == ("signaled", signal.SIGINT) or end.status.value == 130, end
    os.close(terminal)
    os.close(other)


def test_output_waits_for_the_end_that_is_attached(running):
    client = running.client
    first, writer = os.pipe()
    script = "read x; echo after-$x; exec sleep 1000"
    given, typed = os.pipe()
    number = client.process_start(process("sh", "-c", script), [HANDLE, HANDLE, NONE], handles=[given, writer])
    os.close(given)
    os.close(writer)
    client.event("process_started")
    client.attach(number, 1)
    assert os.read(first, 1) == b"", "its end is closed"
    os.write(typed, b"this\n")
    reader, writer = os.pipe()
    client.attach(number, 1, writer)
    os.close(writer)
    with open(reader, "rb") as output:
        assert output.readline() == b"after-this\n"
    client.signal(signal.SIGKILL, number)
    ended(client, number)
    os.close(first)
    os.close(typed)


def test_a_thousand_processes_in_a_row(running):
    for i in range(1000):
        number = running.client.process_start(process("/bin/true"))
        assert ended(running.client, number).status.value == 0, i
    assert running.client.state().process_count == 1


@pytest.mark.instrumented
def test_a_hundred_processes_at_once(running):
    client = running.client
    pipes = {}
    for i in range(100):
        reader, writer = os.pipe()
        number = client.process_start(process("sh", "-c", f"sleep 1; echo {i}; exit {i}"), [NONE, HANDLE, NONE], handles=[writer])
        os.close(writer)
        pipes[number] = (i, reader)
    assert len(pipes) == 100
    outputs = {}
    for number, (i, reader) in pipes.items():
        with open(reader, "rb") as output:
            outputs[number] = output.read()
    left = dict(pipes)
    while left:
        event = client.event("process_ended")
        i = left.pop(event.process)[0]
        assert (event.status.end, event.status.value, outputs[event.process]) == ("exited", i, f"{i}\n".encode()), event


def test_a_129th_process_is_a_conflict(running):
    numbers = [running.client.process_start(process("sleep", "1000")) for _ in range(127)]
    with pytest.raises(Refused) as refused:
        running.client.process_start(process("true"))
    assert refused.value.error.code == CONFLICT
    assert len(set(numbers)) == 127


@pytest.mark.instrumented
def test_the_end_of_the_first_process_ends_the_others(vmm):
    one = vmm(command=["sh", "-c", "trap 'exit 2' TERM; echo ready; while :; do sleep 0.05; done"])
    assert one.process.stdout.readline() == b"ready\n"
    one.client.process_start(process("sleep", "1000"))
    one.client.event("process_started")
    one.client.signal(signal.SIGTERM)
    events = [one.client.event()]
    while events[-1].kind != "ended":
        events.append(one.client.event())
    assert [event.kind for event in events] == ["process_ended", "ended"]
    assert (events[0].status.end, events[0].status.value, events[1].status.value) == ("signaled", signal.SIGKILL, 2)


# ---- pause, statistics, stop ----

@pytest.mark.instrumented
def test_a_paused_container_does_nothing(running):
    client = running.client
    with open("/dev/null", "wb") as sink:
        # Each line leaves the guest: what it does is seen at its exits.
        writer = client.process_start(process("yes"), [NONE, HANDLE, NONE], handles=[sink.fileno()])
    client.event("process_started")
    first = client.statistics()
    while client.statistics().exits_total.all == first.exits_total.all:
        assert client.state().status == "running"
    client.pause()
    assert client.event("paused") and client.state().status == "paused"
    before = client.statistics()
    time.sleep(0.2)
    after = client.statistics()
    assert (before.instructions_total, before.exits_total) == (after.instructions_total, after.exits_total)
    with pytest.raises(Refused) as refused:
        client.pause()
    assert refused.value.error.code == CONFLICT
    client.resume()
    assert client.event("resumed") and client.state().status == "running"
    while client.statistics().instructions_total == after.instructions_total:
        assert client.state().status == "running"
    client.signal(signal.SIGKILL, writer)
    assert ended(client, writer).status.value == signal.SIGKILL


@pytest.mark.instrumented
def test_a_paused_container_can_be_killed(running):
    running.client.pause()
    running.client.signal(signal.SIGKILL)
    assert running.client.event("ended").status.exit_status == 137


def test_statistics_cost_the_guest_nothing(vmm):
    # Nothing happens in it: what it counts comes from timers of its own alone.
    one = vmm(command=["sleep", "1000"])
    one.client.event("started")
    one.client.pause()
    first = one.client.statistics()
    for _ in range(200):
        last = one.client.statistics()
    assert last.exits_total == first.exits_total
    assert last.engine == "soft" and last.memory_bytes == 128 << 20


@pytest.mark.instrumented
def test_stop_is_a_signal_and_a_limit(vmm):
    one = vmm(command=["sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done"])
    assert one.process.stdout.readline() == b"ready\n"
    one.client.stop(grace_ms=60_000)
    assert one.client.event("ended").status.value == 6
    two = vmm(command=["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
    assert two.process.stdout.readline() == b"ready\n"
    two.client.stop(grace_ms=300)
    assert two.client.event("ended").status.exit_status == 137


# ---- librunhv.so in other programs ----

def test_a_program_of_c_does_not_die_of_a_pipe_that_nobody_reads(runhv, tmp_path):
    root = pathlib.Path(__file__).resolve().parents[2]
    bundle = runhv.prepare(tmp_path / "bundle", "sh", "-c", "while echo x; do :; done; exit 0")
    program = tmp_path / "embedder"
    lib = runhv.dist / "lib"
    subprocess.run(["cc", "-o", program, root / "tests/fixtures/embedder.c", f"-I{root}/native/include", f"-L{lib}", "-lrunhv",
                    f"-Wl,-rpath,{lib}"], check=True)
    share = runhv.dist / "share/runhv"
    result = subprocess.run([program, bundle, share / "vmlinux-minimal", share / "agent.cpio"], capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, b"alive\n"), result
