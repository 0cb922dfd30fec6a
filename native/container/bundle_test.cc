#include "container/bundle.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "container/linux_abi.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "testing/host_root.h"

namespace runhv::container {
namespace {

using ::testing::HasSubstr;
using testing::kHostRoot;

const std::string kImage = kHostRoot + "img";

// A bundle of the least, with one more member at its top.
std::string bundle(const std::string& more, const std::string& process_more = "") {
  return R"({"ociVersion":"1.2.0","process":{"args":["/bin/true"],"cwd":"/")" + process_more +
         R"(},"vm":{"image":{"path":")" + kImage + R"(","format":"raw"}})" +
         (more.empty() ? "" : "," + more) + "}";
}

Result<Bundle> parse(const std::string& json) { return parse_bundle(json, "read config"); }

std::string complaint(const std::string& json) {
  const auto config = parse(json);
  return config ? "accepted" : config.error().detail;
}

TEST(Bundle, LeastBundleHasTheDefaults) {
  const auto config = parse(bundle(""));
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->vm.memory_bytes, 128u << 20);
  EXPECT_EQ(config->vm.processor_count, 1u);
  EXPECT_EQ(config->container.root_type, "erofs");
  EXPECT_EQ(config->vm.root_image, kImage);
  EXPECT_TRUE(config->connect_stdin);
  EXPECT_FALSE(config->process.capabilities);
  EXPECT_FALSE(config->process.seccomp);
}

TEST(Bundle, ProcessIsRead) {
  const auto config = parse(bundle("", R"(,
    "env":["A=b","C="],"user":{"uid":7,"gid":8,"umask":18,"additionalGids":[9,10]},
    "capabilities":{"bounding":["CAP_CHOWN","CAP_SYS_ADMIN"],"effective":["CAP_KILL"]},
    "rlimits":[{"type":"RLIMIT_NOFILE","soft":1024,"hard":18446744073709551615}],
    "noNewPrivileges":true,"oomScoreAdj":-500)"));
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_THAT(config->process.environment, ::testing::ElementsAre("A=b", "C="));
  EXPECT_EQ(config->process.user.uid, 7u);
  EXPECT_TRUE(config->process.has_umask);
  EXPECT_EQ(config->process.user.umask, 022u);
  EXPECT_THAT(config->process.groups, ::testing::ElementsAre(9, 10));
  EXPECT_EQ(config->process.capabilities->bounding, 1ull << 0 | 1ull << 21);
  EXPECT_EQ(config->process.capabilities->effective, 1ull << 5);
  ASSERT_EQ(config->process.rlimits.size(), 1u);
  EXPECT_EQ(config->process.rlimits[0].resource, 7u);
  EXPECT_EQ(config->process.rlimits[0].hard, UINT64_MAX);
  EXPECT_TRUE(config->process.no_new_privileges);
  EXPECT_EQ(config->process.oom_score_adj, -500);
}

TEST(Bundle, MountOptionsBecomeFlagsPropagationAndData) {
  const auto config = parse(bundle(R"("mounts":[
    {"destination":"/tmp","type":"tmpfs","source":"t",
     "options":["nosuid","suid","nodev","ro","size=64k","rslave","mode=1777","tmpcopyup"]}])"));
  ASSERT_TRUE(config) << to_string(config.error());
  const MountSpec& mount = config->container.mounts.at(0);
  EXPECT_EQ(mount.fixed.flags, linux_abi::kMsNodev | linux_abi::kMsRdonly);
  EXPECT_EQ(mount.fixed.propagation, linux_abi::kMsSlave | linux_abi::kMsRec);
  EXPECT_EQ(mount.fixed.options, RUNHV_MOUNT_TMPCOPYUP);
  EXPECT_EQ(mount.data, "size=64k,mode=1777");
}

TEST(Bundle, TheGuestsOwnNamespaceHasTheInterfacesOfANetworkNamespaceWithAPath) {
  const auto config =
      parse(bundle(R"("linux":{"namespaces":[{"type":"pid"},{"type":"network","path":")" +
                   kHostRoot + R"(run/netns/web"}]})"));
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->container.network_namespace, kHostRoot + "run/netns/web");
  EXPECT_EQ(config->container.namespaces, linux_abi::kCloneNewpid);
}

