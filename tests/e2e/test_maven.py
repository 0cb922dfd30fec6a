"""What `tools/dev publish` has put into a repository, as somebody else's Maven project uses it (tests/maven-user)."""

import pathlib
import shutil
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import java

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "maven-user"
VERSION = "0.1.0-SNAPSHOT"
NATIVE_ACCESS = "--enable-native-access=dev.runhv.vmm,com.github.luben.zstd_jni"
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.10.0:copy-dependencies"
REPACKAGE = "org.springframework.boot:spring-boot-maven-plugin:4.0.7:repackage"

# A local repository of the tests' own: no artifact of this build gets into the user's. What the user's has need not be
# fetched again.
SETTINGS = """<settings>
  <localRepository>{local}</localRepository>
  <profiles><profile>
    <id>here</id>
    <repositories>
      <repository><id>build</id><url>{build}</url></repository>
      <repository><id>fetched</id><url>{fetched}</url><snapshots><enabled>false</enabled></snapshots></repository>
    </repositories>
    <pluginRepositories>
      <pluginRepository><id>fetched</id><url>{fetched}</url><snapshots><enabled>false</enabled></snapshots></pluginRepository>
    </pluginRepositories>
  </profile></profiles>
  <activeProfiles><activeProfile>here</activeProfile></activeProfiles>
</settings>
"""


@pytest.fixture(scope="module")
def repository(request):
    path = pathlib.Path(request.config.getoption("--maven-repository")).resolve()
    assert (path / "dev/runhv/runhv").exists(), f"no artifacts in {path}; tools/dev publish makes them"
    return path


class Project:
    """The user's project, built, with a cache for native files of its own."""

    def __init__(self, runhv, folder, mvn):
        self.runhv = runhv
        self.folder = folder
        self.mvn = mvn
        self.lib = folder / "lib"
        self.boot = folder / "target/hello-1.jar"
        self.jar = folder / "target/hello-1.jar.original"

    def environment(self, cache):
        return {**self.runhv.environment, "XDG_CACHE_HOME": str(cache)}

    def class_path(self, *arguments):
        return [java(), "--enable-native-access=ALL-UNNAMED", "-cp", f"{self.jar}:{self.lib}/*", "user.Hello", *arguments]

    def module_path(self, *arguments):
        modules = self.folder / "modules"
        if not modules.exists():
            shutil.copytree(self.lib, modules)
            shutil.copy(self.jar, modules / "hello.jar")
        return [java(), NATIVE_ACCESS, "-p", str(modules), "-m", "user/user.Hello", *arguments]

    def nested(self, *arguments):
        return [java(), "--enable-native-access=ALL-UNNAMED", "-jar", str(self.boot), *arguments]

    def run(self, command, cache, **options):
        return subprocess.run(
            command, env=self.environment(cache), stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
            **options)


