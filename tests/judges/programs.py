"""Programs that people run in containers, under Debian's dockerd (20.10): servers through published ports, databases whose
container is killed while they write, builds on a bind mount, apt-get, a JVM. Images of Debian's packages."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from fixtures.make_images import debian_base
from judges.docker import Daemon, Failed, background, expect, expect_in, run_cases, until

MUST = 1.0
IMAGES = {
    "servers": ["nginx-light", "redis-server", "postgresql-15", "python3-venv", "python3-setuptools"],
    "java": ["default-jdk-headless", "maven", "libmaven-compiler-plugin-java", "libmaven-jar-plugin-java", "libmaven-resources-plugin-java",
             "libsurefire-java"],
}
MIRRORED = ["jq", "libjq1", "libonig5"]  # a package that the image has not, and what it depends on
PATIENCE_S = 900  # a build on a software CPU
KEPT = 200  # writes that are acknowledged before the kill, at least
CASES = []


def case(function):
    CASES.append(function)
    return function


# One connection is used for many requests; four at a time.
FETCH = """
import http.client, sys, threading
failures = []
def fetch(count):
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
    for _ in range(count):
        connection.request("GET", "/index.html")
        answer = connection.getresponse()
        if (answer.status, answer.read()) != (200, b"page\\n" * 200):
            failures.append(answer.status)