TEST(Bundle, DevicesNamespacesAndPathsAreRead) {
  const auto config = parse(bundle(R"("hostname":"web","linux":{
    "namespaces":[{"type":"pid"},{"type":"mount"},{"type":"network"}],
    "devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":438,"uid":1,"gid":2},
               {"path":"/dev/pipe","type":"p"}],
    "maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"],
    "sysctl":{"net.ipv4.ip_forward":"1"},"rootfsPropagation":"rprivate"})"));
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->container.namespaces,
            linux_abi::kCloneNewpid | linux_abi::kCloneNewns | linux_abi::kCloneNewnet);
  EXPECT_EQ(config->container.network_namespace, "");
  EXPECT_EQ(config->container.devices.at(0).fixed.mode, linux_abi::kSIfchr | 0666u);
  EXPECT_EQ(config->container.devices.at(0).fixed.minor, 229u);
  EXPECT_EQ(config->container.devices.at(1).fixed.mode, linux_abi::kSIfifo | 0666u);
  EXPECT_EQ(config->container.root_propagation, linux_abi::kMsPrivate | linux_abi::kMsRec);
  EXPECT_EQ(config->container.sysctls.at(0).second, "1");
}

TEST(Bundle, WhatSeparatesTheNameOfASysctlComesFirst) {
  const auto config = parse(bundle(
      R"("linux":{"sysctl":{"net/ipv4/conf/eth0.7/rp_filter":"1","net.ipv4.conf.eth0/8.rp_filter":"2"}})"));
  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->container.sysctls.at(0).first, "net.ipv4.conf.eth0/7.rp_filter");
  EXPECT_EQ(config->container.sysctls.at(1).first, "net.ipv4.conf.eth0/8.rp_filter");
}

TEST(Bundle, TheLastValueOfAVariableCounts) {
  const auto process = parse_process(
      R"({"args":["a"],"env":["PATH=/a","A=1","PATH=/b","AB=2","A="]})", "read the process");
  ASSERT_TRUE(process) << to_string(process.error());
  EXPECT_THAT(process->environment, ::testing::ElementsAre("PATH=/b", "A=", "AB=2"));
}

std::string with_users(const std::string& namespaces, const std::string& uids,
                       const std::string& gids) {
  return bundle(R"("linux":{"namespaces":[)" + namespaces + R"(],"uidMappings":[)" + uids +
                R"(],"gidMappings":[)" + gids + "]}");
}

constexpr const char* kWithUsers = R"({"type":"pid"},{"type":"mount"},{"type":"user"})";
constexpr const char* kShifted = R"({"containerID":0,"hostID":100000,"size":65536})";

TEST(Bundle, AUserNamespaceOwnsWhatTheContainerSees) {
  const auto config = parse(with_users(
      kWithUsers, kShifted, R"({"containerID":5,"hostID":0,"size":1},)" + std::string(kShifted)));
  EXPECT_FALSE(config) << "the ranges overlap";
  const auto good = parse(with_users(
      kWithUsers, kShifted,
      R"({"containerID":0,"hostID":7,"size":1},{"containerID":1,"hostID":4294967294,"size":1})"));
  ASSERT_TRUE(good) << to_string(good.error());
  const ContainerSpec& spec = good->container;
  EXPECT_EQ(spec.namespaces, linux_abi::kCloneNewuser | linux_abi::kCloneNewpid |
                                 linux_abi::kCloneNewns | linux_abi::kCloneNewnet |
                                 linux_abi::kCloneNewipc | linux_abi::kCloneNewuts |
                                 linux_abi::kCloneNewcgroup);
  ASSERT_EQ(spec.uid_map.size(), 1u);
  EXPECT_EQ(spec.uid_map[0].outside, 100000u);
  EXPECT_EQ(spec.uid_map[0].count, 65536u);
  ASSERT_EQ(spec.gid_map.size(), 2u);
  EXPECT_EQ(spec.gid_map[1].inside, 1u);
  EXPECT_EQ(spec.gid_map[1].outside, 4294967294u);
}

