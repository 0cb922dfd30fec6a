// Every field of config.json that docs/bundle.md names, with every wrong type and both ends of its
// range: each is refused, and the complaint names the field.

#include <rapidjson/document.h>
#include <rapidjson/pointer.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <filesystem>
#include <string>
#include <vector>

#include "container/bundle.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "testing/host_root.h"

namespace runhv::container {
namespace {

using ::testing::HasSubstr;
using testing::kHostRoot;
using ::testing::StartsWith;

constexpr char kWhole[] = R"({
  "ociVersion": "1.2.0", "hostname": "h", "domainname": "d",
  "root": {"path": "rootfs", "readonly": true},
  "process": {
    "args": ["/bin/true"], "cwd": "/", "env": ["A=b"], "terminal": false,
    "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]},
    "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
                     "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
    "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
    "noNewPrivileges": true, "oomScoreAdj": 7, "consoleSize": {"width": 80, "height": 24}, "apparmorProfile": "", "selinuxLabel": "",
    "scheduler": {"policy": "SCHED_BATCH", "nice": 1, "priority": 0,
                  "flags": ["SCHED_FLAG_RESET_ON_FORK"], "runtime": 0, "deadline": 0, "period": 0},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
    "execCPUAffinity": {"initial": "0", "final": "0"}},
  "mounts": [{"destination": "/tmp", "type": "tmpfs", "source": "s", "options": ["ro"]}],
  "hooks": {"prestart": []},
  "linux": {
    "namespaces": [{"type": "pid", "path": ""}, {"type": "network", "path": ""},
                   {"type": "time", "path": ""}],
    "personality": {"domain": "LINUX"},
    "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 1}, "boottime": {"secs": 1, "nanosecs": 1}},
    "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 2, "fileMode": 3, "uid": 4,
                 "gid": 5}],
    "maskedPaths": ["/a"], "readonlyPaths": ["/b"], "sysctl": {"kernel.a": "1"},
    "rootfsPropagation": "private", "mountLabel": "", "cgroupsPath": "/a/b",
    "resources": {
      "memory": {"limit": 67108864, "swap": 0, "reservation": 1, "kernel": 1, "kernelTCP": 1,
                 "swappiness": 1, "disableOOMKiller": false, "useHierarchy": false,
                 "checkBeforeUpdate": false},
      "cpu": {"quota": 100000, "period": 100000, "shares": 2, "idle": 0},
      "devices": [{"allow": true, "type": "c", "major": 1, "minor": 2, "access": "r"}],
      "pids": {"limit": 1}, "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
      "unified": {"memory.high": "1"}},
    "seccomp": {
      "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "listenerPath": "",
      "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
      "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2,
                    "args": [{"index": 0, "value": 1, "valueTwo": 2,
                              "op": "SCMP_CMP_MASKED_EQ"}]}]}},
  "vm": {
    "kernel": {"parameters": ["a"]},
    "image": {"format": "raw"},
    "hwConfig": {"vcpus": 1, "memory": 67108864}},
  "annotations": {"dev.runhv.memory": "67108864", "dev.runhv.cpus": "1",
                  "dev.runhv.scratch": "16777216", "dev.runhv.rootfs.type": "erofs",
                  "dev.runhv.engine": "soft", "dev.runhv.stdin": "true",
                  "dev.runhv.etc": "docker", "dev.runhv.stop-signal": "TERM",
                  "dev.runhv.volumes": "/srv"}
})";

const std::string kFile = testing::kHostRoot + "f";

std::string in_quotes(const std::string& text) { return '"' + text + '"'; }

