// Hooks, cgroups and namespaces of the host, which Linux has alone.
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

#include "control/container_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "oci/cgroups.h"
#include "oci/host_spec.h"
#include "oci/pod.h"
#include "oci/systemd_scope.h"
#include "platform/file.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(HostSpec, IsReadWithItsTypes) {
  const auto spec = parse_host_spec(
      R"({"process":{"oomScoreAdj":-5},"hooks":{"poststop":[{"path":"/h","args":["h"],"timeout":2}]},
          "mounts":[{"destination":"/etc/resolv.conf","source":"/r"}],
          "linux":{"cgroupsPath":"/a/b","namespaces":[{"type":"network","path":"/n"},
            {"type":"ipc","path":"/i"},{"type":"user","path":"/u"},{"type":"uts"},{"type":"pid","path":"/p"}],
          "resources":{"memory":{"limit":7},"cpu":{"shares":3,"quota":-1,"cpus":"0-1"}}}})",
      "read");
  ASSERT_TRUE(spec) << to_string(spec.error());
  EXPECT_EQ(spec->cgroups_path, "/a/b");
  EXPECT_EQ(spec->network_namespace, "/n");
  EXPECT_THAT(spec->joined_namespaces, ElementsAre("/i"));
  EXPECT_EQ(spec->user_namespace, "/u");
  EXPECT_TRUE(spec->brings_resolver);
  EXPECT_EQ(spec->oom_score_adj, -5);
  EXPECT_EQ(spec->resources.memory_limit_bytes, 7);
  EXPECT_EQ(spec->resources.cpu_quota_us, -1);
  EXPECT_EQ(spec->resources.cpus, "0-1");
  ASSERT_EQ(spec->hooks.poststop.size(), 1u);
  EXPECT_EQ(spec->hooks.poststop[0].timeout_ns, 2'000'000'000u);
  for (const char* wrong : {R"({"hooks":{"poststop":[{"path":"h"}]}})",
                            R"({"hooks":{"prestart":[{"path":"/h","timeout":0}]}})",
                            R"({"process":{"oomScoreAdj":1001}})",
                            R"({"linux":{"resources":{"memory":{"limit":"1"}}}})"}) {
    EXPECT_FALSE(parse_host_spec(wrong, "read")) << wrong;
  }
}

