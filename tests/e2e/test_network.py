"""A container in a network namespace that somebody else has furnished, as CNI, podman and docker do (docs/network.md)."""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import control
from shim import wait_until

MIB = 1 << 20
PATTERN = b"0123456789abcde\n"
NUMBERS = itertools.count(1)


def ip(*arguments, namespace=None, check=True):
    return subprocess.run(["ip", *(["-n", namespace] if namespace else []), *arguments], check=check, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def why_not():
    if os.geteuid() != 0:
        return "needs root: it makes network namespaces"
    if shutil.which("ip") is None:
        return "needs ip(8)"
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    name = f"runhv-try-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", namespace=name)
    except subprocess.CalledProcessError as failure:
        return f"needs namespaces and veth: {failure.stderr.strip()}"
    finally:
        ip("netns", "delete", name, check=False)
    return None


WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


class World:
    """A namespace with a bridge, which stands for the host, and namespaces of containers on it."""

    def __init__(self, stack):
        self.stack = stack
        self.name = self.namespace("host")
        # With an address of its own: a bridge has else that of a port, and another one when ports come and go.
        ip("link", "add", "br0", "address", "02:00:00:00:00:01", "type", "bridge", namespace=self.name)
        ip("address", "add", "10.88.0.1/24", "dev", "br0", namespace=self.name)
        ip("address", "add", "fd88::1/64", "dev", "br0", "nodad", namespace=self.name)
        ip("link", "set", "br0", "up", namespace=self.name)
        ip("link", "set", "lo", "up", namespace=self.name)

    def namespace(self, word):
        name = f"runhv-{word}-{os.getpid()}-{next(NUMBERS)}"
        ip("netns", "add", name)
        self.stack.callback(ip, "netns", "delete", name, check=False)
        return name

    def plug(self, namespace, number, interface="eth0", mtu=1500):
        """An interface on the bridge with the addresses of host `number`."""
        outside = f"port{number}"
        ip("link", "add", outside, "type", "veth", "peer", "name", interface, "netns", namespace, namespace=self.name)
        ip("link", "set", outside, "mtu", str(mtu), "master", "br0", "up", namespace=self.name)
        ip("link", "set", interface, "mtu", str(mtu), "up", namespace=namespace)
        ip("address", "add", f"10.88.0.{number}/24", "broadcast", "+", "dev", interface, namespace=namespace)
        ip("address", "add", f"fd88::{number:x}/64", "dev", interface, "nodad", namespace=namespace)

    def container(self, number, mtu=1500):
        """A namespace as docker makes it: eth0 and a default route."""
        name = self.namespace("container")
        ip("link", "set", "lo", "up", namespace=name)
        self.plug(name, number, mtu=mtu)
        ip("route", "add", "default", "via", "10.88.0.1", namespace=name)
        ip("-6", "route", "add", "default", "via", "fd88::1", namespace=name)
        return name

    def popen(self, *arguments, **options):
        return subprocess.Popen(["ip", "netns", "exec", self.name, *arguments], **options)

    def fetching(self, url):
        return self.popen(sys.executable, "-c", FETCH, url, stdout=subprocess.PIPE, text=True)

    def fetch(self, url):
        """The digest of what is there."""
        with self.fetching(url) as process:
            return process.communicate(timeout=300)[0].strip()

    def python(self, program, *arguments):
        """A program on the host; it says "ready" when it listens."""
        process = self.popen(sys.executable, "-uc", program, *map(str, arguments), stdout=subprocess.PIPE, text=True)
        self.stack.callback(process.kill)
        assert process.stdout.readline() == "ready\n"
        return process


@pytest.fixture
def world():
    with contextlib.ExitStack() as stack:
        yield World(stack)


@pytest.fixture(scope="module")
def template(module_runhv, tmp_path_factory):
    return module_runhv.prepare(tmp_path_factory.mktemp("network") / "bundle", "true", identifier="network")


