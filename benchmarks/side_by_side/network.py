"""What a program in the guest gets through its network interface: iperf3, both ways, beside QEMU with a tap."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

from . import picture, qemu
from .host import ROOT, Failed, module_at, rotated, rounds
from .io import Machine, Work
from .report import Report, ratio

HELP = "iperf3 in the guest through a network namespace, both ways, beside QEMU microvm with a tap"
LEAST_OF_QEMU = 1.2
MEMORY_MIB = 512
BYTES = 128 << 20
PROGRAMS = ("iperf3", "ip")
SERVER = "10.88.0.1"

WORK = (
    Work("sent", "MiB/s", b"send", BYTES / (1 << 20)),
    Work("received", "MiB/s", b"receive", BYTES / (1 << 20)),
)

SCRIPT = f"""
echo send begins; iperf3 -c {SERVER} -n {BYTES} >/dev/null || exit; echo send ends
echo receive begins; iperf3 -c {SERVER} -n {BYTES} -R >/dev/null || exit; echo receive ends
"""
# QEMU looks into no namespace: its guest is told.
SCRIPT_OF_QEMU = f"ip address add 10.88.0.3/24 dev eth0 && ip link set eth0 up || exit\n{SCRIPT}"

NOTES = [
    f"Debian's iperf3 in the guest sends {BYTES >> 20} MiB to a server in a network namespace of the host, by one TCP connection, then it is "
    "sent as many. The host's clock measures, between lines that the program writes before and after: with the set-up of both connections. "
    "'cpu' is what all threads of the machine's process used meanwhile; what the kernel and the server used is in neither.",
    "Both are ports of one bridge: runhv through the veth of the container's own namespace, as CNI and docker make it, and a redirection to "
    "its tap; QEMU through its tap (vnet_hdr, every offload that it has), which is the shorter way.",
    qemu.DIFFERENCES,
]


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"ip {' '.join(words)}: {done.stderr.strip()}")


class World:
    """A namespace with a bridge and the server, and one on it for the container."""

    def __init__(self, stack):
        self.host, self.container = (f"runhv-bench-{os.getpid()}-{name}" for name in ("host", "container"))
        for name in (self.host, self.container):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
        inside = ("-n", self.host)
        ip(*inside, "link", "add", "br0", "type", "bridge")
        ip(*inside, "address", "add", f"{SERVER}/24", "dev", "br0")
        ip(*inside, "link", "add", "port0", "type", "veth", "peer", "name", "eth0", "netns", self.container)
        ip(*inside, "tuntap", "add", "dev", "tap0", "mode", "tap", "vnet_hdr")
        for port in ("port0", "tap0"):
            ip(*inside, "link", "set", port, "master", "br0", "up")
        ip(*inside, "link", "set", "br0", "up")
        ip("-n", self.container, "address", "add", "10.88.0.2/24", "dev", "eth0")
        ip("-n", self.container, "link", "set", "eth0", "up")
        server = subprocess.Popen(
            [*self.enter(), "iperf3", "-s", "--forceflush"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        stack.callback(stop, server)
        for line in server.stdout:
            if b"Server listening" in line:
                break
        else:
            raise Failed("iperf3 -s ends before it listens")
        # What else it says nobody reads; a pipe that is full would hold it up.
        server.stdout.close()

    def enter(self):
        return ["ip", "netns", "exec", self.host]


def stop(process):
    process.kill()
    process.wait()


def make_image(host):
    """busybox, and Debian's iperf3 with its libraries."""
    make_images = module_at(ROOT / "tests/fixtures/make_images.py")
    program = pathlib.Path(shutil.which("iperf3"))
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in told.split() if word.startswith("/")]
    layer = make_images.Layer()
    layer.add("bin/iperf3", mode=0o755, data=program.read_bytes())
    for folder in sorted({str(parent)[1:] for each in libraries for parent in pathlib.Path(each).parents if parent.name}):
        layer.directory(folder)
    for each in libraries:
        layer.add(each[1:], mode=0o755, data=pathlib.Path(each).read_bytes())
    folder = host.work / "network-image"
    layout = make_images.Layout(folder)
    layout.layer(make_images.busybox_layer(), None)
    layout.layer(layer.done(), None)
    layout.finish({"Env": ["PATH=/bin"], "Cmd": ["sh"], "WorkingDir": "/"})
    return f"oci:{folder}:latest"


def change(bundle, edit):
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def run(host, arguments):
    if os.geteuid() != 0:
        raise Failed("network namespaces need root")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Failed(f"there is no {program}: install the package iperf3 (ip: iproute2)")
    image = make_image(host)
    ours_bundle = host.bundle("network", image, "sh", "-c", SCRIPT, memory_mib=MEMORY_MIB)
    other_bundle = host.bundle("network-qemu", image, "sh", "-c", SCRIPT_OF_QEMU, memory_mib=MEMORY_MIB)

    def furnish(config):
        # One of its own would have a loopback alone.
        config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] != "network"]
        for kind in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][kind].append("CAP_NET_ADMIN")

    change(other_bundle, furnish)
    with contextlib.ExitStack() as stack:
        world = World(stack)

        def join(config):
            config["linux"]["namespaces"] = [
                {"type": "network", "path": f"/run/netns/{world.container}"} if each["type"] == "network" else each
                for each in config["linux"]["namespaces"]]

        change(ours_bundle, join)
        ours = Machine("runhv", lambda: host.start(
            [host.runhv, "run", "--engine", "soft", "--bundle", ours_bundle, "bench-network"]), WORK)
        theirs = qemu.Qemu(host, other_bundle, [
            *qemu.root_disk(other_bundle), "-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no,vnet_hdr=on",
            "-device", "virtio-net-device,netdev=net"], MEMORY_MIB)
        other = Machine("QEMU", lambda: host.start([*world.enter(), *theirs.argv]), WORK)
        for i in rounds(arguments.rounds or (3 if arguments.quick else 15), 40 if arguments.quick else None):
            for machine in rotated([ours, other], i):
                machine.run()

    pairs = list(zip(ours.rates, other.rates))
    report = Report(
        "network", host.conditions(engine="soft", memory=f"{MEMORY_MIB} MiB", qemu=qemu.version()),
        [each for pair in [*pairs, *zip(ours.cpus, other.cpus)] for each in pair],
        [ratio(f"runhv / QEMU, {work.title}", mine, theirs_rate, LEAST_OF_QEMU, at_most=False)
         for work, (mine, theirs_rate) in zip(WORK, pairs)],
        NOTES)
    pictures = [picture.distributions(list(pair)) for pair in pairs]
    return report, picture.page("Network: what a program in the guest gets", pictures, report.conditions)