threads = [threading.Thread(target=fetch, args=(int(sys.argv[1]) // 4,)) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
sys.exit(len(failures) > 0)
"""


def nginx_serves(docker, requests):
    script = ("for i in $(seq 200); do echo page; done > /var/www/html/index.html;"
              f"sed -i 's/keepalive_timeout.*/keepalive_requests {requests};/; s/access_log.*/access_log off;/' /etc/nginx/nginx.conf;"
              "exec nginx -g 'daemon off;'")
    with background(docker, "-p", "8080:80", "-m", "256m", "servers", "sh", "-c", script) as name:
        until(lambda: docker.fetch("127.0.0.1", 8080, "/index.html") == "page\n" * 200)
        expect(subprocess.run(docker.inside([sys.executable, "-c", FETCH, requests]), timeout=600).returncode, 0)
        docker.docker("stop", name)
        expect(docker.inspect(name, ".State.ExitCode"), "0")


@case
def nginx_serves_ten_thousand_requests(docker):
    nginx_serves(docker, 10_000)


# ---- what is acknowledged is kept ----
def acknowledged(docker, name, writer, least):
    """Kills the container while `writer` writes, and tells the last number that came out of it: those up to it are kept for sure."""
    with subprocess.Popen(writer, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        last = 0
        while last < least:
            line = process.stdout.readline()
            if not line:
                raise Failed(f"the writer has ended after {last} writes")
            last = int(line)
        os.kill(int(docker.inspect(name, ".State.Pid")), signal.SIGKILL)
        expect(docker.docker("wait", name).stdout, "137\n")
        return [last, *map(int, process.communicate(timeout=60)[0].split())][-1]


# Outside of the container, through its published port.
SET_KEYS = """
import itertools, socket
connection = socket.create_connection(("127.0.0.1", 6379), timeout=60)
for i in itertools.count(1):
    connection.sendall(b"SET key%d value%d\\r\\n" % (i, i))
    if connection.recv(5, socket.MSG_WAITALL) != b"+OK\\r\\n":
        break
    print(i, flush=True)
"""


def redis(docker, name, *words):
    return docker.docker("exec", name, "redis-cli", *words, check=False).stdout.strip()


@case
def redis_keeps_what_it_has_acknowledged(docker):
    docker.docker("volume", "create", "redis")
    server = ("-p", "6379:6379", "-v", "redis:/data", "-m", "256m", "servers", "redis-server", "--dir", "/data", "--protected-mode", "no",
              "--appendonly", "yes", "--appendfsync", "always", "--save", "")
    with background(docker, *server) as name:
        until(lambda: redis(docker, name, "ping") == "PONG")
        last = acknowledged(docker, name, docker.inside([sys.executable, "-c", SET_KEYS]), 10 * KEPT)
    with background(docker, *server) as name:
        until(lambda: redis(docker, name, "ping") == "PONG")
        # The one that was on its way may be there.
        expect(last <= int(redis(docker, name, "dbsize")) <= last + 1, True)
        expect(redis(docker, name, "get", f"key{last}"), f"value{last}")
    docker.docker("volume", "rm", "redis")


def sql(docker, name, statement):
    return docker.docker("exec", name, "psql", "-At", "-c", statement, check=False).stdout.strip()


@case
def postgresql_loses_no_committed_row(docker):
    programs = "/usr/lib/postgresql/15/bin"
    docker.docker("volume", "create", "postgres")
    docker.run("-v", "postgres:/data", "servers", "chown", "postgres:postgres", "/data")
    docker.run("-v", "postgres:/data", "-u", "postgres", "-m", "512m", "servers", f"{programs}/initdb", "-D", "/data/db")
    server = ("-v", "postgres:/data", "-u", "postgres", "-m", "512m", "--tmpfs", "/run/postgresql", "servers", f"{programs}/postgres", "-D",
              "/data/db")
    with background(docker, *server) as name:
        until(lambda: sql(docker, name, "SELECT 1") == "1")
        bench = ["exec", name, f"{programs}/pgbench"]
        docker.docker(*bench, "-i", "-q", "postgres")
        expect_in("number of transactions actually processed: 100/100", docker.docker(*bench, "-t", "50", "-c", "2", "postgres").stdout)
        sql(docker, name, "CREATE TABLE kept (n int)")
        # Each INSERT is a transaction; its number is said once it is committed.
        script = r"seq 1000000 | sed 's/.*/INSERT INTO kept VALUES (&);\n\\echo &/' | stdbuf -oL psql -q"
        last = acknowledged(docker, name, docker.command("exec", name, "sh", "-c", script), KEPT)
    with background(docker, *server) as name:
        until(lambda: sql(docker, name, "SELECT 1") == "1")
        expect_in("database system was not properly shut down; automatic recovery in progress", docker.docker("logs", name).stderr)
        rows, highest = map(int, sql(docker, name, "SELECT count(*), max(n) FROM kept").split("|"))
        expect(rows, highest)
        # More may have been committed than was said outside.
        expect(rows >= last, True)
        expect(sql(docker, name, "SELECT count(*) FROM pgbench_history"), "100")
    docker.docker("volume", "rm", "postgres")


# ---- builds on a bind mount ----
@contextlib.contextmanager
def project(docker, files):
    with tempfile.TemporaryDirectory(dir=docker.folder) as folder:
        for name, text in files.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
        yield folder


@case
def a_python_build(docker):
    with project(docker, {
            "setup.py": "from setuptools import setup\n"
                        'setup(name="built", version="1.5", packages=["built"], entry_points={"console_scripts": ["built = built:main"]})\n',
            "built/__init__.py": 'def main():\n    from importlib import metadata\n    print("built", metadata.version("built"))\n'}) as folder:
        # Without pip, whose own installation takes a software CPU some minutes.
        script = ("python3 -m venv --without-pip --system-site-packages venv && "
                  "venv/bin/python setup.py -q install >&2 && venv/bin/built")
        expect(docker.run("-v", f"{folder}:/src", "-w", "/src", "-m", "512m", "servers", "sh", "-c", script, timeout=PATIENCE_S), "built 1.5\n")
        expect(os.access(f"{folder}/venv/bin/built", os.X_OK), True)


@case
def a_java_build(docker):
    count = 100
    calls = " + ".join(f"Part{i}.value()" for i in range(count))
    main = f"package built; public class Main {{ public static void main(String[] a) {{ System.out.println({calls}); }} }}\n"
    parts = {f"src/built/Part{i}.java": f"package built; class Part{i} {{ static int value() {{ return {i}; }} }}\n" for i in range(count)}
    with project(docker, {"src/built/Main.java": main, **parts}) as folder:
        script = ("javac -d classes $(find src -name '*.java') && jar --create --file built.jar --main-class built.Main -C classes . && "
                  "java -jar built.jar")
        expect(docker.run("-v", f"{folder}:/src", "-w", "/src", "-m", "512m", "java", "sh", "-c", script, timeout=PATIENCE_S), f"{sum(range(count))}\n")
        expect(len(os.listdir(f"{folder}/classes/built")), count + 1)


@case
def a_maven_build(docker):
    """Offline, with the plugins that Debian has."""
    pom = ('<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
           "<groupId>built</groupId><artifactId>built</artifactId><version>1.5</version><properties><maven.compiler.release>17</maven.compiler.release>"
           "<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties></project>\n")
    main = 'package built; public class Main { public static void main(String[] a) { System.out.println("built by Maven"); } }\n'
    with project(docker, {"pom.xml": pom, "src/main/java/built/Main.java": main, "src/main/resources/kept": "kept\n"}) as folder:
        script = ("mvn -o -B -q -Dmaven.repo.local=/usr/share/maven-repo -Dmaven.test.skip package >&2 && "
                  "jar --list --file target/built-1.5.jar | grep -c kept && java -cp target/built-1.5.jar built.Main")
        expect(docker.run("-v", f"{folder}:/src", "-w", "/src", "-m", "768m", "java", "sh", "-c", script, timeout=PATIENCE_S), "1\nbuilt by Maven\n")
        expect(os.path.isfile(f"{folder}/target/classes/built/Main.class"), True)


# ---- a package from a mirror ----
@contextlib.contextmanager
def mirror(docker):
    """An archive of MIRRORED on the host; its address as a container sees it."""
    server = subprocess.Popen(docker.inside([sys.executable, "-m", "http.server", "--directory", docker.folder / "mirror", "8000"]),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: docker.fetch("127.0.0.1", 8000, "/Packages"))
        yield "http://172.17.0.1:8000"
    finally:
        server.terminate()
        server.wait()


@case
def apt_get_install_from_a_mirror(docker):
    with mirror(docker) as address:
        script = (f"echo 'deb [trusted=yes] {address} ./' > /etc/apt/sources.list && apt-get -qq update && "
                  f"apt-get -qq install {MIRRORED[0]} >&2 && echo '[1, 2]' | jq -c 'map(. * 2)'")
        expect(docker.run("-m", "256m", "-e", "DEBIAN_FRONTEND=noninteractive", "servers", "sh", "-c", script, timeout=PATIENCE_S), "[2,4]\n")


# ---- many threads ----
THREADS = """
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

class Threads {
    static long sum;

    public static void main(String[] arguments) throws Exception {
        var all = new CyclicBarrier(201);
        var threads = new ArrayList<Thread>();
        for (int i = 0; i < 200; i++) {
            threads.add(new Thread(() -> {
                try {
                    all.await();
                    for (int n = 0; n < 1000; n++) {
                        synchronized (all) { sum += n; }
                    }
                    all.await();
                } catch (Exception e) { throw new AssertionError(e); }
            }));
        }
        for (var thread : threads) { thread.start(); }
        all.await();
        try (var tasks = Files.list(Path.of("/proc/self/task"))) { System.out.println(tasks.count() > 200); }
        all.await();
        for (var thread : threads) { thread.join(); }
        System.out.println(sum);
    }
}
"""


@case
def a_jvm_with_two_hundred_threads(docker):
    with project(docker, {"Threads.java": THREADS}) as folder:
        said = docker.run("-v", f"{folder}:/src:ro", "-m", "512m", "--cpus", "2", "java", "java", "/src/Threads.java", timeout=PATIENCE_S)
        expect(said, f"true\n{200 * sum(range(1000))}\n")


# ---- the judge ----
def prepare(cache):
    cache.mkdir(parents=True, exist_ok=True)
    images = {}
    for name, packages in IMAGES.items():
        images[name] = cache / f"programs-{'-'.join(packages)}.tar"
        if not images[name].exists():
            partial = images[name].with_suffix(".new")
            partial.write_bytes(debian_base(*packages))
            partial.rename(images[name])
    archive = cache / f"programs-mirror-{'-'.join(MIRRORED)}"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *MIRRORED], cwd=folder, check=True)
            with open(f"{folder}/Packages", "wb") as index:
                subprocess.run(["dpkg-scanpackages", "."], cwd=folder, stdout=index, check=True)
            shutil.copytree(folder, archive)
    return images, archive


def run(prepared, runtime, work, only):
    images, archive = prepared
    with Daemon(work / "20.10", runtime) as daemon:
        for name, tar in images.items():
            daemon.docker("import", str(tar), name)
        (daemon.folder / "mirror").symlink_to(archive)
        return run_cases(CASES, daemon, only)