@pytest.fixture
def bundle(template, tmp_path):
    """Makes bundles with a network namespace and a program."""

    def make(path, *arguments, change=lambda config: None):
        config = json.loads((template / "config.json").read_text())
        config["process"]["args"] = list(arguments)
        config["annotations"]["dev.runhv.stdin"] = "true"
        config["process"]["capabilities"] = {
            name: [*words, "CAP_NET_ADMIN"] for name, words in config["process"]["capabilities"].items()}
        for namespace in config["linux"]["namespaces"]:
            if namespace["type"] == "network" and path is not None:
                namespace["path"] = str(path)
        change(config)
        folder = tmp_path / f"bundle-{next(NUMBERS)}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make


@pytest.fixture
def run(runhv, bundle):
    def start(namespace, script, name="web", change=lambda config: None, **options):
        folder = bundle(f"/run/netns/{namespace}", "sh", "-c", script, change=change)
        return runhv("run", "--bundle", str(folder), name, **options)

    return start


@pytest.fixture
def popen(runhv, bundle):
    """A container in the background; killed at the end."""
    with contextlib.ExitStack() as stack:
        def start(namespace, script, name="web", change=lambda config: None, **options):
            folder = bundle(f"/run/netns/{namespace}", "sh", "-c", script, change=change)
            process = runhv.popen("run", "--bundle", str(folder), name, stdout=subprocess.PIPE, **options)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


def words(text):
    return " ".join(text.split())


def routes(text):
    """Without what the kernel adds to tell more."""
    return sorted(words(line.replace("proto boot", "").replace("pref medium", "").replace("linkdown", ""))
                  for line in text.splitlines())


def test_the_guest_has_the_interfaces_of_the_namespace(world, run):
    name = world.container(2, mtu=1400)
    ip("address", "add", "172.31.0.1", "peer", "172.31.0.9/32", "dev", "eth0", namespace=name)
    ip("route", "add", "192.0.2.1", "dev", "eth0", "scope", "link", namespace=name)
    ip("route", "add", "198.51.100.0/24", "via", "192.0.2.1", "metric", "77", "mtu", "1300", "src", "10.88.0.2", "onlink",
       "dev", "eth0", namespace=name)
    ip("neighbour", "add", "10.88.0.77", "lladdr", "02:00:00:00:00:77", "dev", "eth0", namespace=name)
    link = json.loads(ip("-j", "link", "show", "eth0", namespace=name).stdout)[0]

    result = run(name, "ip link show eth0; echo; ip -4 address show eth0; ip -6 address show eth0; echo;"
                       "ip route; echo; ip -6 route | grep -v '^ff00'; echo; ip neigh show 10.88.0.77")

    assert result.returncode == 0, result.stderr
    shown, addresses, routes4, routes6, neighbours = result.stdout.decode().split("\n\n")
    assert f"link/ether {link['address']}" in shown and "mtu 1400" in shown and ",UP" in shown
    assert "inet 10.88.0.2/24 brd 10.88.0.255 scope global eth0" in words(addresses)
    assert "inet 172.31.0.1 peer 172.31.0.9/32" in words(addresses)
    assert "inet6 fd88::2/64 scope global" in words(addresses)
    local = [line.split()[1] for line in ip("-6", "address", "show", "eth0", "scope", "link", namespace=name).stdout.splitlines()
             if "inet6" in line]
    assert len(local) == 1 and local[0] in addresses
    assert addresses.count("inet6") == 2
    for line in ("default via 10.88.0.1 dev eth0", "192.0.2.1 dev eth0 scope link",
                 "198.51.100.0/24 via 192.0.2.1 dev eth0 metric 77 src 10.88.0.2 onlink"):
        destination = line.split()[0]
        found = [route for route in routes(routes4) if route.startswith(destination + " ")]
        assert len(found) == 1 and all(word in found[0] for word in line.replace("onlink", "").split()), (line, routes4)
    assert "default via fd88::1 dev eth0" in words(routes6)
    assert "02:00:00:00:00:77" in neighbours and "PERMANENT" in neighbours


def test_interfaces_keep_their_names_whatever_their_order(world, run):
    name = world.namespace("container")
    world.plug(name, 3, interface="eth1")
    world.plug(name, 4, interface="eth0")
    world.plug(name, 5, interface="net")
    result = run(name, "for i in eth0 eth1 net; do ip -4 -o address show $i; done")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.decode().splitlines()]
    assert [(line[1], line[3]) for line in lines] == [
        ("eth0", "10.88.0.4/24"), ("eth1", "10.88.0.3/24"), ("net", "10.88.0.5/24")]


