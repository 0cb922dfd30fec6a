#include "control/state_file.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

StoredState ended() {
  StoredState state;
  state.id = "web";
  state.bundle = "/b \"x\"";
  state.rootfs = "/b/rootfs";
  state.pid = 77;
  state.status = "stopped";
  state.created_ns = 1'764'316'413'123'456'789;
  state.started_ns = 2;
  state.ended_ns = 3;
  state.ephemeral = false;
  state.cgroups = {"/sys/fs/cgroup/web"};
  state.scope = "web.scope";
  state.users = StoredUsers{"0 100000 65536\n", "0 200000 65536\n"};
  state.image = "oci:/i";
  state.command = {"echo", "a b"};
  state.end = StoredEnd{"not_started", 127, Error{Code::kNotFound, "run /x", "no such file"}};
  state.annotations = {{"dev.runhv.stop-signal", "9"}, {"x", ""}};
  return state;
}

TEST(StateFile, IsReadAsItWasWritten) {
  const auto read = parse_state(state_json(ended()), "read state");

  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_EQ(read->id, "web");
  EXPECT_EQ(read->bundle, "/b \"x\"");
  EXPECT_EQ(read->rootfs, "/b/rootfs");
  EXPECT_EQ(read->pid, 77u);
  EXPECT_EQ(read->status, "stopped");
  EXPECT_EQ(read->created_ns, 1'764'316'413'123'456'789u);
  EXPECT_EQ(read->ended_ns, 3u);
  EXPECT_FALSE(read->ephemeral);
  EXPECT_EQ(read->image, "oci:/i");
  EXPECT_THAT(read->command, ElementsAre("echo", "a b"));
  EXPECT_THAT(read->cgroups, ElementsAre("/sys/fs/cgroup/web"));
  EXPECT_EQ(read->scope, "web.scope");
  ASSERT_TRUE(read->users);
  EXPECT_EQ(read->users->uid_map, "0 100000 65536\n");
  EXPECT_EQ(read->users->gid_map, "0 200000 65536\n");
  ASSERT_TRUE(read->end);
  EXPECT_EQ(read->end->kind, "not_started");
  EXPECT_EQ(read->end->value, 127);
  EXPECT_EQ(read->end->reason->code, Code::kNotFound);
  EXPECT_EQ(to_string(*read->end->reason), "run /x: no such file");
  EXPECT_EQ(read->annotations, ended().annotations);
}

TEST(StateFile, WhatIsNoUtf8IsEscaped) {
  StoredState state = ended();
  state.command = {"caf\xe9"};
  const auto read = parse_state(state_json(state), "read state");
  ASSERT_TRUE(read) << to_string(read.error());
  EXPECT_THAT(read->command, ElementsAre("caf\\xe9"));
}

TEST(StateFile, ABrokenOneIsAnErrorThatNamesIt) {
  for (const char* text : {"", "{", "[]", "{}", R"({"version":2,"id":"a","status":"running"})",
                           R"({"version":1,"id":"a"})", R"({"version":1,"id":7,"status":"x"})",
                           R"({"version":1,"id":"a","status":"x","pid":-1})"}) {
    const auto read = parse_state(text, "read /r/state.json");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().operation, "read /r/state.json");
    EXPECT_EQ(read.error().code, Code::kCorruptInput) << text;
  }
}

TEST(StateFile, TheStateOfTheSpecificationHasItsFields) {
  EXPECT_EQ(oci_state_json(ended(), "kay"), R"({
  "ociVersion": "1.2.0",
  "id": "web",
  "pid": 77,
  "status": "stopped",
  "bundle": "/b \"x\"",
  "rootfs": "/b/rootfs",
  "created": "2025-11-28T07:53:33.123456789Z",
  "owner": "kay",
  "annotations": {
    "dev.runhv.stop-signal": "9",
    "x": ""
  }
}
)");
}

TEST(StateFile, AHookIsNotToldOfTheOwner) {
  EXPECT_EQ(oci_state_json(ended()).find("owner"), std::string::npos);
}

TEST(StateFile, TimesAreThoseOfRfc3339) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(rfc3339(1'764'316'413'123'456'789), "2025-11-28T07:53:33.123456789Z");
}

}  // namespace
}  // namespace runhv::control
