"""A client of the control channel (docs/control.md), written from native/include/runhv/control.h alone."""

import array
import collections
import os
import secrets
import socket
import struct

HELLO, STATE, START, SIGNAL, STOP, PAUSE, RESUME, STATISTICS, PROCESS_START, RESIZE, ATTACH, STREAM = range(1, 13)
EVENT, ERROR, ANSWER = 0x4000, 0x4001, 0x8000
NONE, HANDLE, CONNECTION = 0, 1, 2  # ends of a stream
TERMINAL = 1
WANTS_EVENTS = 1

KINDS = [None, "created", "started", "process_started", "process_ended", "out_of_memory", "paused", "resumed", "warning", "ended"]
STATUSES = ["creating", "created", "running", "paused", "stopped"]
ENDS = ["exited", "signaled", "not_started"]
(OK, INVALID_ARGUMENT, NOT_FOUND, CONFLICT, CORRUPT_INPUT, UNSUPPORTED, ACCESS_DENIED, OUT_OF_MEMORY, NO_SPACE,
 HYPERVISOR_ABSENT, GUEST_FAILED, TIMED_OUT, CLOSED, HOST_FAILED) = range(14)

FRAME = struct.Struct("<IHHII")
ERROR_FIELDS = struct.Struct("<Iiiiq256s512s")
EXIT_STATUS = struct.Struct("<IiiiI")
EVENT_FIELDS = struct.Struct("<IiIiQII")

Error = collections.namedtuple("Error", "code domain os_code operation detail")
ExitStatus = collections.namedtuple("ExitStatus", "end value exit_status oom_kills")
Event = collections.namedtuple("Event", "kind process code at_ns oom_kills status error")
State = collections.namedtuple("State", "status id pid created_at_ns started_at_ns ended_at_ns process_count end_code end")
Counts = collections.namedtuple("Counts", "io_port mmio cpuid msr halt interrupt_window apic_eoi canceled other all")
Statistics = collections.namedtuple("Statistics", "engine kernel stages exits_to_first_instruction exits_total "
                                    "instructions_to_first_instruction instructions_total private_bytes memory_bytes")


class Refused(Exception):
    """An ERROR of the VMM's."""

    def __init__(self, error):
        super().__init__(f"{error.code}: {error.operation}: {error.detail}")
        self.error = error


class Gone(Exception):
    """The VMM closed the connection."""


def text(raw):
    return raw.split(b"\0", 1)[0].decode()


def read_error(raw):
    _, code, domain, _, os_code, operation, detail = ERROR_FIELDS.unpack_from(raw)
    return Error(code, domain, os_code, text(operation), text(detail))


def read_exit_status(raw):
    _, end, value, exit_status, oom_kills = EXIT_STATUS.unpack_from(raw)
    return ExitStatus(ENDS[end], value, exit_status, oom_kills)


def read_event(raw):
    _, kind, process, code, at_ns, oom_kills, _ = EVENT_FIELDS.unpack_from(raw)
    at = EVENT_FIELDS.size
    # 20 bytes of status, then the error at the next multiple of eight.
    error = read_error(raw[at + 24:])
    return Event(KINDS[kind], process, code, at_ns, oom_kills, read_exit_status(raw[at:]), error)


def read_state(raw):
    fields = struct.Struct("<Ii136sqQQQIi")
    _, status, name, pid, created, started, ended, count, end_code = fields.unpack_from(raw)
    return State(STATUSES[status], text(name), pid, created, started, ended, count, end_code, read_exit_status(raw[fields.size:]))


def read_statistics(raw):
    head = struct.Struct("<II16s128sQ")
    _, _, engine, kernel, _ = head.unpack_from(raw)
    at = head.size
    stages = [struct.unpack_from("<QQ", raw, at + 16 * i) for i in range(8)]
    at += 16 * 8
    counts = [Counts(*struct.unpack_from("<10Q", raw, at + 80 * i)) for i in range(2)]
    at += 160
    first, total, private, _, memory = struct.unpack_from("<5Q", raw, at)
    return Statistics(text(engine), text(kernel), stages, counts[0], counts[1], first, total, private, memory)