def test_guest_and_host_reach_each_other(world, popen):
    name = world.container(2)
    process = popen(name, "ping -c 2 -W 10 10.88.0.1 && ping6 -c 2 -W 10 fd88::1 && echo pinged && cat", stdin=subprocess.PIPE)
    lines = []
    while "pinged" not in lines:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line.decode().strip())
    for address in ("10.88.0.2", "fd88::2"):
        world.popen(sys.executable, "-c", CONNECT_TO_CLOSED, address).wait(30)
    process.stdin.close()
    assert process.wait(60) == 0


# A closed port answers at once: the guest's kernel, since nothing of the container listens.
CONNECT_TO_CLOSED = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=20)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit("somebody listens")
"""

FETCH = """
import hashlib, sys, urllib.request
print(hashlib.file_digest(urllib.request.urlopen(sys.argv[1], timeout=100), "sha256").hexdigest())
"""

# Gives one connection so many bytes.
GIVE = """
import socket, sys
listener = socket.create_server((sys.argv[1], 7000), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready")
connection, _ = listener.accept()
connection.sendall(b"0123456789abcde\\n" * (int(sys.argv[2]) // 16))
"""


def digest(size):
    return hashlib.sha256(PATTERN * (size // len(PATTERN))).hexdigest()


# The guest serves files at once and in large pieces.
SERVE = "yes 0123456789abcde | head -c {size} > /tmp/file; httpd -p 80 -h /tmp; echo serving; cat"


def larger(config):
    config["annotations"]["dev.runhv.memory"] = str(256 * MIB)


def served(process):
    assert process.stdout.readline() == b"serving\n"
    return process


def over(process):
    process.stdin.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("address, size", [("10.88.0.2", 64 * MIB), ("[fd88::2]", 4 * MIB)])
def test_many_bytes_from_the_guest_arrive_whole(world, popen, address, size):
    process = served(popen(world.container(2), SERVE.format(size=size), stdin=subprocess.PIPE, change=larger))
    assert world.fetch(f"http://{address}/file") == digest(size)
    over(process)


@pytest.mark.parametrize("address, size", [("10.88.0.1", 64 * MIB), ("fd88::1", 4 * MIB)])
def test_many_bytes_to_the_guest_arrive_whole(world, run, address, size):
    world.python(GIVE, address, size)
    result = run(world.container(2), f"nc {address} 7000 </dev/null | sha256sum", timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split()[0] == digest(size)


def test_large_segments_cost_few_exits(world, run, bundle, runhv):
    """Frames of up to 64 KiB: with those of 1500 bytes it would be 46,000 interrupts, and some exits for each."""
    size = 64 * MIB
    world.python(GIVE, "10.88.0.1", size)
    folder = bundle(f"/run/netns/{world.container(2)}", "sh", "-c", "nc 10.88.0.1 7000 </dev/null | wc -c")
    result = runhv("run", "--timings=json", "--bundle", str(folder), "web", timeout=300)
    assert result.stdout.decode().strip() == str(size)
    exits = json.loads(result.stderr.splitlines()[-1])["exits_total"]["all"]
    assert exits < size // 1500, exits


def test_a_port_that_is_published_by_the_host_reaches_the_container(world, popen):
    """As docker and the portmap plugin of CNI do it: another address of the host, translated."""
    table = ("-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", "192.0.2.80", "--dport", "8080", "-j", "DNAT",
             "--to-destination", "10.88.0.2:80")
    translated = world.popen("iptables", *table, stderr=subprocess.PIPE) if shutil.which("iptables") else None
    if translated is None or translated.wait() != 0:
        pytest.skip(f"iptables cannot translate here: {translated and translated.stderr.read()}")
    ip("address", "add", "192.0.2.80/32", "dev", "lo", namespace=world.name)
    process = served(popen(world.container(2), "echo hello > /tmp/file; httpd -p 80 -h /tmp; echo serving; cat",
                           stdin=subprocess.PIPE))
    assert world.fetch("http://192.0.2.80:8080/file") == hashlib.sha256(b"hello\n").hexdigest()
    over(process)


def test_two_containers_on_a_bridge_talk(world, popen, run):
    process = served(popen(world.container(2), "echo hello > /tmp/file; httpd -p 80 -h /tmp; echo serving; cat",
                           name="server", stdin=subprocess.PIPE))
    result = run(world.container(3), "wget -q -O - http://10.88.0.2/file && wget -q -O - 'http://[fd88::2]/file'", name="client")
    assert (result.returncode, result.stdout) == (0, b"hello\nhello\n"), result.stderr
    over(process)


def taps(namespace):
    return [link["ifname"] for link in json.loads(ip("-j", "link", namespace=namespace).stdout)
            if link["ifname"].startswith("runhv")]


def filters(namespace):
    return subprocess.run(["ip", "netns", "exec", namespace, "tc", "qdisc", "show", "dev", "eth0", "ingress"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def test_statistics_count_what_the_guest_sends_and_hears(world, runhv, bundle):
    folder = bundle(f"/run/netns/{world.container(2)}", "sh", "-c", "exec >/dev/null 2>&1; ping -c 3 10.88.0.1; exec sleep 1000")
    assert runhv("run", "--bundle", str(folder), "--detach", "counted").returncode == 0

    def counted():
        (interface,) = json.loads(runhv("events", "--stats", "counted").stdout)["data"]["network_interfaces"]
        assert interface["Name"] == "eth0"
        return min(interface["RxPackets"], interface["TxPackets"]) >= 3 and min(interface["RxBytes"], interface["TxBytes"]) >= 3 * 98
    wait_until(counted)
    assert runhv("delete", "--force", "counted").returncode == 0


def test_nothing_is_left_in_the_namespace(world, popen):
    name = world.container(2)
    process = served(popen(name, "echo serving; cat", stdin=subprocess.PIPE))
    assert len(taps(name)) == 1 and filters(name)
    over(process)
    assert taps(name) == [] and filters(name) == ""
    # The host's kernel answers again.
    assert world.popen(sys.executable, "-c", CONNECT_TO_CLOSED, "10.88.0.2").wait(30) == 0


def test_after_a_kill_no_tap_is_left_and_the_next_container_has_the_network(world, popen, run, runhv):
    name = world.container(2)
    process = served(popen(name, "echo serving; cat", name="first", stdin=subprocess.PIPE))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert taps(name) == []
    runhv("delete", "--force", "first")
    for number in range(2):
        assert run(name, "ping -c 1 -W 10 10.88.0.1", name=f"next{number}").returncode == 0
    assert taps(name) == [] and filters(name) == ""


def test_two_machines_cannot_share_a_namespace(world, popen, run):
    name = world.container(2)
    process = served(popen(name, "echo serving; cat", name="first", stdin=subprocess.PIPE))
    result = run(name, "true", name="second")
    assert result.returncode == 125
    assert b"another micro-VM has its interface eth0; micro-VMs cannot share a network namespace" in result.stderr
    # The first does not suffer from it.
    assert world.popen(sys.executable, "-c", CONNECT_TO_CLOSED, "10.88.0.2").wait(30) == 0
    over(process)


def without_a_namespace(config):
    config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] != "network"]


def test_a_bundle_for_a_vm_shares_the_guests_network(runhv, bundle):
    """That of a block image: the host's is not meant."""
    result = runhv("run", "--bundle", str(bundle(None, "ip", "-o", "address", change=without_a_namespace)), "web")
    assert result.returncode == 0, result.stderr
    assert b"127.0.0.1/8" in result.stdout and {line.split()[1] for line in result.stdout.splitlines()} == {b"lo"}


def test_the_hosts_own_network_is_refused_by_name(runhv, bundle):
    def without(config):
        without_a_namespace(config)
        del config["vm"]["image"]
        config["root"]["path"] = "/"

    result = runhv("run", "--bundle", str(bundle(None, "true", change=without)), "web")
    assert result.returncode == 125
    assert b"it asks for the host's network, which a container in a VM cannot have" in result.stderr


def test_the_namespace_of_the_first_process_is_refused(runhv, bundle):
    try:
        os.stat("/proc/1/ns/net")
    except PermissionError as failure:
        pytest.skip(f"the namespace of process 1 cannot be looked at here: {failure}")
    result = runhv("run", "--bundle", str(bundle("/proc/1/ns/net", "true")), "web")
    assert result.returncode == 125
    assert b"it is the host's own, which a micro-VM cannot share" in result.stderr


def test_a_namespace_that_is_not_there_or_is_none_is_an_error(runhv, bundle, tmp_path):
    result = runhv("run", "--bundle", str(bundle(tmp_path / "missing", "true")), "web")
    assert result.returncode == 125 and b"open the network namespace" in result.stderr
    (tmp_path / "file").touch()
    result = runhv("run", "--bundle", str(bundle(tmp_path / "file", "true")), "web")
    assert result.returncode == 125 and b"enter the network namespace" in result.stderr


def test_what_no_guest_can_be_given_is_an_error(world, run):
    name = world.container(2)
    ip("route", "add", "198.51.100.0/24", "nexthop", "via", "10.88.0.8", "nexthop", "via", "10.88.0.9", namespace=name)
    result = run(name, "true")
    assert result.returncode == 125
    assert b"no micro-VM can be given a route with several next hops" in result.stderr
    assert taps(name) == [] and filters(name) == ""


def test_more_interfaces_than_a_machine_has_are_an_error(world, run):
    name = world.container(2)
    for number in range(3, 11):
        world.plug(name, number, interface=f"eth{number}")
    result = run(name, "true")
    assert result.returncode == 125
    assert b"give the machine 9 network interfaces: at most 8 are possible" in result.stderr
    assert taps(name) == [] and filters(name) == ""


def test_a_namespace_of_its_own_has_a_loopback_only(runhv, bundle):
    script = "ip -o link | wc -l; ip -o address; ping -c 1 127.0.0.1 >/dev/null && echo alive; ip route"
    result = runhv("run", "--bundle", str(bundle(None, "sh", "-c", script)), "web")
    lines = result.stdout.decode().splitlines()
    assert lines[0] == "1" and lines[-1] == "alive" and all(" lo " in line for line in lines[1:-1]), result.stdout


class Shell:
    """A container that does what it is told, line by line."""

    def __init__(self, popen, name, **options):
        self.process = popen(name, 'while read -r line; do eval "$line"; echo over; done', stdin=subprocess.PIPE, **options)

    def does(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        said = []
        while (word := self.process.stdout.readline()) != b"over\n":
            assert word, said
            said.append(word.decode())
        return "".join(said)

    def until(self, line, is_so):
        """What the namespace has reaches the guest by events: the guest is asked until it has."""
        for _ in range(2000):
            said = self.does(line)
            if is_so(said):
                return said
        raise AssertionError(f"{line}: {said}")


def test_interfaces_come_and_go_with_those_of_the_namespace(world, popen):
    """As docker network connect and disconnect; more often than a machine has slots, the first one too."""
    name = world.container(2)
    shell = Shell(popen, name)
    for number in range(3, 9):
        world.plug(name, number, interface="more")
        shell.until("ip -4 -o address show more 2>&1", lambda said: f"10.88.0.{number}/24" in said)
        shell.until("ip -6 -o address show more", lambda said: f"fd88::{number:x}/64" in said)
        # The wire that has just come may lose the first.
        shell.until(f"ping -c 1 -W 1 -I 10.88.0.{number} 10.88.0.1", lambda said: "1 packets received" in said)
        ip("link", "delete", f"port{number}", namespace=world.name)
        shell.until("ls /sys/class/net", lambda said: said.split() == ["eth0", "lo"])
    ip("link", "delete", "port2", namespace=world.name)
    shell.until("ls /sys/class/net", lambda said: said.split() == ["lo"])
    world.plug(name, 9)
    shell.until("ip -4 -o address show eth0 2>&1", lambda said: "10.88.0.9/24" in said)
    shell.until("ping -c 1 -W 1 10.88.0.1", lambda said: "1 packets received" in said)
    shell.process.stdin.close()
    assert shell.process.wait(60) == 0
    assert taps(name) == [] and filters(name) == ""


def test_addresses_routes_and_neighbours_follow_the_namespace(world, popen):
    name = world.container(2)
    shell = Shell(popen, name)
    shell.until("ip route", lambda said: "default via 10.88.0.1" in said)
    ip("address", "add", "10.88.0.3/24", "dev", "eth0", namespace=name)  # goes with the first of its kind
    ip("address", "add", "10.77.0.2/24", "dev", "eth0", namespace=name)
    ip("address", "delete", "10.88.0.2/24", "dev", "eth0", namespace=name)
    ip("address", "add", "10.99.0.2/24", "dev", "eth0", namespace=name)
    ip("route", "replace", "default", "via", "10.99.0.1", namespace=name)
    ip("route", "add", "198.51.100.0/24", "via", "10.99.0.9", "metric", "5", namespace=name)
    ip("neighbour", "add", "10.99.0.77", "lladdr", "02:00:00:00:00:77", "dev", "eth0", namespace=name)
    shell.until("ip -4 -o address show eth0",
                lambda said: sorted(line.split()[3] for line in said.splitlines()) == ["10.77.0.2/24", "10.99.0.2/24"])
    said = shell.until("ip route", lambda said: "default via 10.99.0.1" in said and "198.51.100.0/24" in said)
    assert "via 10.88.0.1" not in said and "metric 5" in said
    shell.until("ip neigh show 10.99.0.77", lambda said: "02:00:00:00:00:77" in said)
    ip("link", "set", "eth0", "mtu", "1300", namespace=name)
    shell.until("ip link show eth0 2>&1", lambda said: "mtu 1300" in said)
    shell.until("ip -4 -o address show eth0", lambda said: "10.99.0.2/24" in said)
    shell.until("ip route", lambda said: "default via 10.99.0.1" in said)


def test_what_changes_during_a_pause_is_there_after_it(world, popen, runhv):
    name = world.container(2)
    shell = Shell(popen, name)
    shell.does("true")
    with control.Client.connect(runhv.run_directory / "containers/web/control") as client:
        client.pause()
        world.plug(name, 3, interface="more")
        client.resume()
    shell.until("ip -4 -o address show more 2>&1", lambda said: "10.88.0.3/24" in said)


def test_an_interface_without_room_is_a_warning(world, popen):
    name = world.container(2)
    shell = Shell(popen, name, stderr=subprocess.PIPE)
    shell.does("true")
    for number in range(3, 7):
        world.plug(name, number, interface=f"more{number}")
    shell.until("ls /sys/class/net", lambda said: len(said.split()) == 5)
    assert b"its interface more6 has no room: the machine began with 4 slots" in shell.process.stderr.readline()
    shell.process.stderr.close()


# On the loopback of a namespace as docker's, at a port of its own to which the firewall leads port 53. Its answers tell
# by which way the question has come.
RESOLVER = """
import socket, struct, subprocess, threading
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.11", 0))
listener = socket.create_server(("127.0.0.11", 0))
for word, sock in ("udp", datagrams), ("tcp", listener):
    subprocess.run(["iptables", "-t", "nat", "-A", "OUTPUT", "-d", "127.0.0.11", "-p", word, "--dport", "53", "-j", "DNAT",
                    "--to-destination", "127.0.0.11:%d" % sock.getsockname()[1]], check=True)
def answer(query, address):
    record = struct.pack("!HHHIH", 0xc00c, 1, 1, 60, 4) + socket.inet_aton(address)
    is_four = query[-4:] == bytes([0, 1, 0, 1])
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, is_four, 0, 0) + query[12:] + record * is_four
def serve():
    while True:
        connection = listener.accept()[0]
        size = struct.unpack("!H", connection.recv(2))[0]
        said = answer(connection.recv(size), "10.9.8.6")
        connection.sendall(struct.pack("!H", len(said)) + said)
        connection.close()
threading.Thread(target=serve, daemon=True).start()
print("ready")
while True:
    query, whom = datagrams.recvfrom(4096)
    datagrams.sendto(answer(query, "10.9.8.7"), whom)
"""


@pytest.mark.parametrize("with_users", [False, True])
def test_names_are_found_by_a_resolver_in_the_namespace(world, run, with_users):
    """As docker's, on user-defined networks. Port 53 stays the container's, on every address."""
    name = world.container(2)
    process = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-uc", RESOLVER], stdout=subprocess.PIPE, text=True)
    world.stack.callback(process.kill)
    assert process.stdout.readline() == "ready\n"

    def change(config):
        if with_users:
            config["linux"]["namespaces"].append({"type": "user"})
            config["linux"].update({f"{kind}Mappings": [{"containerID": 0, "hostID": 0, "size": 65536}] for kind in ("uid", "gid")})

    query = r"\0\032\001\002\001\0\0\001\0\0\0\0\0\0\003web\004here\0\0\001\0\001"
    result = run(name, f"""
        for i in 1 2 3; do nslookup -type=a web.here 127.0.0.11 | grep -c 10.9.8.7; done
        mkfifo /tmp/query
        for i in 1 2 3; do
            nc 127.0.0.11 53 < /tmp/query > /tmp/answer & exec 3> /tmp/query; printf '{query}' >&3; wait; exec 3>&-
            hexdump -e '1/1 "%d "' /tmp/answer | grep -o '10 9 8 6'
        done
        nc -l -p 53 > /tmp/heard & until echo own | nc 127.0.0.1 53; do :; done; wait; cat /tmp/heard""", change=change)
    assert result.stdout.decode().split("\n") == ["1"] * 3 + ["10 9 8 6"] * 3 + ["own", ""], result.stderr


def test_without_a_resolver_in_the_namespace_nobody_answers_at_its_address(world, run):
    result = run(world.container(2), "nc 127.0.0.11 53; echo $?; netstat -lntu | grep -c 127.0.0.11")
    assert result.stdout.decode().split() == ["1", "0"], result.stderr


def test_a_network_that_comes_after_create_is_taken_at_start(world, runhv, bundle):
    """As dockerd does it, which furnishes the namespace of the container's process."""
    name = world.namespace("container")
    folder = bundle(None, "sh", "-c", "ip -4 -o address show eth0; ping -c 1 -W 10 10.88.0.1")
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        ["ip", "netns", "exec", name, str(runhv.dist / "bin/runhv-vmm"), "--id", "web", "--bundle", str(folder), "--engine", "soft",
         "--created", "--own-network", "--control-fd", str(theirs.fileno())],
        pass_fds=[theirs.fileno()], env=runhv.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    world.stack.callback(process.kill)
    theirs.close()
    with control.Client(ours) as client:
        assert client.event().kind == "created"
        assert client.state().status == "created"
        ip("link", "set", "lo", "up", namespace=name)
        world.plug(name, 2)
        client.start()
        assert client.event("ended").status.exit_status == 0
    output = process.communicate(timeout=60)[0].decode()
    assert "10.88.0.2/24" in output and "1 packets received" in output


def test_a_namespace_of_its_own_that_nobody_furnishes_has_a_loopback_only(world, runhv, bundle):
    folder = bundle(None, "sh", "-c", "ip -o link | wc -l")
    process = subprocess.run(
        ["ip", "netns", "exec", world.namespace("container"), str(runhv.dist / "bin/runhv-vmm"), "--id", "web", "--bundle",
         str(folder), "--engine", "soft", "--own-network"],
        env=runhv.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=120)
    assert process.stdout == b"1\n"


def test_a_pause_loses_no_connection(world, popen, runhv):
    process = served(popen(world.container(2), SERVE.format(size=16 * MIB), stdin=subprocess.PIPE, change=larger))
    fetching = world.fetching("http://10.88.0.2/file")
    with control.Client.connect(runhv.run_directory / "containers/web/control") as client:
        for _ in range(3):
            client.pause()
            client.resume()
    assert fetching.communicate(timeout=120)[0].strip() == digest(16 * MIB)
    over(process)