std::string whole_with(const std::string& pointer, const std::string& json) {
  rapidjson::Document document;
  document.Parse(kWhole);
  EXPECT_FALSE(document.HasParseError());
  for (const char* of_the_host :
       {"/vm/kernel/path", "/vm/kernel/initrd", "/vm/image/path",
        "/annotations/dev.runhv.rootfs.layers", "/annotations/dev.runhv.kernel.modules"}) {
    rapidjson::Pointer(of_the_host).Set(document, kFile.c_str());
  }
  rapidjson::Document value(&document.GetAllocator());
  value.Parse<rapidjson::kParseFullPrecisionFlag>(json.c_str());
  EXPECT_FALSE(value.HasParseError()) << json;
  rapidjson::Pointer(pointer.c_str()).Set(document, value);
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> writer(text);
  document.Accept(writer);
  return text.GetString();
}

std::string layers_of(std::size_t count) {
  std::string lines;
  for (std::size_t i = 0; i < count; ++i) lines += kFile + "\\n";
  return in_quotes(lines);
}

std::string complaint(const std::string& pointer, const std::string& json) {
  const auto config = parse_bundle(whole_with(pointer, json), "read config");
  return config ? "accepted" : config.error().detail;
}

// /process/args/0 as complaints write it: process.args[0]. Members that are anybody's names are in
// quotes.
std::string shown(const std::string& pointer) {
  std::string path;
  std::string part;
  const auto end_part = [&] {
    const bool free_name = path == "annotations" || path == "hooks" || path == "linux.sysctl" ||
                           path == "linux.resources.unified";
    if (part.empty()) return;
    if (free_name) {
      path += "[\"" + part + "\"]";
    } else if (part.find_first_not_of("0123456789") == std::string::npos) {
      path += "[" + part + "]";
    } else {
      path += (path.empty() ? "" : ".") + part;
    }
    part.clear();
  };
  for (const char c : pointer) {
    if (c == '/') {
      end_part();
    } else {
      part += c;
    }
  }
  end_part();
  return path;
}

enum class Type { kString, kInteger, kBoolean, kArray, kObject };

struct Field {
  Type type;
  std::vector<std::string> pointers;
};

