"""Under Debian's dockerd, with runhv where runc was: some of the cases of the judge `docker` (tests/judges/docker.py)."""

import os
import pathlib
import shutil
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1]))

from judges import docker as judge  # noqa: E402

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="dockerd needs root"),
              pytest.mark.skipif(shutil.which("dockerd", path="/usr/sbin") is None, reason="docker.io is not installed"),
              pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")]


@pytest.fixture(scope="module")
def docker(module_runhv, tmp_path_factory):
    # Sockets have short names.
    folder = pathlib.Path(tmp_path_factory.mktemp("d"))
    with judge.Daemon(folder / "20.10", module_runhv.dist / "bin/runhv") as daemon:
        yield daemon


def test_run_tells_output_and_status(docker):
    judge.run_a_program(docker)


def test_what_cannot_be_run_has_dockers_status(docker):
    judge.run_what_cannot_be_run(docker)


def test_exec_and_its_terminal(docker):
    judge.execute(docker)
    judge.execute_at_a_terminal(docker)


def test_stop_logs_and_another_start(docker):
    judge.stop(docker)
    judge.start_again_and_restart(docker)


def test_a_micro_vm_that_is_killed_is_seen(docker):
    judge.kill_of_its_process(docker)


def test_volumes_and_bind_mounts(docker):
    judge.volumes(docker)
    judge.bind_mounts(docker)


def test_build(docker):
    judge.build(docker)


def test_published_ports(docker):
    judge.published_ports(docker)


def test_services_find_each_other_by_name(docker):
    judge.three_services_by_name(docker)


def test_a_container_joins_the_network_of_another(docker):
    judge.network_of_another_container(docker)


def test_networks_that_come_and_go(docker):
    judge.network_connect_and_disconnect(docker)
    judge.network_of_another_container_that_changes(docker)


def test_nothing_is_left(docker):
    judge.nothing_is_left(docker)


@pytest.fixture(scope="module")
def remapped(module_runhv, tmp_path_factory):
    folder = pathlib.Path(tmp_path_factory.mktemp("u"))
    with judge.Daemon(folder / "20.10", module_runhv.dist / "bin/runhv", users=judge.FIRST_USER) as daemon:
        yield daemon


def test_users_of_a_daemon_with_userns_remap(remapped):
    for case in judge.CASES_OF_USERS:
        case(remapped)


def test_what_people_do_with_userns_remap(remapped):
    judge.run_what_cannot_be_run(remapped)
    judge.execute(remapped)
    judge.volumes(remapped)
    judge.build(remapped)
    judge.published_ports(remapped)


def test_networks_of_a_remapped_container_come_and_go(remapped):
    judge.network_of_another_container(remapped)
    judge.network_connect_and_disconnect(remapped)
