"""runhv where systemd makes the cgroups (--systemd-cgroup), as on most distributions: our own end-to-end tests of that, of podman, its pods and
dockerd, which chooses it by itself, in the machine of the judge cgroup2, where systemd is the first process. `--only WORDS` is pytest's -k."""

from judges import cgroup2
from judges.cgroup2 import both, prepare  # noqa: F401: this judge's, too

FILES = "systemd", "podman", "pods", "docker"
# Nothing is plugged in, and nothing of the machine's tree is to be tidied up.
OPTIONS = "systemd.unit=judge.target", "systemd.firstboot=off", "apparmor=0", *(f"systemd.mask=systemd-{name}.service" for name in (
    "tmpfiles-setup", "tmpfiles-setup-dev", "udevd", "udev-trigger", "journal-flush", "sysusers", "update-utmp", "hwdb-update", "timesyncd"))
UNITS = {
    "judge.target": "[Unit]\nRequires=judge.service\nAfter=judge.service\n",
    "judge.service": "[Unit]\nRequires=dbus.service\nAfter=dbus.service\nSuccessAction=poweroff-force\nFailureAction=poweroff-force\n"
                     "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/bash /judge.sh\nDelegate=yes\n",
}
# What systemd has not done by then.
JUDGE = """
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root RUNHV_SERVICE=off {environment}
mkdir -p /lib/modules/$(uname -r)
mount --bind {kernel}/lib/modules/$(uname -r) /lib/modules/$(uname -r)
for module in tun br_netfilter veth overlay fuse; do modprobe $module; done
exec >/dev/ttyS0 2>&1 </dev/null
echo "JUDGE KERNEL $(uname -r), $(systemctl --version | head -n 1), cgroups: $(cat /sys/fs/cgroup/cgroup.controllers)"
cd {root}
python3 -B -m pytest -v --color=no -p no:cacheprovider --tb=short -rs {files} --runhv-dist {dist} --images {images} -k {expression}
echo "JUDGE END $?"
"""
START = """
for unit in {units}; do cp /$unit /new/etc/systemd/system/$unit; done
: >/new/etc/fstab
mount -t tmpfs tmpfs /new/tmp
rm -f /new/.dockerenv
"""


def run(prepared, runtime, work, only):
    return cgroup2.run_in_machine(prepared, runtime, work, only, FILES, JUDGE, first="/lib/systemd/systemd",
                                  start=START.format(units=" ".join(UNITS)), extra=UNITS, options=" ".join(OPTIONS))