TEST(Bundle, TheMapsOfAUserNamespaceByItsPathAreNotTheBundles) {
  const std::string path = testing::kHostRoot + "proc/7/ns/user";
  const std::string named =
      with_users(R"({"type":"pid"},{"type":"mount"},{"type":"user","path":")" + path + R"("})",
                 R"({"containerID":0,"hostID":0,"size":1})", "");
  const auto own = parse(named);
  ASSERT_TRUE(own) << to_string(own.error());
  EXPECT_EQ(own->container.user_namespace, path);
  EXPECT_TRUE(own->container.uid_map.empty() && !own->container.joins_users);
  EXPECT_TRUE(own->container.namespaces & linux_abi::kCloneNewnet);
  const auto joining = parse_bundle(named, "read", Joins::kMachine);
  ASSERT_TRUE(joining) << to_string(joining.error());
  EXPECT_TRUE(joining->container.joins_users);
  EXPECT_FALSE(joining->container.namespaces & linux_abi::kCloneNewnet);
  EXPECT_THAT(complaint(bundle(R"("linux":{"namespaces":[{"type":"pid"},{"type":"mount"},
      {"type":"user","path":")" +
                               path + R"("}]},"mounts":[{"destination":"/m","type":"bind",
      "source":")" + path + R"(","options":["idmap"]}])")),
              HasSubstr("mounts[0].options: idmap needs mappings of the mount"));
}

TEST(Bundle, AMapIsReadAsTheKernelWritesIt) {
  const auto map = parse_id_map("         0     100000      65536\n 65536 7 1\n", "read");
  ASSERT_TRUE(map && map->size() == 2u);
  EXPECT_EQ((*map)[0].outside, 100000u);
  EXPECT_EQ(id_map_text(*map), "0 100000 65536\n65536 7 1\n");
  EXPECT_TRUE(parse_id_map("0 0 4294967295\n", "read")) << "everybody";
  EXPECT_TRUE(parse_id_map("", "read")->empty());
  for (const char* wrong : {"0 1", "x 1 1", "0 0 0", "4294967295 0 1", "0 1 4294967295",
                            "0 0 18446744073709551616", "\n"}) {
    EXPECT_FALSE(parse_id_map(wrong, "read")) << wrong;
  }
}

TEST(Bundle, MapsThatTheKernelWouldNotTakeAreNamed) {
  const auto with = [](const std::string& uids) {
    return complaint(with_users(kWithUsers, uids, kShifted));
  };
  const std::string first = std::string(kShifted) + ",";
  EXPECT_THAT(with(""), HasSubstr("linux.uidMappings: user namespaces enabled, but no uid"));
  EXPECT_THAT(with(R"({"containerID":1,"hostID":0,"size":1})"),
              HasSubstr("no user mapping found for root"));
  EXPECT_THAT(with(first + R"({"containerID":65535,"hostID":1,"size":1})"),
              HasSubstr("linux.uidMappings[1].containerID: the range overlaps"));
  EXPECT_THAT(with(first + R"({"containerID":65536,"hostID":99999,"size":2})"),
              HasSubstr("linux.uidMappings[1].hostID: the range overlaps"));
  EXPECT_EQ(with(first + R"({"containerID":65536,"hostID":99999,"size":1})"), "accepted");
  EXPECT_THAT(with(first + R"({"containerID":65536,"hostID":0,"size":0})"),
              HasSubstr("linux.uidMappings[1].size: expected an integer from 1"));
  EXPECT_THAT(with(first + R"({"containerID":4294967294,"hostID":0,"size":2})"),
              HasSubstr("linux.uidMappings[1].size: expected an integer from 1 to 1"));
  EXPECT_THAT(with(first + R"({"containerID":4294967295,"hostID":0,"size":1})"),
              HasSubstr("linux.uidMappings[1].containerID: expected an integer from 0"));
  EXPECT_THAT(with(R"({"containerID":0,"size":1})"),
              HasSubstr("linux.uidMappings[0].hostID: missing"));
  EXPECT_THAT(complaint(with_users(R"({"type":"pid"})", kShifted, kShifted)),
              HasSubstr("but USER namespace isn't enabled"));
  EXPECT_THAT(complaint(with_users(R"({"type":"mount"},{"type":"user"})", kShifted, kShifted)),
              HasSubstr("namespaces of its own for pid and mount"));
  std::string many = kShifted;
  for (unsigned i = 0; i < 340; ++i) {
    const std::string id = std::to_string(i);
    many +=
        R"(,{"containerID":)" + std::to_string(65536 + i) + R"(,"hostID":)" + id + R"(,"size":1})";
    if (i == 20) {
      EXPECT_EQ(with(many), "accepted");
    }
  }
  EXPECT_THAT(with(many), HasSubstr("more than 340 ranges"));
}

