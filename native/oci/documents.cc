#include "oci/documents.h"

#include <cstdio>
#include <filesystem>

#include "base/bytes.h"
#include "container/json_writer.h"
#include "platform/file.h"
#include "platform/path.h"

namespace runhv::oci {
namespace {

// OCI runtime specification, "Features Structure". What the guest does is docs/bundle.md's.
constexpr const char* kFeatures = R"({
  "ociVersionMin": "1.0.0",
  "ociVersionMax": "1.3.0",
  "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart",
    "poststop"],
  "mountOptions": ["async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec",
    "idmap", "iversion", "lazytime", "loud", "mand", "noatime", "nodev", "nodiratime", "noexec",
    "noiversion", "nolazytime", "nomand", "norelatime", "nostrictatime", "nosuid", "nosymfollow",
    "private", "ratime", "rbind", "rdev", "rdiratime", "relatime", "remount", "rexec", "ridmap", "rnoatime",
    "rnodev", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid", "rnosymfollow",
    "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid",
    "rsymfollow", "runbindable", "rw", "shared", "silent", "slave", "strictatime", "suid",
    "symfollow", "sync", "tmpcopyup", "unbindable"],
  "linux": {
    "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
    "cgroup": {"v1": true, "v2": true, "systemd": true, "rdma": false},
    "seccomp": {
      "enabled": true,
      "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"],
      "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
        "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
      "archs": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]
    },
    "apparmor": {"enabled": false},
    "selinux": {"enabled": false},
    "intelRdt": {"enabled": false},
    "mountExtensions": {"idmap": {"enabled": true}}
  },
  "annotations": {"dev.runhv.version": ")" RUNHV_VERSION R"("},
  "potentiallyUnsafeConfigAnnotations": ["dev.runhv."]
}
)";

constexpr const char* kSpecBegin = R"({
  "ociVersion": "1.2.0",
  "process": {
    "terminal": true,
    "user": {"uid": 0, "gid": 0},
    "args": ["sh"],
    "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    "cwd": "/",
    "capabilities": {
      "bounding": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
      "effective": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
      "permitted": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    },
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
    "noNewPrivileges": true
  },
  "root": {"path": "rootfs", "readonly": true},
  "hostname": "runhv",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
      "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
      "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
      "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
      "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs",
      "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
      "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
  ],
)";
constexpr const char* kSpecEnd = R"(  "linux": {
    "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
      {"type": "mount"}, {"type": "cgroup"}],
    "resources": {"devices": [{"allow": false, "access": "rwm"}]},
    "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
      "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
    "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
  }
}
)";

}  // namespace

Result<int> features_verb(const Call&) {
  std::fputs(kFeatures, stdout);
  return 0;
}

Result<int> spec_verb(const Call& call) {
  std::error_code failure;
  const std::string named = call.arguments.value("bundle");
  const std::filesystem::path folder =
      std::filesystem::absolute(platform::filesystem_path(named.empty() ? "." : named), failure)
          .lexically_normal();
  const std::string path = platform::path_text(folder / "config.json");
  if (platform::file_exists(path)) {
    return Fail{Error{Code::kConflict, "spec", path + " exists; remove it first"}};
  }
  const std::string image = platform::path_text(folder / "rootfs.erofs");
  std::string text = kSpecBegin;
  if (platform::file_exists(image)) {
    text += R"(  "vm": {"image": {"path": )" + container::json_string(image) +
            R"(, "format": "raw"}},)"
            "\n";
  }
  text += kSpecEnd;
  RUNHV_TRY(platform::write_file_atomically(path, as_bytes(std::string_view(text)),
                                            platform::Durability::kUnsynced));
  return 0;
}

}  // namespace runhv::oci