const std::vector<Field>& fields() {
  static const std::vector<Field> all = {
      {Type::kString,
       {"/ociVersion",
        "/hostname",
        "/domainname",
        "/root/path",
        "/process/args/0",
        "/process/cwd",
        "/process/env/0",
        "/process/capabilities/bounding/0",
        "/process/capabilities/effective/0",
        "/process/capabilities/permitted/0",
        "/process/capabilities/inheritable/0",
        "/process/capabilities/ambient/0",
        "/process/rlimits/0/type",
        "/process/apparmorProfile",
        "/process/selinuxLabel",
        "/process/scheduler/policy",
        "/process/scheduler/flags/0",
        "/process/ioPriority/class",
        "/process/execCPUAffinity/initial",
        "/process/execCPUAffinity/final",
        "/linux/personality/domain",
        "/mounts/0/destination",
        "/mounts/0/type",
        "/mounts/0/source",
        "/mounts/0/options/0",
        "/linux/namespaces/0/type",
        "/linux/namespaces/0/path",
        "/linux/devices/0/path",
        "/linux/devices/0/type",
        "/linux/maskedPaths/0",
        "/linux/readonlyPaths/0",
        "/linux/sysctl/kernel.a",
        "/linux/rootfsPropagation",
        "/linux/mountLabel",
        "/linux/cgroupsPath",
        "/linux/resources/devices/0/type",
        "/linux/resources/devices/0/access",
        "/linux/resources/hugepageLimits/0/pageSize",
        "/linux/resources/unified/memory.high",
        "/linux/seccomp/defaultAction",
        "/linux/seccomp/listenerPath",
        "/linux/seccomp/architectures/0",
        "/linux/seccomp/flags/0",
        "/linux/seccomp/syscalls/0/names/0",
        "/linux/seccomp/syscalls/0/action",
        "/linux/seccomp/syscalls/0/args/0/op",
        "/vm/kernel/path",
        "/vm/kernel/initrd",
        "/vm/kernel/parameters/0",
        "/vm/image/path",
        "/vm/image/format",
        "/annotations/dev.runhv.memory",
        "/annotations/dev.runhv.cpus",
        "/annotations/dev.runhv.scratch",
        "/annotations/dev.runhv.rootfs.type",
        "/annotations/dev.runhv.engine",
        "/annotations/dev.runhv.stdin",
        "/annotations/dev.runhv.etc",
        "/annotations/dev.runhv.stop-signal",
        "/annotations/dev.runhv.volumes",
        "/annotations/dev.runhv.rootfs.layers",
        "/annotations/dev.runhv.kernel.modules"}},
      {Type::kInteger,
       {"/process/user/uid",
        "/process/user/gid",
        "/process/user/umask",
        "/process/user/additionalGids/0",
        "/process/rlimits/0/soft",
        "/process/rlimits/0/hard",
        "/process/oomScoreAdj",
        "/process/scheduler/nice",
        "/process/scheduler/priority",
        "/process/scheduler/runtime",
        "/process/scheduler/deadline",
        "/process/scheduler/period",
        "/process/ioPriority/priority",
        "/linux/timeOffsets/monotonic/secs",
        "/linux/timeOffsets/monotonic/nanosecs",
        "/linux/timeOffsets/boottime/secs",
        "/linux/timeOffsets/boottime/nanosecs",
        "/process/consoleSize/width",
        "/process/consoleSize/height",
        "/linux/devices/0/major",
        "/linux/devices/0/minor",
        "/linux/devices/0/fileMode",
        "/linux/devices/0/uid",
        "/linux/devices/0/gid",
        "/linux/resources/memory/limit",
        "/linux/resources/memory/swap",
        "/linux/resources/memory/reservation",
        "/linux/resources/memory/kernel",
        "/linux/resources/memory/kernelTCP",
        "/linux/resources/memory/swappiness",
        "/linux/resources/cpu/shares",
        "/linux/resources/cpu/idle",
        "/linux/resources/devices/0/major",
        "/linux/resources/devices/0/minor",
        "/linux/resources/pids/limit",
        "/linux/resources/hugepageLimits/0/limit",
        "/linux/resources/cpu/quota",
        "/linux/resources/cpu/period",
        "/linux/seccomp/defaultErrnoRet",
        "/linux/seccomp/syscalls/0/errnoRet",
        "/linux/seccomp/syscalls/0/args/0/index",
        "/linux/seccomp/syscalls/0/args/0/value",
        "/linux/seccomp/syscalls/0/args/0/valueTwo",
        "/vm/hwConfig/vcpus",
        "/vm/hwConfig/memory"}},
      {Type::kBoolean,
       {"/root/readonly", "/process/terminal", "/process/noNewPrivileges",
        "/linux/resources/memory/disableOOMKiller", "/linux/resources/memory/useHierarchy",
        "/linux/resources/memory/checkBeforeUpdate", "/linux/resources/devices/0/allow"}},
      {Type::kArray,
       {"/process/args",
        "/process/env",
        "/process/user/additionalGids",
        "/process/capabilities/bounding",
        "/process/capabilities/effective",
        "/process/capabilities/permitted",
        "/process/capabilities/inheritable",
        "/process/capabilities/ambient",
        "/process/rlimits",
        "/process/scheduler/flags",
        "/mounts",
        "/mounts/0/options",
        "/hooks/prestart",
        "/linux/namespaces",
        "/linux/devices",
        "/linux/maskedPaths",
        "/linux/readonlyPaths",
        "/linux/resources/devices",
        "/linux/resources/hugepageLimits",
        "/linux/seccomp/architectures",
        "/linux/seccomp/flags",
        "/linux/seccomp/syscalls",
        "/linux/seccomp/syscalls/0/names",
        "/linux/seccomp/syscalls/0/args",
        "/vm/kernel/parameters"}},
      {Type::kObject,
       {"/root",
        "/process",
        "/process/user",
        "/process/capabilities",
        "/process/consoleSize",
        "/process/rlimits/0",
        "/process/scheduler",
        "/process/ioPriority",
        "/process/execCPUAffinity",
        "/linux/personality",
        "/linux/timeOffsets",
        "/mounts/0",
        "/hooks",
        "/linux",
        "/linux/namespaces/0",
        "/linux/devices/0",
        "/linux/sysctl",
        "/linux/seccomp",
        "/linux/seccomp/syscalls/0",
        "/linux/seccomp/syscalls/0/args/0",
        "/linux/resources",
        "/linux/resources/memory",
        "/linux/resources/cpu",
        "/linux/resources/pids",
        "/linux/resources/devices/0",
        "/linux/resources/hugepageLimits/0",
        "/linux/resources/unified",
        "/vm",
        "/vm/kernel",
        "/vm/image",
        "/vm/hwConfig",
        "/annotations"}}};
  return all;
}