TEST(Bundle, OwnersOfABindMountAreMapped) {
  const auto with = [](const std::string& mount, const std::string& more = "") {
    return parse(bundle(R"("mounts":[{"destination":"/x",)" + mount + "}]" + more));
  };
  const auto share = [&](const std::string& members, const std::string& more = "") {
    const auto config = with(R"("source":"/y","type":"bind",)" + members, more);
    EXPECT_TRUE(config) << to_string(config.error());
    return config ? config->container.shares.front() : ShareSpec();
  };
  const std::string maps =
      std::string(R"("uidMappings":[)") + kShifted + R"(],"gidMappings":[)" + kShifted + "]";
  EXPECT_EQ(share(maps).uid_map.at(0).outside, 100000u);
  EXPECT_EQ(share(maps).gid_map.at(0).count, 65536u);
  EXPECT_FALSE(share(maps).maps_tree);
  EXPECT_TRUE(share(maps + R"(,"options":["rbind","ridmap"])").maps_tree);
  EXPECT_TRUE(share(R"("options":["bind"])").uid_map.empty());
  const std::string users =
      R"(,"linux":{"namespaces":[)" + std::string(kWithUsers) + "]," + maps + "}";
  EXPECT_EQ(share(R"("options":["idmap"])", users).uid_map.at(0).outside, 100000u);
  const auto complaint_of = [&](const std::string& mount) {
    const auto config = with(mount);
    return config ? "accepted" : config.error().detail;
  };
  EXPECT_THAT(complaint_of(R"("source":"/y","type":"bind","options":["idmap"])"),
              HasSubstr("mounts[0].options: idmap needs mappings"));
  EXPECT_THAT(
      complaint_of(R"("source":"/y","type":"bind","uidMappings":[)" + std::string(kShifted) + "]"),
      HasSubstr("mounts[0]: uidMappings and gidMappings come together"));
  EXPECT_THAT(complaint_of(R"("type":"tmpfs",)" + maps), HasSubstr("only of a bind mount"));
  std::string many;
  for (int i = 0; i < 340; ++i) {
    const std::string id = std::to_string(4'000'000'000 + i);
    many +=
        (i == 0 ? "" : ",") + (R"({"containerID":)" + id) + R"(,"hostID":)" + id + R"(,"size":1})";
  }
  EXPECT_THAT(complaint_of(R"("source":"/y","type":"bind","uidMappings":[)" + many +
                           R"(],"gidMappings":[)" + kShifted + "]"),
              HasSubstr("mounts[0]: its mappings are, as text, longer than the 4095 bytes"));
  EXPECT_THAT(complaint_of(R"("type":"tmpfs","options":["ridmap"])"),
              HasSubstr("only of a bind mount"));
}

TEST(Bundle, AnnotationWinsOverVmWinsOverResources) {
  const std::string resources = R"("linux":{"resources":{"memory":{"limit":67108864},
      "cpu":{"quota":150000,"period":100000}}})";
  const auto by_resources = parse(bundle(resources));
  ASSERT_TRUE(by_resources);
  EXPECT_EQ(by_resources->vm.memory_bytes, 64u << 20);
  EXPECT_EQ(by_resources->vm.processor_count, 2u);

  const std::string hardware =
      R"({"ociVersion":"1.2.0","process":{"args":["a"],"cwd":"/"},"vm":{"image":{"path":")" +
      kImage + R"(","format":"raw"},"hwConfig":{"memory":50331648,"vcpus":3}},)" + resources;
  const auto by_vm = parse(hardware + "}");
  ASSERT_TRUE(by_vm);
  EXPECT_EQ(by_vm->vm.memory_bytes, 48u << 20);
  EXPECT_EQ(by_vm->vm.processor_count, 3u);

  const auto by_annotation =
      parse(hardware + R"(,"annotations":{"dev.runhv.memory":"33554432","dev.runhv.cpus":"4"}})");
  ASSERT_TRUE(by_annotation);
  EXPECT_EQ(by_annotation->vm.memory_bytes, 32u << 20);
  EXPECT_EQ(by_annotation->vm.processor_count, 4u);
}

std::vector<std::string> warnings(const ProcessSpec& spec) {
  std::vector<std::string> texts;
  for (const Error& warning : spec.warnings) texts.push_back(to_string(warning));
  return texts;
}

// runtime-spec config.md, "capabilities": one that cannot be mapped is a warning.
TEST(Bundle, CapabilitiesThatNobodyHasAreAWarning) {
  const auto config = parse(
      bundle("", R"(,"capabilities":{"bounding":["CAP_FLY","CAP_KILL"],"permitted":["CAP_FLY"]})"));

  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->process.capabilities->bounding, 1ull << 5);
  EXPECT_THAT(warnings(config->process),
              ::testing::ElementsAre("grant CAP_FLY: there is no capability of that name"));
}

