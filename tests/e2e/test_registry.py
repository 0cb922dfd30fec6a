"""Images by name, from Debian's docker-registry on the loopback."""

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from debian_registry import Registry, free_port, layered

for program in ("docker-registry", "skopeo"):
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here: tools/dev setup installs it", allow_module_level=True)

GET_BLOB = re.compile(r'"GET (/v2/\S+/blobs/\S+) ')


@pytest.fixture
def registry(tmp_path):
    made = Registry(tmp_path, free_port())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def fresh(runhv, tmp_path):
    """With a store that holds nothing."""
    return dataclasses.replace(runhv, store=tmp_path / "store")


def test_an_image_runs_by_its_name_and_then_without_its_registry(fresh, registry):
    registry.push(fresh.image("busybox"), "busybox:latest")
    first = fresh("run", registry.name("busybox"), "echo", "hi")
    assert (first.returncode, first.stdout) == (0, b"hi\n"), first.stderr
    assert registry.requests()
    registry.stop()
    again = fresh("run", registry.name("busybox"), "echo", "again")
    assert (again.returncode, again.stdout) == (0, b"again\n"), again.stderr


@pytest.mark.parametrize("rest", ["nothing:latest", "busybox:nothing"])
def test_what_the_registry_does_not_have_is_one_line(fresh, registry, rest):
    registry.push(fresh.image("busybox"), "busybox:latest")
    result = fresh("run", registry.name(rest), "true")
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, len(lines)) == (125, 1), result.stderr
    assert registry.name(rest) in lines[0] and "does not have it" in lines[0]


def test_a_registry_that_is_not_there_is_one_line(fresh, registry):
    registry.stop()
    result = fresh("run", registry.name("busybox"), "true")
    lines = result.stderr.decode().splitlines()
    assert (result.returncode, len(lines)) == (125, 1), result.stderr
    assert registry.name("busybox") in lines[0] and f"localhost:{registry.port} cannot be reached" in lines[0]