class Client:
    """Everything waits, 60 seconds at most."""

    def __init__(self, connection, version=1, events=True, greet=True):
        self.connection = connection
        connection.settimeout(60)
        self.buffer = b""
        self.events = collections.deque()
        self.last_statistics = None
        self.number = 0
        if greet:
            answer = self.ask(HELLO, struct.pack("<IIII", 16, version, WANTS_EVENTS if events else 0, 0))
            self.version = struct.unpack_from("<I", answer, 4)[0]

    @classmethod
    def connect(cls, path, **options):
        return cls(connect(path), **options)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, kind, payload=b"", handles=()):
        self.number += 1
        data = FRAME.pack(len(payload), kind, len(handles), self.number, 0) + payload
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles))] if handles else []
        sent = self.connection.sendmsg([data], ancillary)
        if sent < len(data):
            self.connection.sendall(data[sent:])
        return self.number

    def frame(self):
        """The next frame: its type, its request, its payload."""
        while True:
            if len(self.buffer) >= FRAME.size:
                length, kind, _, request, _ = FRAME.unpack_from(self.buffer)
                if len(self.buffer) >= FRAME.size + length:
                    payload = self.buffer[FRAME.size:FRAME.size + length]
                    self.buffer = self.buffer[FRAME.size + length:]
                    return kind, request, payload
            try:
                data = self.connection.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Gone
            self.buffer += data

    def keep(self, kind, request, payload):
        """What comes without being asked for; whether it was that."""
        if kind == EVENT:
            self.events.append(read_event(payload))
        elif kind == STATISTICS | ANSWER and request == 0:
            self.last_statistics = read_statistics(payload)
        else:
            return False
        return True

    def answer(self, number):
        while True:
            kind, request, payload = self.frame()
            if self.keep(kind, request, payload):
                continue
            assert request in (number, 0), f"an answer to {request} in place of {number}"
            if kind == ERROR:
                raise Refused(read_error(payload))
            return payload

    def ask(self, kind, payload=b"", handles=()):
        return self.answer(self.send(kind, payload, handles))

    def event(self, kind=None):
        """The next event; with a kind, the next of that kind: those before it are passed over."""
        while True:
            while self.events:
                event = self.events.popleft()
                if kind in (None, event.kind):
                    return event
            assert self.keep(*self.frame()), "an answer that nobody waits for"

    def state(self):
        return read_state(self.ask(STATE))

    def statistics(self):
        return read_statistics(self.ask(STATISTICS))

    def start(self):
        self.ask(START)

    def signal(self, number, process=0):
        self.ask(SIGNAL, struct.pack("<IIiI", 16, process, number, 0))

    def stop(self, number=0, grace_ms=10_000):
        self.ask(STOP, struct.pack("<IiII", 16, number, grace_ms, 0))

    def pause(self):
        self.ask(PAUSE)

    def resume(self):
        self.ask(RESUME)

    def process_start(self, json, ends=(NONE, NONE, NONE), tokens=(0, 0, 0), handles=(), flags=0, columns=0, rows=0):
        raw = json if isinstance(json, bytes) else json.encode()
        payload = struct.pack("<IIHHI3II3Q", 56, flags, columns, rows, len(raw), *ends, 0, *tokens) + raw
        return struct.unpack("<II", self.ask(PROCESS_START, payload, handles))[1]

    def resize(self, process, columns, rows):
        self.ask(RESIZE, struct.pack("<IIHHI", 16, process, columns, rows, 0))

    def attach(self, process, stream, handle=None):
        end = NONE if handle is None else HANDLE
        self.ask(ATTACH, struct.pack("<IIiIQ", 24, process, stream, end, 0), [] if handle is None else [handle])


def connect(path):
    """Also where the path is longer than an address of a socket can be."""
    path = os.fspath(path)
    folder = os.open(os.path.dirname(path), os.O_PATH)
    try:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)
    return connection


def stream(path):
    """A connection that is a stream of a process that will be started, and its token."""
    token = secrets.randbits(63) | 1
    client = Client(connect(path), greet=False)
    client.ask(STREAM, struct.pack("<IIQ", 16, 0, token))
    assert client.buffer == b""
    return client.connection, token