TEST(Bundle, AmbientIsWhatIsPermittedAndInheritable) {
  const auto config = parse(bundle("", R"(,"capabilities":{"permitted":["CAP_KILL","CAP_CHOWN"],
        "inheritable":["CAP_KILL"],"ambient":["CAP_KILL","CAP_CHOWN"]})"));

  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->process.capabilities->ambient, 1ull << 5);
  EXPECT_THAT(warnings(config->process),
              ::testing::ElementsAre(HasSubstr("grant CAP_CHOWN as ambient: ")));
}

TEST(Bundle, ATerminalHasASize) {
  const auto config =
      parse(bundle("", R"(,"terminal":true,"consoleSize":{"width":80,"height":24})"));

  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_TRUE(config->process.terminal);
  EXPECT_EQ(config->process.columns, 80);
  EXPECT_EQ(config->process.rows, 24);
}

TEST(Bundle, DockersFilesAreMadeOfTheNames) {
  const auto config = parse(
      bundle(R"("hostname":"web","domainname":"lan","annotations":{"dev.runhv.etc":"docker"})"));

  ASSERT_TRUE(config) << to_string(config.error());
  std::map<std::string, FileSpec> files;
  for (const FileSpec& file : config->container.files) files[file.path] = file;
  ASSERT_EQ(files.size(), 4u);
  EXPECT_EQ(files["/etc/hostname"].content, "web\n");
  EXPECT_EQ(files["/etc/hostname"].fixed.flags, 0u);
  EXPECT_EQ(files["/etc/hostname"].fixed.mode, linux_abi::kSIfreg | 0644u);
  EXPECT_THAT(files["/etc/hosts"].content,
              ::testing::AllOf(HasSubstr("127.0.0.1\tlocalhost\n"),
                               HasSubstr("::1\tlocalhost ip6-localhost ip6-loopback\n"),
                               HasSubstr("\n127.0.1.1\tweb.lan web\n")));
  EXPECT_EQ(files["/etc/resolv.conf"].fixed.flags, unsigned{RUNHV_FILE_IF_MISSING});
  EXPECT_EQ(files["/etc/mtab"].content, "/proc/mounts");
  EXPECT_EQ(files["/etc/mtab"].fixed.mode, linux_abi::kSIflnk | 0777u);
  EXPECT_EQ(files["/etc/mtab"].fixed.flags, unsigned{RUNHV_FILE_IF_MISSING});
}

TEST(Bundle, LayersAreTheRestOfTheImage) {
  const auto config = parse(bundle(R"("annotations":{"dev.runhv.rootfs.layers":")" + kHostRoot +
                                   "a\\n" + kHostRoot + "b\"}"));

  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_EQ(config->vm.root_image, kImage);
  EXPECT_EQ(config->vm.root_layers, (std::vector<std::string>{kHostRoot + "a", kHostRoot + "b"}));
}

TEST(Bundle, NoFileIsMadeUnlessItIsAskedFor) {
  const auto config = parse(bundle(R"("hostname":"web")"));

  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_TRUE(config->container.files.empty());
}

TEST(Bundle, VolumesAreFoldersThatMayBeThere) {
  const auto config = parse(bundle(R"("annotations":{"dev.runhv.volumes":"/srv/data\n/var/x"})"));

  ASSERT_TRUE(config) << to_string(config.error());
  ASSERT_EQ(config->container.files.size(), 2u);
  EXPECT_EQ(config->container.files[0].path, "/srv/data");
  EXPECT_EQ(config->container.files[1].path, "/var/x");
  EXPECT_EQ(config->container.files[1].fixed.mode, linux_abi::kSIfdir | 0755u);
  EXPECT_EQ(config->container.files[1].fixed.flags, unsigned{RUNHV_FILE_IF_MISSING});
}

TEST(Bundle, TheStopSignalHasANameOrANumber) {
  const auto signal = [](const std::string& text) {
    const auto config = parse(bundle(R"("annotations":{"dev.runhv.stop-signal":")" + text + "\"}"));
    return config ? config->stop_signal : 0;
  };
  EXPECT_EQ(signal("SIGQUIT"), 3);
  EXPECT_EQ(signal("usr1"), 10);
  EXPECT_EQ(signal("37"), 37);
  EXPECT_EQ(signal("SIGRTMIN"), 34);
  EXPECT_EQ(signal("RTMIN+3"), 37);
  EXPECT_EQ(signal("RTMAX-1"), 63);
  EXPECT_EQ(signal("SYS"), 31);
  EXPECT_EQ(parse(bundle(""))->stop_signal, 15);
  for (const char* bad :
       {"", "0", "65", "-1", "SIG", "FLY", "RTMIN+31", "RTMAX-31", "RTMIN+", "9x"}) {
    EXPECT_EQ(signal(bad), 0) << bad;
  }
}