def test_two_runs_at_once_fetch_each_blob_once(fresh, registry):
    registry.push(fresh.image("busybox"), "busybox:latest")
    before = len(registry.requests())
    runs = [fresh.popen("run", registry.name("busybox"), "echo", "hi", stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for run in runs:
        out, error = run.communicate(timeout=120)
        assert (run.returncode, out) == (0, b"hi\n"), error
    blobs = GET_BLOB.findall("\n".join(registry.requests()[before:]))
    assert blobs and len(blobs) == len(set(blobs)), blobs


PASSWORD = "secret word"
HTPASSWD = "me:$2b$04$OfgCXCvcRb6F2lSGR6X7XeLb8TpQOF/8sWR2ZNKvjzuaoqZBA/KDm\n"  # of that, by bcrypt


@pytest.fixture
def locked(registry, fresh, tmp_path, monkeypatch):
    """It admits me only; the credentials of whoever runs the tests are not looked at."""
    registry.push(fresh.image("busybox"), "busybox:latest")
    registry.stop()
    users = tmp_path / "htpasswd"
    users.write_text(HTPASSWD)
    registry.more = f"auth:\n  htpasswd:\n    realm: here\n    path: {users}\n"
    registry.start()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return registry


def test_login_opens_a_registry_and_logout_closes_it(fresh, locked, tmp_path):
    host = locked.name("").rstrip("/")
    config = tmp_path / "docker/config.json"
    refused = fresh("run", locked.name("busybox"), "true")
    assert refused.returncode == 125 and f"runhv login {host}".encode() in refused.stderr, refused.stderr
    wrong = fresh("login", "-u", "me", "--password-stdin", host, input=b"wrong\n")
    assert wrong.returncode == 125 and b"refuses it to me" in wrong.stderr and b"wrong" not in wrong.stderr, wrong.stderr
    assert not config.exists()
    right = fresh("login", "-u", "me", "--password-stdin", host, input=PASSWORD.encode() + b"\n")
    assert (right.returncode, right.stdout) == (0, f"Logged in to {host}; kept in {config}\n".encode()), right.stderr
    assert config.stat().st_mode & 0o777 == 0o600
    # Podman's own reader finds it, too.
    found = subprocess.run(["skopeo", "login", "--get-login", "--authfile", config, host], capture_output=True, check=False)
    assert found.stdout == b"me\n", found.stderr
    result = fresh("run", locked.name("busybox"), "echo", "hi")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr
    assert fresh("logout", host).returncode == 0
    assert json.loads(config.read_text()) == {"auths": {}}
    shutil.rmtree(fresh.store)
    assert fresh("run", locked.name("busybox"), "true").returncode == 125


def test_what_podman_was_told_opens_it_as_well(fresh, locked, tmp_path, monkeypatch):
    authfile = tmp_path / "auth.json"
    subprocess.run(["skopeo", "login", "--tls-verify=false", "--authfile", authfile, "-u", "me", "--password-stdin", locked.name("").rstrip("/")],
                   input=PASSWORD.encode(), check=True, stdout=subprocess.DEVNULL)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(authfile))
    result = fresh("run", locked.name("busybox"), "echo", "hi")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr


def test_a_password_that_is_typed_is_not_shown(fresh, locked):
    ours, theirs = pty.openpty()
    login = fresh.popen("login", locked.name("").rstrip("/"), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"Username: " not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, b"mx\x7fe\r" + PASSWORD.encode() + b"\r")  # the second before it is asked for
    while b"Logged in" not in shown and login.poll() is None:
        shown += os.read(ours, 1024)
    assert login.wait(60) == 0, shown
    assert b"Username: mx\b \be" in shown and PASSWORD.encode() not in shown, shown
    os.close(ours)


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def certify(folder, name, extension):
    openssl(folder, "req", *NEW_KEY[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", "-addext", extension)
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-copy_extensions", "copy", "-out", f"{name}.cert")


def test_hosts_toml_names_authorities_certificates_and_mirrors(fresh, locked, tmp_path, monkeypatch):
    certificates = tmp_path / f"certs.d/localhost_{locked.port}_"
    certificates.mkdir(parents=True)
    openssl(certificates, "req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ours")
    certify(certificates, "server", "subjectAltName=DNS:localhost")
    certify(certificates, "client", "extendedKeyUsage=clientAuth")
    locked.stop()
    locked.more = (f"  tls:\n    certificate: {certificates}/server.cert\n    key: {certificates}/server.key\n"
                   f"    clientcas: [{certificates}/ca.pem]\n" + locked.more)
    locked.start()
    monkeypatch.setenv("RUNHV_REGISTRIES", str(certificates.parent))
    hosts = certificates / "hosts.toml"
    host = locked.name("").rstrip("/")
    with socket.create_server(("localhost", 0)) as nobody:
        dead = nobody.getsockname()[1]
    mirror = f'[host."http://localhost:{dead}"]\n'

    def login():
        return fresh("login", "-u", "me", "--password-stdin", host, input=PASSWORD.encode())

    for toml, words in [("", b"cannot be trusted"), ('ca = "ca.pem"\n', b"certificate"), ("ca = 1\n", b"hosts.toml: ca: expected a string")]:
        hosts.write_text(f'server = "https://{host}"\n{toml}')
        result = login()
        assert result.returncode == 125 and len(result.stderr.splitlines()) == 1 and words in result.stderr, (toml, result.stderr)
    hosts.write_text(f'server = "https://{host}"\nca = "ca.pem"\nclient = [["client.cert", "client.key"]]\n{mirror}')
    assert login().returncode == 0, login().stderr
    result = fresh("run", locked.name("busybox"), "echo", "hi")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr


def address():
    """Of this machine, and not the loopback's: what is on that is asked without a proxy."""
    found = subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    found = [each for each in found if ":" not in each]
    if not found:
        pytest.skip("this machine has no address but the loopback's")
    return found[0]


@pytest.fixture
def tinyproxy(tmp_path):
    """A proxy that admits me only, its port, and what it has been asked."""
    if shutil.which("tinyproxy") is None:
        pytest.skip("no tinyproxy here: tools/dev setup installs it")
    port = free_port()
    config, log = tmp_path / "tinyproxy.conf", tmp_path / "tinyproxy.log"
    config.write_text(f'Port {port}\nListen 127.0.0.1\nLogFile "{log}"\nLogLevel Connect\nMaxClients 20\nBasicAuth me secret\n')
    log.touch()
    with subprocess.Popen(["tinyproxy", "-d", "-c", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                socket.create_connection(("localhost", port), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield port, log
        process.terminate()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_told_its_password_and_a_wrong_one_is_one_line(fresh, tinyproxy, tmp_path, monkeypatch, scheme):
    port, log = tinyproxy
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = Registry(folder, free_port(), host=address())
    certificates = tmp_path / f"certs.d/{registry.host}_{registry.port}_"
    certificates.mkdir(parents=True)
    openssl(certificates, "req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ours")
    certify(certificates, "server", f"subjectAltName=IP:{registry.host}")
    (certificates / "hosts.toml").write_text(f'server = "{scheme}://{registry.host}:{registry.port}"\nca = "ca.pem"\n')
    if scheme == "https":
        registry.more = f"  tls:\n    certificate: {certificates}/server.cert\n    key: {certificates}/server.key\n"
    monkeypatch.setenv("RUNHV_REGISTRIES", str(certificates.parent))
    registry.start()
    try:
        registry.push(fresh.image("busybox"), "busybox:latest")
        variable = f"{scheme}_proxy"
        # A password that is wrong is answered by 401, as a registry would.
        for who, words in (("", "The proxy refuses it"), ("me:wr%6fng@", "")):
            refused = fresh("pull", "-q", registry.name("busybox"), env={variable: f"http://{who}127.0.0.1:{port}"})
            lines = refused.stderr.decode().splitlines()
            assert (refused.returncode, len(lines)) == (125, 1) and words in lines[0], refused.stderr
            assert "wrong" not in lines[0]
        pulled = fresh("pull", "-q", registry.name("busybox"), env={variable: f"http://me:secret@127.0.0.1:{port}"})
        assert pulled.returncode == 0, pulled.stderr
    finally:
        registry.stop()
    asked = f"CONNECT {registry.host}:{registry.port}" if scheme == "https" else f"GET http://{registry.host}:{registry.port}/v2/"
    assert asked in log.read_text(), log.read_text()


def in_base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class TokenService(http.server.ThreadingHTTPServer):
    """Issues tokens (Docker registry token authentication) to me, by Basic, on another host than the registry's: 127.0.0.1."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), TokenRequest)
        self.folder = folder
        self.asked = []  # who, and for what
        openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "token.key", "-out", "token.pem", "-subj", "/CN=tokens")
        openssl(folder, "x509", "-in", "token.pem", "-outform", "DER", "-out", "token.der")

    @property
    def realm(self):
        return f"http://127.0.0.1:{self.server_port}/token"

    def token(self, scopes):
        access = [dict(zip(("type", "name", "actions"), (*scope.split(":")[:2], scope.split(":")[2].split(",")))) for scope in scopes]
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode((self.folder / "token.der").read_bytes()).decode()]}
        claims = {"iss": "tokens", "sub": "me", "aud": "here", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": str(now), "access": access}
        signed = ".".join(in_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.folder / "token.key"], input=signed.encode(), check=True,
                                   stdout=subprocess.PIPE).stdout
        return f"{signed}.{in_base64url(signature)}"


class TokenRequest(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        who = base64.b64decode(self.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
        scopes = query.get("scope", [])
        self.server.asked.append((who, query["service"], scopes))
        if who != f"me:{PASSWORD}":
            self.send_error(401)
            return
        body = json.dumps({"token": self.server.token(scopes)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_token_service_of_another_host_opens_a_registry(fresh, registry, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    registry.stop()
    with TokenService(tmp_path) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        registry.more = (f"auth:\n  token:\n    realm: {service.realm}\n    service: here\n    issuer: tokens\n"
                         f"    rootcertbundle: {tmp_path}/token.pem\n")
        registry.start()
        registry.push(fresh.image("busybox"), "busybox:latest", "--dest-creds", f"me:{PASSWORD}")
        host = registry.name("").rstrip("/")
        refused = fresh("pull", registry.name("busybox"))
        assert refused.returncode == 125 and f"127.0.0.1 gives no token to who has no credentials: runhv login {host}".encode() in refused.stderr
        service.asked.clear()
        assert fresh("login", "-u", "me", "--password-stdin", host, input=PASSWORD.encode()).returncode == 0
        pulled = fresh("pull", "-q", registry.name("busybox"))
        assert pulled.returncode == 0, pulled.stderr
        assert fresh("tag", registry.name("busybox"), registry.name("mine")).returncode == 0
        pushed = fresh("push", "-q", registry.name("mine"))
        assert pushed.returncode == 0, pushed.stderr
        service.shutdown()
    assert service.asked == [
        (f"me:{PASSWORD}", ["here"], []),
        (f"me:{PASSWORD}", ["here"], ["repository:busybox:pull"]),
        (f"me:{PASSWORD}", ["here"], ["repository:mine:pull,push", "repository:busybox:pull"])]


def javas_of(runhv):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            ours = str(runhv.store).encode() in (process / "environ").read_bytes()
            if ours and b"dev.runhv.vmm" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("moment", ["registry", "registry/partial/*", "registry/blobs/sha256/*"])
def test_a_pull_after_one_that_was_killed_succeeds(fresh, registry, moment):
    registry.push(fresh.image("debian"), "debian:latest")
    killed = fresh.popen("run", registry.name("debian"), "true", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any(fresh.store.glob(moment)):
        assert killed.poll() is None and time.monotonic() < deadline
    os.kill(registry.process.pid, signal.SIGSTOP)  # so that it does not end while its process is looked for
    try:
        for java in javas_of(fresh):
            with contextlib.suppress(ProcessLookupError):
                os.kill(java, signal.SIGKILL)
        _, error = killed.communicate(timeout=60)
    finally:
        os.kill(registry.process.pid, signal.SIGCONT)
    assert killed.returncode == 125, error
    result = fresh("run", registry.name("debian"), "echo", "hi")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr


def test_pull_says_what_it_fetched_and_run_then_asks_nobody(fresh, registry):
    registry.push(fresh.image("busybox"), "busybox:latest")
    name = registry.name("busybox")
    pushed = len(registry.requests())
    missing = fresh("run", "--pull", "never", name, "true")
    assert missing.returncode == 125 and b"--pull never" in missing.stderr, missing.stderr
    assert len(registry.requests()) == pushed
    pulled = fresh("pull", name)
    assert pulled.returncode == 0, pulled.stderr
    assert re.fullmatch(rf"{name}:latest\ndigest: sha256:[0-9a-f]{{64}}\n", pulled.stdout.decode())
    assert re.fullmatch(r"(runhv: layer [0-9a-f]{12}, [0-9.]+ MiB: there\n)+", pulled.stderr.decode())
    made = {file: file.stat().st_mtime_ns for part in ("layers", "rootfs") for file in (fresh.store / part).iterdir()}
    assert made
    quiet = fresh("pull", "-q", name)
    assert (quiet.stdout, quiet.stderr) == (f"{name}:latest\n".encode(), b"")
    before = len(registry.requests())
    told = json.loads(fresh("pull", "--json", name).stdout)
    assert told["digest"] in pulled.stdout.decode() and told["layers"] >= 1 and told["bytes"] > 0
    assert not GET_BLOB.findall("\n".join(registry.requests()[before:]))  # the name is looked up, nothing is fetched
    registry.stop()
    result = fresh("run", "--pull=never", name, "echo", "hi")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr
    assert made == {file: file.stat().st_mtime_ns for part in ("layers", "rootfs") for file in (fresh.store / part).iterdir()}
    always = fresh("run", "--pull=always", name, "true")
    assert always.returncode == 125 and b"cannot be reached" in always.stderr


def test_pulls_that_are_killed_fetch_nothing_again_that_was_whole(fresh, registry, tmp_path):
    registry.push(layered(tmp_path / "layered", 8, 3 << 20), "noise:latest")
    chance = random.Random(23)
    blobs = fresh.store / "registry/blobs/sha256"
    whole, at = set(), 0
    for _ in range(6):
        pulls = [fresh.popen("pull", "-q", registry.name("noise"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                 for _ in range(2)]
        wanted = len(whole) + chance.randrange(3)
        while all(pull.poll() is None for pull in pulls) and sum(1 for _ in blobs.glob("*")) < wanted:
            pass
        for process in javas_of(fresh):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for pull in pulls:
            pull.wait(60)
        served = GET_BLOB.findall("\n".join(registry.requests()[at:]))
        assert not whole & {path.rpartition(":")[2] for path in served}
        at = len(registry.requests())
        whole = {blob.name for blob in blobs.glob("*")}
    last = fresh("pull", "-q", registry.name("noise"))
    assert last.returncode == 0, last.stderr
    served = GET_BLOB.findall("\n".join(registry.requests()[at:]))
    assert not whole & {path.rpartition(":")[2] for path in served}
    for blob in blobs.glob("*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert len(list(blobs.glob("*"))) == 10 and not any((fresh.store / "registry/partial").iterdir())
    made = sorted(file.suffix for part in ("layers", "rootfs") for file in (fresh.store / part).iterdir())
    assert made == [".data"] * 8 + [".entries"] * 8 + [".erofs"], made


def test_a_pull_draws_its_layers_on_a_terminal_and_ends_by_ctrl_c(fresh, registry, tmp_path):
    registry.push(layered(tmp_path / "layered", 4, 1 << 20), "noise:latest")
    ours, theirs = pty.openpty()
    # A registry that does not answer: the first that is drawn is nothing, and Ctrl-C ends it.
    os.kill(registry.process.pid, signal.SIGSTOP)
    try:
        stuck = subprocess.Popen([fresh.program, "pull", registry.name("noise")], env=fresh.environment, start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
        while not javas_of(fresh):
            assert stuck.poll() is None
        os.killpg(stuck.pid, signal.SIGINT)
        assert stuck.wait(60) != 0
        while javas_of(fresh):
            pass
    finally:
        os.kill(registry.process.pid, signal.SIGCONT)
    pull = fresh.popen("pull", registry.name("noise"), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"digest: " not in shown:
        shown += os.read(ours, 4096)
    assert pull.wait(60) == 0
    assert shown.count(b"[##############################] 1.0 of 1.0 MiB") >= 4 and b"\x1b[A" in shown, shown
    os.close(ours)
