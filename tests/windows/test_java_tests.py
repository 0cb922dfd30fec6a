"""Java's own tests on a JVM for Windows, under Wine: those of its classes, and those that start containers in the JVM's process and beside it."""

import pathlib
import xml.etree.ElementTree

import pytest

from conftest import ROOT, for_windows
from test_java import java, pytestmark  # noqa: F401 (a fixture; a JVM that stops)

# Of all of one set; Wine and two processors take their time.
PATIENCE_S = 600
# Their classes are in the standalone console, too.
IN_THE_CONSOLE = ("junit-", "opentest4j-", "apiguardian-api-")


class JavaTests:
    """The tests of the Java modules, run without Maven."""

    def __init__(self, java, folder):
        self.java = java
        self.reports = java.runhv.folder / "reports"
        (console,) = folder.glob("junit-platform-console-standalone-*.jar")
        listed = [pathlib.Path(entry) for entry in (folder / "classpath").read_text().split(":")]
        self.jars = [console, *(entry for entry in listed if not entry.name.startswith(IN_THE_CONSOLE))]

    def outcomes(self, module, *chosen):
        """{test: None where it passed, else what it says}, of those that were chosen in a module."""
        classes = [ROOT / module / "target/test-classes", ROOT / module / "target/classes"]
        # JUnit would fail a test whose folder is not empty yet: Wine keeps a file's name until whoever has it open closes it.
        temporary = self.java.runhv.folder / "tmp"
        temporary.mkdir()
        result = self.java.run(
            f"-Dbasedir={for_windows(ROOT / module)}", f"-Djava.io.tmpdir={for_windows(temporary)}", "--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.httpserver",
            "-cp", ";".join(for_windows(path) for path in [*classes, *self.jars]), "org.junit.platform.console.ConsoleLauncher", "execute",
            "--disable-banner", "--disable-ansi-colors", "--details=tree", "--config=junit.jupiter.tempdir.cleanup.mode.default=never", *chosen, "--reports-dir", for_windows(self.reports), timeout=PATIENCE_S, cwd=ROOT / module)
        report = self.reports / "TEST-junit-jupiter.xml"
        assert report.exists(), result.stdout.decode(errors="replace")[-4000:] + result.stderr.decode(errors="replace")[-4000:]
        failed, skipped, passed = {}, {}, set()
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.find("skipped") is not None:
                skipped[name] = (case.find("skipped").text or "").strip()
            elif case.find("failure") is not None or case.find("error") is not None:
                failed[name] = "\n".join(part.text or "" for part in case if part.tag in ("failure", "error"))[:600]
            else:
                passed.add(name)
        for name, why in skipped.items():
            print(f"skipped {name}: {why}")
        assert all(skipped.values()), "each says why"
        assert failed == {}
        return passed


@pytest.fixture
def tests(request, java):  # noqa: F811
    folder = pathlib.Path(request.config.getoption("--java-tests")).resolve()
    if not (folder / "classpath").exists():
        pytest.skip(f"no {folder}: tools/dev windows makes it")
    return JavaTests(java, folder)


@pytest.mark.parametrize("module", ["java-api", "vmm"])
def test_the_unit_tests_pass(tests, module):
    assert len(tests.outcomes(module, f"--scan-class-path={for_windows(ROOT / module / 'target/test-classes')}", "--include-classname=.*Test")) > 10


def test_containers_beside_the_jvm(tests):
    assert tests.outcomes("vmm", "--select-class=dev.runhv.vmm.runtime.LocalRunhvIT")


def test_a_container_in_the_jvms_process(tests):
    assert tests.outcomes("vmm", "--select-class=dev.runhv.vmm.inprocess.InProcessVmIT", "--select-class=dev.runhv.vmm.inprocess.MemoryViewsIT")