TEST(Bundle, AnnotationsOfOthersAreKept) {
  const auto config = parse(bundle(R"("annotations":{"org.x":"y","dev.runhv.cpus":"2"})"));

  ASSERT_TRUE(config) << to_string(config.error());
  EXPECT_THAT(config->annotations, ::testing::ElementsAre(::testing::Pair("dev.runhv.cpus", "2"),
                                                          ::testing::Pair("org.x", "y")));
}

// What is absent is none: neither the first process's, nor docker's.
TEST(ProcessJson, TheLeastHasArguments) {
  const auto spec = parse_process(R"({"args":["sh"]})", "read the process");

  ASSERT_TRUE(spec) << to_string(spec.error());
  EXPECT_EQ(spec->cwd, "/");
  EXPECT_TRUE(spec->environment.empty());
  EXPECT_FALSE(spec->capabilities);
  EXPECT_FALSE(spec->seccomp);
  EXPECT_FALSE(spec->terminal);
  EXPECT_EQ(spec->user.uid, 0u);
}

TEST(ProcessJson, IsCheckedAsABundles) {
  const auto complaint_of = [](const std::string& json) {
    const auto spec = parse_process(json, "read the process");
    return spec ? "accepted" : to_string(spec.error());
  };
  EXPECT_EQ(complaint_of("{}"), "read the process: args: missing; expected an array of strings");
  EXPECT_EQ(complaint_of(R"({"args":["a"],"cwd":"x"})"),
            "read the process: cwd: expected an absolute path");
  EXPECT_EQ(complaint_of(R"({"args":["a"],"user":{"uid":-1}})"),
            "read the process: user.uid: expected an integer from 0 to 4294967294");
  EXPECT_EQ(complaint_of(R"({"args":["a"],"seccomp":{"defaultAction":"FLY"}})").substr(0, 40),
            "read the process: seccomp.defaultAction:");
  EXPECT_EQ(complaint_of(R"({"args":["a"],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}})"),
            "accepted");
  EXPECT_THAT(complaint_of(R"({"args":[")" + std::string(kMaxProcessJsonBytes, 'a') + R"("]})"),
              HasSubstr("at most 1048576 are possible"));
}

struct BadCase {
  std::string json;
  std::string expected;
};

TEST(Bundle, ModulesOfAKernelAreAnAbsolutePath) {
  const auto with =
      parse(bundle(R"("annotations":{"dev.runhv.kernel.modules":")" + kHostRoot + "m.cpio\"}"));
  ASSERT_TRUE(with);
  EXPECT_EQ(with->vm.modules, kHostRoot + "m.cpio");
  EXPECT_FALSE(parse(bundle(R"("annotations":{"dev.runhv.kernel.modules":"m.cpio"})")));
}

TEST(Bundle, AScratchDiskIsRoundedUpAndAbsentUnlessAskedFor) {
  const auto scratch = [](const std::string& annotations) {
    const auto config = parse(bundle(R"("annotations":{)" + annotations + "}"));
    return config ? config->vm.scratch_bytes : 1;
  };
  EXPECT_EQ(scratch(""), 0u);
  EXPECT_EQ(scratch(R"("dev.runhv.scratch":"0")"), 0u);
  EXPECT_EQ(scratch(R"("dev.runhv.scratch":"16777216")"), 16u << 20);
  EXPECT_EQ(scratch(R"("dev.runhv.scratch":"16777217")"), 32u << 20);
  EXPECT_EQ(scratch(R"("dev.runhv.scratch":"1099511627776")"), 1ull << 40);
}