TEST(Scope, IsNamedAsRuncNamesIt) {
  const auto path = [](const std::string& cgroups_path, bool is_root = true) {
    const auto scope = parse_scope(cgroups_path, "web", is_root);
    if (!scope) return "error: " + scope.error().detail;
    const auto found = scope_path(*scope);
    return found ? *found : "error: " + found.error().detail;
  };
  EXPECT_EQ(path("machine.slice:libpod:1234"), "/machine.slice/libpod-1234.scope");
  EXPECT_EQ(path("kubepods-burstable-pod7.slice:cri:c1"),
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7.slice/cri-c1.scope");
  EXPECT_EQ(path("-.slice::web"), "/web.scope");
  EXPECT_EQ(path(":docker:1"), "/system.slice/docker-1.scope");
  EXPECT_EQ(path(""), "/system.slice/runhv-web.scope");
  EXPECT_EQ(path("", false), "/user.slice/runhv-web.scope");
  EXPECT_THAT(path("/docker/1"), HasSubstr("to be of format \"slice:prefix:name\""));
  EXPECT_THAT(path("a.slice:b:c:d"), HasSubstr("to be of format \"slice:prefix:name\""));
  for (const char* wrong :
       {"a:b:c", "a/b.slice:b:c", "a--b.slice:b:c", "-a.slice:b:c", "a-.slice:b:c", ".slice:b:c"}) {
    EXPECT_THAT(path(wrong), HasSubstr("invalid slice name")) << wrong;
  }
  for (const char* wrong : {"a.slice:b:", "a.slice:b:c.slice", "a.slice:b/..:c", "a.slice:b:/c"}) {
    EXPECT_THAT(path(wrong), HasSubstr("names no scope")) << wrong;
  }
}

TEST(Scope, HasListsAsBits) {
  EXPECT_THAT(bits_of_list("0-3,9"), ElementsAre(0x0f, 0x02));
  EXPECT_THAT(bits_of_list("8"), ElementsAre(0, 1));
  for (const char* wrong : {"", "x", "1-", "3-1", "1,", "1 2", "8192", "0-99999999999"}) {
    EXPECT_THAT(bits_of_list(wrong), ::testing::IsEmpty()) << wrong;
  }
}

TEST(FindPod, IsWhoseProcessAPathNames) {
  if (platform::current_user_id() != 0) GTEST_SKIP() << "only root's containers can be named so";
  const std::string root =
      ::testing::TempDir() + "runhv-pods-" + std::to_string(platform::current_process_id());
  ASSERT_TRUE(platform::make_private_directory(root));
  const auto make = [&](const std::string& id, std::uint64_t pid, const std::string& pod) {
    auto folder = control::ContainerFolder::take(root, id);
    control::StoredState state;
    state.id = id;
    state.pid = pid;
    state.pod = pod;
    state.status = "running";
    EXPECT_TRUE(folder && folder->write(state));
    return folder;
  };
  auto pod = make("pod", 4194301, "");
  const auto member = make("member", 4194302, "pod");
  HostSpec host;
  const auto found = [&](const std::string& path) {
    host.joined_namespaces = {path};
    const auto pods = find_pod(root, host);
    return pods ? *pods : to_string(pods.error());
  };
  EXPECT_EQ(found("/proc/4194301/ns/ipc"), "pod");
  EXPECT_EQ(found("/proc//4194301/ns/uts"), "pod");
  EXPECT_EQ(found("/proc/419430/ns/ipc"), "");
  EXPECT_EQ(found("/proc/4194302/ns/ipc"), "") << "it has no machine";
  EXPECT_EQ(found("/run/ipc"), "");
  ASSERT_TRUE(pod->remove());
  EXPECT_EQ(found("/proc/4194301/ns/ipc"), "");
  ASSERT_TRUE(platform::remove_tree(root));
}

TEST(Cgroups, NoPathLeadsOutOfTheHierarchy) {
  const auto folders = cgroup_folders("/../../a/../b/c");
  if (!folders) GTEST_SKIP() << "no cgroups are mounted here";
  EXPECT_THAT(*folders, Each(EndsWith("/b/c")));
  EXPECT_THAT(*folders, Each(::testing::Not(HasSubstr(".."))));
  EXPECT_THAT(to_string(cgroup_folders("/..").error()), HasSubstr("the root of them all"));
}

TEST(Cgroups, HalfOfTheProcessorsTimeIsMadeWhole) {
  const std::string folder =
      ::testing::TempDir() + "runhv-cpu-" + std::to_string(platform::current_process_id());
  ASSERT_TRUE(platform::make_private_directory(folder));
  const auto file = [&](const char* name, const char* text) {
    std::ofstream(folder + "/" + name) << text << "\n";
  };
  const auto whole = [&](std::optional<std::int64_t> quota, std::optional<std::uint64_t> period) {
    Resources resources;
    resources.cpu_quota_us = quota;
    resources.cpu_period_us = period;
    const Resources all = with_whole_cpu_time({"/nowhere", folder}, resources);
    return std::to_string(all.cpu_quota_us.value_or(0)) + " of " +
           std::to_string(all.cpu_period_us.value_or(0));
  };
  EXPECT_EQ(whole(25000, {}), "25000 of 100000") << "the kernel's own period";
  file("cpu.cfs_quota_us", "-1");
  file("cpu.cfs_period_us", "20000");
  EXPECT_EQ(whole(25000, {}), "25000 of 20000");
  EXPECT_EQ(whole({}, 70000), "-1 of 70000");
  file("cpu.max", "30000 50000");
  EXPECT_EQ(whole(25000, {}), "25000 of 50000");
  EXPECT_EQ(whole(25000, 0), "25000 of 50000") << "0 is as it is";
  EXPECT_EQ(whole({}, 70000), "30000 of 70000");
  EXPECT_EQ(whole(25000, 70000), "25000 of 70000");
  EXPECT_EQ(whole({}, {}), "0 of 0") << "what nobody names is not changed";
  file("cpu.max", "max 50000");
  EXPECT_EQ(whole({}, 70000), "-1 of 70000");
  ASSERT_TRUE(platform::remove_tree(folder));
}

}  // namespace
}  // namespace runhv::oci