TEST(BundleFields, TheWholeIsAccepted) {
  const auto config = parse_bundle(whole_with("/hostname", in_quotes("h")), "read config");
  EXPECT_TRUE(config) << config.error().detail;
}

TEST(BundleFields, EveryWrongTypeIsRefusedByName) {
  const std::pair<Type, std::string> values[] = {{Type::kString, R"("x")"},
                                                 {Type::kInteger, "7"},
                                                 {Type::kBoolean, "true"},
                                                 {Type::kArray, "[]"},
                                                 {Type::kObject, "{}"}};
  for (const Field& field : fields()) {
    for (const std::string& pointer : field.pointers) {
      for (const auto& [type, value] : values) {
        if (type == field.type) continue;
        EXPECT_THAT(complaint(pointer, value), StartsWith(shown(pointer) + ": expected "))
            << pointer << " = " << value;
      }
      if (field.type == Type::kInteger) {
        for (const char* number : {"1.5", "1e3", "-1e3", "36893488147419103232"}) {
          EXPECT_THAT(complaint(pointer, number), StartsWith(shown(pointer) + ": expected "))
              << pointer << " = " << number;
        }
      }
      if (field.type == Type::kString) {
        EXPECT_THAT(complaint(pointer, R"("/a\u0000b")"), StartsWith(shown(pointer) + ": "))
            << pointer;
      }
    }
  }
}

TEST(BundleFields, EveryElementThatIsNullIsRefusedByName) {
  for (const Field& field : fields()) {
    if (field.type != Type::kArray) continue;
    for (const std::string& pointer : field.pointers) {
      EXPECT_THAT(complaint(pointer, "[null]"),
                  StartsWith(shown(pointer) + "[0]: expected a value, not null"));
    }
  }
}

TEST(BundleFields, WhatIsRequiredIsMissed) {
  for (const char* pointer : {"/ociVersion",
                              "/process",
                              "/process/args",
                              "/process/cwd",
                              "/process/rlimits/0/type",
                              "/process/rlimits/0/soft",
                              "/process/rlimits/0/hard",
                              "/mounts/0/destination",
                              "/linux/namespaces/0/type",
                              "/linux/devices/0/path",
                              "/linux/devices/0/type",
                              "/linux/devices/0/major",
                              "/linux/devices/0/minor",
                              "/linux/resources/devices/0/allow",
                              "/linux/seccomp/defaultAction",
                              "/linux/seccomp/syscalls/0/names",
                              "/linux/seccomp/syscalls/0/action",
                              "/linux/seccomp/syscalls/0/args/0/index",
                              "/linux/seccomp/syscalls/0/args/0/value",
                              "/linux/seccomp/syscalls/0/args/0/op",
                              "/vm/image/path",
                              "/vm/image/format"}) {
    EXPECT_THAT(complaint(pointer, "null"), StartsWith(shown(pointer) + ": missing; expected"));
  }
}

struct Range {
  std::string pointer;
  std::vector<std::string> inside;
  std::vector<std::string> outside;
};