TEST(Bundle, ARootFolderAndBindMountsAreShares) {
  const auto config = parse_bundle(
      R"({"ociVersion":"1.2.0","root":{"path":"rootfs","readonly":true},
          "process":{"args":["a"],"cwd":"/"},"mounts":[
          {"destination":"/proc","type":"proc"},
          {"destination":"/data","type":"bind","source":"/srv","options":["rbind","rprivate"]},
          {"destination":"/etc/hosts","type":"none","source":"hosts",
           "options":["bind","ro","rnosuid"]}]})",
      "read config");
  ASSERT_TRUE(config) << config.error().detail;
  const ContainerSpec& container = config->container;
  EXPECT_EQ(config->vm.root_image, "");
  EXPECT_TRUE(container.root_is_shared);
  ASSERT_EQ(container.shares.size(), 3u);
  EXPECT_EQ(container.shares[0].path, "rootfs");
  EXPECT_FALSE(container.shares[0].read_only) << "places of mounts are made in it";
  EXPECT_EQ(container.shares[1].path, "/srv");
  EXPECT_TRUE(container.shares[1].cross_mounts);
  EXPECT_EQ(container.shares[2].path, "hosts");
  EXPECT_TRUE(container.shares[2].read_only);
  EXPECT_FALSE(container.shares[2].cross_mounts);
  ASSERT_EQ(container.mounts.size(), 3u);
  EXPECT_EQ(container.mounts[1].source, "/1");
  EXPECT_EQ(container.mounts[2].source, "/2");
  EXPECT_EQ(container.mounts[2].fixed.options, unsigned{RUNHV_MOUNT_SHARE});
  EXPECT_EQ(container.mounts[2].fixed.flags, linux_abi::kMsRdonly | linux_abi::kMsNosuid);
}