@pytest.fixture(scope="module")
def project(module_runhv, repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("maven-user")
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
    local = repository.parent / "m2"
    shutil.rmtree(local / "dev/runhv", ignore_errors=True)
    settings = folder / "settings.xml"
    fetched = pathlib.Path.home() / ".m2/repository"
    settings.write_text(SETTINGS.format(local=local, build=repository.as_uri(), fetched=fetched.as_uri()))
    mvn = subprocess.run(
        ["mvn", "-B", "-ntp", "-s", str(settings), f"-Dimage={module_runhv.image('busybox')}", "package", COPY_DEPENDENCIES,
         f"-DoutputDirectory={folder}/lib", "-DincludeScope=runtime", REPACKAGE],
        cwd=folder, env={**module_runhv.environment, "XDG_CACHE_HOME": str(folder / "cache")}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    assert mvn.returncode == 0, mvn.stdout
    return Project(module_runhv, folder, mvn)


def trees(cache):
    """The unpacked trees, and what is not finished."""
    names = [path.name for path in (cache / "runhv/natives").glob("*") if path.name != "locks"]
    return [name for name in names if len(name) == 64], [name for name in names if len(name) != 64]


def assert_whole(dist, tree):
    for part in ("core", "softcpu", "kernel"):
        listed = dist / "share/runhv/natives" / part / "SHA256SUMS"
        subprocess.run(["sha256sum", "--quiet", "-c", listed], cwd=tree, check=True)


def test_a_project_with_one_dependency_runs_a_container_in_a_test(project):
    assert "Tests run: 1, Failures: 0, Errors: 0, Skipped: 0" in project.mvn.stdout
    whole, unfinished = trees(project.folder / "cache")
    assert len(whole) == 1 and unfinished == []
    assert_whole(project.runhv.dist, project.folder / "cache/runhv/natives" / whole[0])


@pytest.mark.parametrize("way", ["class_path", "module_path", "nested"])
def test_a_program_runs_a_container_from(project, way):
    result = project.run(getattr(project, way)(project.runhv.image("busybox")), project.folder / "cache")
    assert (result.stdout, result.stderr, result.returncode) == (b"Linux x86_64\n", b"", 0)


def test_of_eight_first_uses_at_once_one_unpacks(project, tmp_path):
    programs = [
        subprocess.Popen(project.class_path(), env=project.environment(tmp_path), stderr=subprocess.PIPE) for _ in range(8)]
    assert [(program.communicate(timeout=120)[1], program.returncode) for program in programs] == [(b"", 0)] * 8
    whole, unfinished = trees(tmp_path)
    assert len(whole) == 1 and unfinished == []
    assert_whole(project.runhv.dist, tmp_path / "runhv/natives" / whole[0])


def killed_in_first_use(project, cache):
    """Kills a program as soon as it has begun with a file of the tree; tells what is left unfinished."""
    program = subprocess.Popen(project.class_path(), env=project.environment(cache))
    while not list(cache.glob("runhv/natives/*.new/*/*")) and program.poll() is None:
        pass
    program.kill()
    program.wait()
    return trees(cache)[1]


def test_a_first_use_that_is_killed_leaves_nothing_that_is_taken_for_whole(project, tmp_path):
    # One that was done before the kill came is no case.
    caches = (tmp_path / str(attempt) for attempt in range(10))
    cache = next(cache for cache in caches if killed_in_first_use(project, cache))
    assert trees(cache)[0] == []

    result = project.run(project.class_path(), cache)
    assert (result.stderr, result.returncode) == (b"", 0)
    whole, unfinished = trees(cache)
    assert len(whole) == 1 and unfinished == []
    assert_whole(project.runhv.dist, cache / "runhv/natives" / whole[0])


@pytest.mark.parametrize("mount, says", [
    ("noexec", "Its file system lets no program run (mount option noexec)"),
    ("size=1m", "No space left on the device (errno 28)"),
])
def test_a_cache_that_cannot_hold_programs(project, tmp_path, mount, says):
    may_mount = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o "$0" none "$1" && shift && exec "$@"', mount, str(tmp_path)]
    if subprocess.run([*may_mount, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("the host lets nobody mount a file system of their own")
    listing = ["sh", "-c", '"$@"; ls -A "$0/runhv/natives"', str(tmp_path)]
    result = project.run([*may_mount, *listing, *project.class_path()], tmp_path)
    error = (f"dev.runhv.api.HostException: Cannot unpack the native files of runhv into {tmp_path}/runhv/natives "
             f"(-Drunhv.natives=DIR names another folder): {says}")
    assert error in result.stderr.decode()
    assert b".new" not in result.stdout


def test_without_native_files_one_sentence_says_what_to_do(project, tmp_path):
    jars = [str(jar) for jar in project.lib.glob("*.jar") if "linux-x86_64" not in jar.name]
    result = project.run([java(), "-cp", ":".join([str(project.jar), *jars]), "user.Hello"], tmp_path)
    assert ("dev.runhv.api.RequestException: Cannot find the distribution of runhv: No jar has one for linux-x86_64: add the "
            "dependency dev.runhv:runhv, or set the system property runhv.home or the variable RUNHV_HOME to a distribution's "
            "folder, or say home()") in result.stderr.decode()


def test_every_artifact_has_what_maven_central_asks_for(repository):
    def pom_of(artifact):
        file, = (repository / "dev/runhv" / artifact / VERSION).glob("*.pom")
        return xml.etree.ElementTree.parse(file).getroot()

    def of(pom, name):
        return pom.find(f"{{*}}{name}")

    artifacts = sorted(path.name for path in (repository / "dev/runhv").iterdir() if path.is_dir())
    assert artifacts == [
        "runhv", "runhv-bom", "runhv-java-api", "runhv-kernel", "runhv-natives", "runhv-natives-parent", "runhv-parent",
        "runhv-softcpu", "runhv-vmm"]
    parent = pom_of("runhv-parent")
    for artifact in artifacts:
        pom = pom_of(artifact)
        assert of(pom, "name") is not None and of(pom, "description") is not None
        for name in ("url", "licenses", "developers", "scm"):
            assert of(parent, name) is not None
        files = {file.name for file in (repository / "dev/runhv" / artifact / VERSION).iterdir()}
        if of(pom, "packaging") is None:
            for end in ("-sources.jar", "-javadoc.jar"):
                assert any(name.endswith(end) for name in files), (artifact, end)
        assert any(name.endswith("-cyclonedx.json") for name in files), artifact
    assert "GPL-2.0-only" in [name.text for name in pom_of("runhv-kernel").iter() if name.text]
    assert "LGPL-2.0-or-later" in [name.text for name in pom_of("runhv-softcpu").iter() if name.text]
    managed = {name.text for name in pom_of("runhv-bom").findall(".//{*}dependency/{*}artifactId")}
    assert managed == {"runhv", "runhv-java-api", "runhv-kernel", "runhv-natives", "runhv-softcpu", "runhv-vmm"}
