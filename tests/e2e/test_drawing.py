"""Programs that draw, at a real terminal: tmux of the host is the terminal, and is asked what it shows."""

import re
import shlex
import shutil
import subprocess

import pytest

from processes import alive
from shim import wait_until

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Screen:
    """A terminal of 100 columns and 30 rows in which `runhv run -it work COMMAND` runs, between two looks at its settings."""

    def __init__(self, runhv, folder, *command):
        self.folder = folder
        self.tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux")]
        run = shlex.join([runhv.program, "run", "-it", "-m", "256m", runhv.image("work"), *command])
        script = f"stty -g > {folder}/before; {run}; echo status $?; stty -g > {folder}/after; echo over; read x"
        subprocess.run([*self.tmux, "new-session", "-d", "-x", "100", "-y", "30", script], env=runhv.environment, check=True)

    def __call__(self, *arguments):
        return subprocess.run([*self.tmux, *arguments], stdout=subprocess.PIPE, check=True).stdout.decode()

    def shows(self, *words):
        """All of them, at once. Returns the rows."""
        def there():
            return all(word in self("capture-pane", "-p") for word in words)
        try:
            wait_until(there)
        except BaseException:
            print(self("capture-pane", "-p"))
            raise
        return self("capture-pane", "-p").splitlines()

    def types(self, *keys):
        """Names of keys as tmux has them, or text."""
        self("send-keys", *keys)

    def ends(self, status=0):
        rows = self.shows(f"status {status}", "over")
        assert (self.folder / "before").read_text() == (self.folder / "after").read_text(), "the terminal's settings"
        return rows


@pytest.fixture
def screen(runhv, tmp_path):
    screens = []

    def open_one(*command):
        screens.append(Screen(runhv, tmp_path, *command))
        return screens[-1]

    yield open_one
    for each in screens:
        server = int(each("display-message", "-p", "#{pid}"))
        each("kill-server")
        wait_until(lambda pid=server: not alive(pid))


def test_vim_edits_and_follows_the_size(screen):
    vim = screen("sh", "-c", "vim.tiny -u NONE -N --cmd 'set showmode ruler' /tmp/letter; echo; cat /tmp/letter")
    # Every row below the first but the last has vim's mark, and the last the place of the cursor at its right.
    vim.shows("\n~" * 28, "0,0-1")
    vim("resize-window", "-x", "80", "-y", "20")
    # A key in the middle of vim's change of size may wait there for the next one: vim's, not the terminal's.
    wait_until(lambda: re.search(r"\n {60,70}0,0-1 {5,9}All$", vim("capture-pane", "-p").rstrip("\n")))
    vim.types("i")
    vim.shows("-- INSERT --")
    vim.types("hello")
    vim.shows("hello")
    vim.types("Escape")
    wait_until(lambda: "INSERT" not in vim("capture-pane", "-p"))
    vim.types("yy3p")
    vim.shows("hello\n" * 4)
    vim.types(":wq", "Enter")
    rows = vim.ends()
    assert rows.count("hello") == 4, rows


def test_less_pages_and_searches(screen):
    less = screen("sh", "-c", "seq 1 1000 | less")
    less.shows("\n29\n:")
    less.types("Space")
    less.shows("\n58\n:")
    less.types("/777", "Enter")
    rows = less.shows("777\n778\n")
    assert rows[0] == "777"
    less.types("q")
    less.ends()


def test_htop_shows_the_containers_processes_alone(screen):
    htop = screen("htop")
    htop.shows("Tasks: 1", "Load average", "F10")
    htop.types("F10")
    htop.ends()


def test_tmux_inside_splits_its_window(screen):
    inner = screen("tmux", "-u", "-f", "/dev/null", "new-session", "sh")
    inner.shows("[0] 0:sh*")
    inner.types("C-b", "%")
    inner.shows("│")
    inner.types("echo $((6 * 7))", "Enter")
    rows = inner.shows("│42")
    assert all("│" in row for row in rows[:29]), rows
    inner.types("exit", "Enter")
    wait_until(lambda: "│" not in inner("capture-pane", "-p"))
    inner.types("exit", "Enter")
    assert "[exited]" in inner.ends()