TEST(BundleFields, EveryRangeHasItsEnds) {
  const std::string id_most = "4294967294";
  const std::string id_beyond = "4294967295";
  const Range ranges[] = {
      {"/ociVersion", {R"("1.0.0")", R"("1.3.1")"}, {R"("")", R"("1")", R"("2.0.0")", R"("x")"}},
      {"/hostname",
       {"\"" + std::string(64, 'h') + "\"", R"("")"},
       {"\"" + std::string(65, 'h') + "\""}},
      {"/domainname", {"\"" + std::string(64, 'h') + "\""}, {"\"" + std::string(65, 'h') + "\""}},
      {"/process/args", {R"([""])"}, {"[]"}},
      {"/process/cwd", {R"("/a")"}, {R"("")", R"("a")", R"("./a")"}},
      {"/process/env/0", {R"("A=")", R"("A=b=c")"}, {R"("")", R"("A")", R"("=b")"}},
      {"/process/terminal", {"false", "true"}, {}},
      {"/process/user/uid", {"0", id_most}, {"-1", id_beyond, "4294967296"}},
      {"/process/user/gid", {"0", id_most}, {"-1", id_beyond, "4294967296"}},
      {"/process/user/umask", {"0", "511"}, {"-1", "512"}},
      {"/process/user/additionalGids/0", {"0", id_most}, {"-1", id_beyond}},
      {"/process/capabilities/bounding/0",
       {R"("CAP_CHOWN")", R"("CAP_CHECKPOINT_RESTORE")", R"("")", R"("CHOWN")", R"("CAP_FLY")"},
       {}},
      {"/process/consoleSize/width", {"0", "65535"}, {"-1", "65536"}},
      {"/process/consoleSize/height", {"0", "65535"}, {"-1", "65536"}},
      {"/process/rlimits/0/type",
       {R"("RLIMIT_CPU")", R"("RLIMIT_RTTIME")"},
       {R"("")", R"("CPU")", R"("RLIMIT_FLY")"}},
      {"/process/rlimits/0/soft", {"0", "2"}, {"-1", "3"}},
      {"/process/rlimits/0/hard", {"1", "18446744073709551615"}, {"-1"}},
      {"/process/oomScoreAdj", {"-1000", "1000"}, {"-1001", "1001"}},
      {"/process/apparmorProfile", {R"("docker-default")"}, {}},
      {"/process/selinuxLabel", {R"("system_u")"}, {}},
      {"/process/scheduler/policy",
       {R"("SCHED_OTHER")", R"("SCHED_RR")", R"("SCHED_IDLE")", R"("SCHED_DEADLINE")"},
       {R"("")", R"("FIFO")", R"("SCHED_ISO")"}},
      {"/process/scheduler", {}, {"{}"}},
      {"/process/scheduler/nice", {"-20", "19"}, {"-21", "20"}},
      {"/process/scheduler/priority", {"0", "99"}, {"-1", "100"}},
      {"/process/scheduler/flags/0", {R"("SCHED_FLAG_UTIL_CLAMP_MAX")"}, {R"("")", R"("FAST")"}},
      {"/process/scheduler/runtime", {"0", "18446744073709551615"}, {"-1"}},
      {"/process/scheduler/deadline", {"0", "18446744073709551615"}, {"-1"}},
      {"/process/scheduler/period", {"0", "18446744073709551615"}, {"-1"}},
      {"/process/ioPriority/class",
       {R"("IOPRIO_CLASS_RT")", R"("IOPRIO_CLASS_BE")", R"("IOPRIO_CLASS_IDLE")"},
       {R"("")", R"("IOPRIO_CLASS_NONE")"}},
      {"/process/ioPriority", {}, {"{}"}},
      {"/process/ioPriority/priority", {"0", "7"}, {"-1", "8"}},
      {"/process/execCPUAffinity/initial",
       {R"("")", R"("0")", R"("0-63")", R"("1,3-5,63")"},
       {R"("64")", R"("3-1")", R"("a")", R"("-1")", R"("1-")", R"(",")", R"("0 ")"}},
      {"/process/execCPUAffinity/final", {R"("7")"}, {R"("0-64")"}},
      {"/mounts/0/destination", {R"("/")", R"("tmp")"}, {R"("")"}},
      {"/mounts/0/type",
       {R"("proc")", R"("sysfs")", R"("devpts")", R"("mqueue")", R"("cgroup")", R"("cgroup2")"},
       {R"("nfs")", R"("overlay")"}},
      {"/mounts/0",
       {},
       {R"({"destination":"/a"})", R"({"destination":"/a","type":"bind"})",
        R"({"destination":"/a","type":"none"})"}},
      {"/mounts/0/options/0",
       {R"("rro")", R"("size=1k")", R"("bind")", R"("rbind")", R"("rnosuid")"},
       {}},
      {"/mounts/0/uidMappings", {}, {"[]", "7"}},
      {"/mounts/0/gidMappings", {}, {"[]", "7"}},
      {"/hooks/prestart", {"[]", R"([{"path":"/x"}])"}, {}},
      {"/hooks/startContainer", {"[]", R"([{"path":"/x","timeout":2147483647}])"}, {}},
      {"/linux/namespaces/0/type",
       {R"("pid")", R"("mount")", R"("uts")", R"("ipc")", R"("cgroup")"},
       {R"("")", R"("net")", R"("mnt")", R"("Pid")", R"("pid ")", R"("vm")"}},
      {"/linux/namespaces/0/path", {}, {R"("/proc/1/ns/pid")"}},
      {"/linux/namespaces/1/path", {in_quotes(kFile)}, {R"("netns/a")"}},
      {"/linux/devices/0/path", {R"("/")"}, {R"("")", R"("dev/x")"}},
      {"/linux/devices/0/type",
       {R"("c")", R"("u")", R"("b")", R"("p")"},
       {R"("")", R"("C")", R"("d")"}},
      {"/linux/devices/0/major", {"0", "4095"}, {"-1", "4096"}},
      {"/linux/devices/0/minor", {"0", "1048575"}, {"-1", "1048576"}},
      {"/linux/devices/0/fileMode", {"0", "65535"}, {"-1", "65536"}},
      {"/linux/devices/0/uid", {"0", id_most}, {"-1", id_beyond}},
      {"/linux/devices/0/gid", {"0", id_most}, {"-1", id_beyond}},
      {"/linux/maskedPaths/0", {R"("/")"}, {R"("")", R"("a")"}},
      {"/linux/readonlyPaths/0", {R"("/")"}, {R"("")", R"("a")"}},
      {"/linux/sysctl",
       {"{}", R"({"net/a":"1"})", R"({"net.a/1.b":"1"})"},
       {R"({"":"1"})", R"({"/net":"1"})", R"({"net//a":"1"})", R"({"net./a":"1"})",
        R"({"net.":"1"})", R"({"net/./a":"1"})"}},
      {"/linux/sysctl/a..b", {}, {R"("1")"}},
      {"/linux/sysctl/.a", {}, {R"("1")"}},
      {"/linux/rootfsPropagation",
       {R"("")", R"("rshared")", R"("unbindable")"},
       {R"("public")", R"("ro")"}},
      {"/linux/mountLabel", {R"("system_u")"}, {}},
      {"/linux/personality/domain", {R"("LINUX")", R"("LINUX32")"}, {R"("")", R"("BSD")"}},
      {"/linux/personality", {}, {"{}"}},
      {"/linux/personality/flags", {"[]"}, {}},
      {"/linux/personality/flags/0", {}, {R"("X")"}},
      {"/linux/timeOffsets/monotonic/secs",
       {"-9223372036854775808", "9223372036854775807"},
       {"9223372036854775808"}},
      {"/linux/timeOffsets/boottime/nanosecs", {"0", "999999999"}, {"-1", "1000000000"}},
      {"/linux/timeOffsets", {"{}"}, {R"({"realtime":{}})"}},
      {"/linux/intelRdt", {}, {"{}"}},
      {"/linux/netDevices", {}, {"{}"}},
      {"/linux/resources/memory/limit",
       {"-1", "0", "9223372036854775807"},
       {"-2", "9223372036854775808"}},
      {"/linux/resources/memory/swap",
       {"-1", "0", "67108864", "9223372036854775807"},
       {"-2", "67108863"}},
      {"/linux/resources/memory/reservation", {"-1", "0", "9223372036854775807"}, {"-2"}},
      {"/linux/resources/memory/kernel", {"-1", "9223372036854775807"}, {"-2"}},
      {"/linux/resources/memory/kernelTCP", {"-1", "9223372036854775807"}, {"-2"}},
      {"/linux/resources/memory/swappiness", {"0", "100"}, {"-1", "101"}},
      {"/linux/resources/cpu/shares", {"0", "9223372036854775807"}, {"-1"}},
      {"/linux/resources/cpu/idle", {"0", "1"}, {"-1", "2"}},
      {"/linux/resources/pids/limit", {"-1", "0", "9223372036854775807"}, {"-2"}},
      {"/linux/resources/hugepageLimits/0/limit", {"0", "18446744073709551615"}, {"-1"}},
      {"/linux/resources/devices/0/type",
       {R"("a")", R"("b")", R"("")"},
       {R"("u")", R"("p")", R"("cb")"}},
      {"/linux/resources/devices/0/access", {R"("rwm")", R"("m")"}, {R"("")", R"("rx")", R"("R")"}},
      {"/linux/resources/devices/0/major", {"-1", "0", "4294967294"}, {"-2", "4294967295"}},
      {"/linux/resources/devices/0/minor", {"-1", "0", "4294967294"}, {"-2", "4294967295"}},
      {"/linux/resources/unified/A", {}, {R"("1")"}},
      {"/linux/resources/unified/.a", {}, {R"("1")"}},
      {"/linux/resources/cpu/quota", {"-1", "0", "9223372036854775807"}, {"9223372036854775808"}},
      {"/linux/resources/cpu/period", {"0", "18446744073709551615"}, {"-1"}},
      {"/linux/seccomp/defaultAction",
       {R"("SCMP_ACT_ALLOW")", R"("SCMP_ACT_KILL_PROCESS")"},
       {R"("")", R"("ALLOW")", R"("SCMP_ACT_NOTIFY")"}},
      {"/linux/seccomp/defaultErrnoRet", {"0", "4095"}, {"-1", "4096"}},
      {"/linux/seccomp/listenerPath", {R"("")"}, {R"("/run/x")"}},
      {"/linux/seccomp/architectures", {"[]", R"(["SCMP_ARCH_ARM"])"}, {R"(["x86"])"}},
      {"/linux/seccomp/flags/0",
       {R"("SECCOMP_FILTER_FLAG_TSYNC")"},
       {R"("")", R"("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")"}},
      {"/linux/seccomp/syscalls/0/names/0", {R"("no_such_call")"}, {}},
      {"/linux/seccomp/syscalls/0/errnoRet", {"0", "4095"}, {"-1", "4096"}},
      {"/linux/seccomp/syscalls/0/args/0/index", {"0", "5"}, {"-1", "6"}},
      {"/linux/seccomp/syscalls/0/args/0/value", {"0", "18446744073709551615"}, {"-1"}},
      {"/linux/seccomp/syscalls/0/args/0/valueTwo", {"0", "18446744073709551615"}, {"-1"}},
      {"/linux/seccomp/syscalls/0/args/0/op",
       {R"("SCMP_CMP_GE")"},
       {R"("")", R"("GE")", R"("SCMP_CMP_XX")"}},
      {"/vm/kernel/path", {in_quotes(kHostRoot)}, {R"("")", R"("k")"}},
      {"/vm/kernel/initrd", {in_quotes(kHostRoot)}, {R"("")", R"("k")"}},
      {"/vm/kernel/parameters",
       {R"([])", "[\"" + std::string(2048, 'a') + "\"]"},
       {"[\"" + std::string(2049, 'a') + "\"]"}},
      {"/vm/image/path", {in_quotes(kHostRoot)}, {R"("")", R"("img")"}},
      {"/vm/image/format", {R"("raw")"}, {R"("")", R"("qcow2")", R"("vmdk")"}},
      {"/vm/hwConfig/vcpus", {"1", "64"}, {"-1"}},
      {"/vm/hwConfig/memory", {"25165824", "549755813888"}, {"-1"}},
      {"/annotations/dev.runhv.memory",
       {R"("25165824")", R"("549755813888")"},
       {R"("")", R"("-1")", R"("25165823")", R"("549755813889")", R"("1g")", R"(" 1")", R"("0x1")",
        R"("18446744073709551616")"}},
      {"/annotations/dev.runhv.cpus",
       {R"("1")", R"("64")"},
       {R"("")", R"("0")", R"("65")", R"("+1")", R"("1.0")", R"("18446744073709551617")"}},
      {"/annotations/dev.runhv.scratch",
       {R"("0")", R"("16777216")", R"("1099511627776")"},
       {R"("")", R"("1")", R"("16777215")", R"("1099511627777")"}},
      {"/annotations/dev.runhv.rootfs.type",
       {R"("erofs")", R"("ext4")"},
       {R"("")", R"("xfs")", R"("EROFS")"}},
      {"/annotations/dev.runhv.engine",
       {R"("auto")", R"("soft")", R"("kvm")", R"("whp")"},
       {R"("")", R"("qemu")"}},
      {"/annotations/dev.runhv.stdin",
       {R"("true")", R"("false")"},
       {R"("")", R"("1")", R"("yes")"}},
      {"/annotations/dev.runhv.etc", {R"("none")", R"("docker")"}, {R"("")", R"("podman")"}},
      {"/annotations/dev.runhv.stop-signal", {R"("1")", R"("64")"}, {R"("0")", R"("65")"}},
      {"/annotations/dev.runhv.volumes",
       {R"("")", R"("/a")", R"("/a\n/b\n")"},
       {R"("a")", R"("/a\nb")", R"("/a\n\n/b")"}},
      {"/annotations/dev.runhv.rootfs.layers",
       {R"("")", in_quotes(kFile), in_quotes(kFile + "\\n" + kHostRoot + "\\n"),
        layers_of(kMaxRootLayers)},
       {R"("a")", in_quotes(kFile + "\\nb"), in_quotes(kFile + "\\n\\n" + kFile),
        layers_of(kMaxRootLayers + 1)}},
      {"/annotations/dev.runhv.kernel.modules", {in_quotes(kFile)}, {R"("")", R"("m")"}},
      {"/annotations/dev.runhv.nosuch", {}, {R"("1")"}},
  };
  for (const Range& range : ranges) {
    for (const std::string& value : range.inside) {
      EXPECT_EQ(complaint(range.pointer, value), "accepted") << range.pointer << " = " << value;
    }
    for (const std::string& value : range.outside) {
      EXPECT_THAT(complaint(range.pointer, value), StartsWith(shown(range.pointer)))
          << range.pointer << " = " << value;
    }
  }
}

// The winner of several sources of one size is judged; the others must still be what they are.
TEST(BundleFields, ASizeThatIsOverruledIsStillRead) {
  EXPECT_THAT(complaint("/vm/hwConfig/memory", R"("lots")"), StartsWith("vm.hwConfig.memory: "));
  EXPECT_THAT(complaint("/vm/hwConfig/vcpus", "-1"), StartsWith("vm.hwConfig.vcpus: "));
  EXPECT_EQ(complaint("/vm/hwConfig/memory", "1"), "accepted");
}

TEST(BundleFields, WhatIsThereTwiceIsRefused) {
  EXPECT_THAT(complaint("/linux/namespaces", R"([{"type":"pid"},{"type":"pid"}])"),
              HasSubstr("the namespace pid is there twice"));
  EXPECT_THAT(complaint("/process/rlimits", R"([{"type":"RLIMIT_CPU","soft":1,"hard":1},
                                                {"type":"RLIMIT_CPU","soft":1,"hard":1}])"),
              HasSubstr("RLIMIT_CPU is there twice"));
}

}  // namespace
}  // namespace runhv::container