TEST(Bundle, EveryComplaintNamesThePathAndWhatWasExpected) {
  const std::string head = R"({"ociVersion":"1.2.0",)";
  const BadCase cases[] = {
      {"not json", "not JSON: Invalid value. (at byte 1)"},
      {"[]", "the document: expected an object"},
      {"{}", "ociVersion: missing; expected a version such as 1.2.0"},
      {R"({"ociVersion":"2.0.0"})", "ociVersion: expected version 1.x, not 2.0.0"},
      {head + R"("process":{"cwd":"/"}})", "process.args: missing; expected an array of strings"},
      {head + R"("process":{"args":[],"cwd":"/"}})", "process.args: expected at least one string"},
      {head + R"("process":{"args":["a",7],"cwd":"/"}})", "process.args[1]: expected a string"},
      {head + R"("process":{"args":["a\u0000b"],"cwd":"/"}})",
       "process.args[0]: the string holds a NUL"},
      {head + R"("process":{"args":["a"],"cwd":"srv"}})", "process.cwd: expected an absolute path"},
      {bundle("", R"(,"env":["NOVALUE"])"), "process.env[0]: expected NAME=value"},
      {bundle("", R"(,"rlimits":[{"type":"RLIMIT_CPU","soft":2,"hard":1}])"),
       "process.rlimits[0].soft: more than the hard limit"},
      {bundle("", R"(,"user":{"uid":-1})"),
       "process.user.uid: expected an integer from 0 to 4294967294"},
      {bundle(R"("mounts":[{"destination":"/x","type":"bind"}])"),
       "mounts[0].source: a bind mount needs one"},
      {bundle(R"("mounts":[{"destination":"/x","type":"none","source":"/y"}])"),
       "mounts[0].type: expected a type, or the option bind or rbind"},
      {bundle(R"("mounts":[{"destination":"/x","source":"/y","options":["bind","tmpcopyup"]}])"),
       "mounts[0].options: tmpcopyup is for a tmpfs"},
      {bundle(R"("hooks":{"startContainer":[{"path":"x"}]})"),
       "hooks[\"startContainer\"][0].path: expected an absolute path"},
      {bundle(R"("hooks":{"startContainer":[{"path":"/x","env":["NOVALUE"]}]})"),
       "hooks[\"startContainer\"][0].env[0]: expected NAME=value"},
      {bundle(R"("hooks":{"startContainer":[{"path":"/x","timeout":0}]})"),
       "hooks[\"startContainer\"][0].timeout: expected an integer from 1"},
      {bundle(R"("linux":{"namespaces":[{"type":"network"},{"type":"pid","path":")" + kHostRoot +
              R"(run/ns"}]})"),
       "linux.namespaces[1].path: joining a namespace is not possible"},
      {bundle(R"("linux":{"namespaces":[{"type":"network","path":"run/ns"}]})"),
       "linux.namespaces[0].path: expected an absolute path"},
      {R"({"ociVersion":"1.2.0","process":{"args":["/a"],"cwd":"/"},"root":{"path":"/"},)"
       R"("linux":{"namespaces":[{"type":"pid"}]}})",
       "linux.namespaces: without a network namespace it asks for the host's network"},
      {bundle(R"("linux":{"sysctl":{"net/../kernel/a":"1"}})"),
       "linux.sysctl[\"net/../kernel/a\"]: expected a name such as net.ipv4.ip_forward"},
      {bundle(R"("linux":{"sysctl":{"kernel/hostname":"a"}})"),
       "linux.sysctl[\"kernel/hostname\"]: expected it as hostname"},
      {bundle(R"("linux":{"sysctl":{".kernel":"1"}})"), "expected a name such as"},
      {bundle(R"("linux":{"sysctl":{"kernel.hostname":"a"}})"),
       "linux.sysctl[\"kernel.hostname\"]: expected it as hostname"},
      {R"({"ociVersion":"1.2.0","process":{"args":["/a"],"cwd":"/"},"root":{"path":"/"},"linux":)"
       R"({"namespaces":[{"type":"network"}],"sysctl":{"kernel.msgmax":"1"}}})",
       "linux.sysctl[\"kernel.msgmax\"]: it is the host's without a namespace"},
      {R"({"ociVersion":"1.2.0","process":{"args":["/a"],"cwd":"/"},"root":{"path":"/"},"linux":)"
       R"({"namespaces":[{"type":"network"},{"type":"ipc"}],"sysctl":{"kernel.domainname":"a"}}})",
       "linux.sysctl[\"kernel.domainname\"]: it is the host's without a namespace"},
      {bundle(R"("annotations":{"dev.runhv.memroy":"1"})"),
       "annotations[\"dev.runhv.memroy\"]: unknown annotation"},
      {bundle(R"("annotations":{"dev.runhv.memory":"4194304"})"),
       "annotations[\"dev.runhv.memory\"]: 4194304 is too little; the least is 25165824"},
      {bundle(R"("annotations":{"dev.runhv.memory":"1g"})"), "expected a decimal number"},
      {bundle(R"("annotations":{"dev.runhv.cpus":"0"})"), "0 is too little; the least is 1"},
      {bundle(R"("annotations":{"dev.runhv.cpus":"1000"})"), "1000 is too much; the most is 64"},
      {bundle(R"("annotations":{"dev.runhv.scratch":"1048576"})"),
       "annotations[\"dev.runhv.scratch\"]: 1048576 is too little; the least is 16777216"},
      {bundle(R"("annotations":{"dev.runhv.scratch":"1099511627777"})"),
       "1099511627777 is too much; the most is 1099511627776"},
      {bundle(R"("annotations":{"dev.runhv.engine":"qemu"})"),
       "expected one of: auto, soft, kvm, whp"},
      {head + R"("process":{"args":["a"],"cwd":"/"}})",
       "root.path: missing; expected the folder of the root file system, or its block image"},
      {head + R"("root":{"path":""},"process":{"args":["a"],"cwd":"/"}})",
       "root.path: expected a path"},
      {head + R"("root":{"path":"rootfs"},"process":{"args":["a"],"cwd":"/"},)"
              R"("annotations":{"dev.runhv.scratch":"16777216"}})",
       "a scratch disk needs vm.image"},
      {head + R"("root":{"path":"rootfs"},"process":{"args":["a"],"cwd":"/"},)"
              R"("annotations":{"dev.runhv.rootfs.layers":"/l"}})",
       "layers of an image need vm.image"},
      {head + R"("process":{"args":["a"],"cwd":"/"},"vm":{"image":{"path":")" + kImage +
           R"(","format":"qcow2"}}})",
       "vm.image.format: expected \"raw\""},
  };
  for (const BadCase& bad : cases) EXPECT_THAT(complaint(bad.json), HasSubstr(bad.expected));
}

TEST(Bundle, NestingIsBounded) {
  const auto nested = [](std::size_t depth) {
    return bundle("\"x\":" + std::string(depth, '[') + std::string(depth, ']'));
  };
  EXPECT_EQ(complaint(nested(63)), "accepted");
  EXPECT_THAT(complaint(nested(64)), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(complaint(nested(1'000'000)), HasSubstr("nested deeper than 64 levels"));
}

TEST(Bundle, UnknownFieldsAndForeignAnnotationsPass) {
  EXPECT_EQ(complaint(bundle(R"("future":{"a":[1,2.5,null]},"annotations":{"org.x":"y"})")),
            "accepted");
}

}  // namespace
}  // namespace runhv::container
