// What the Java side is asked for. On Windows nothing is: images cannot be used there yet, and the
// paths are Linux's.
#include <chrono>
#include <filesystem>
#include <utility>
#include <vector>

#include <rapidjson/document.h>

#include "cli/image_verbs.h"
#include "cli/kernels.h"
#include "cli/parsed_options.h"
#include "cli/prepare.h"
#include "cli/spool.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/process.h"
#include "testing/environment.h"
#include "testing/files.h"

namespace runhv::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Prepare, ImageKindsAreKnownAndPathsAbsolute) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(*absolute_image("oci:images/../x:tag"), "oci:" + here + "/x:tag");
  EXPECT_EQ(*absolute_image("docker-archive:/a.tar"), "docker-archive:/a.tar");
  EXPECT_EQ(*absolute_image("localhost:5000/web"), "localhost:5000/web");
  EXPECT_THAT(absolute_image("oci:").error().detail, HasSubstr("oci:DIR[:TAG]"));
}

TEST(Prepare, RequestHoldsWhatWasAskedForAndNothingElse) {
  testing::set_environment("RUNHV_TEST_VALUE", "from here");
  testing::set_environment("RUNHV_TEST_ABSENT", "");
  RunOptions options = parsed({"-e", "A=\"b", "-e", "RUNHV_TEST_VALUE", "-e", "RUNHV_TEST_ABSENT",
                               "--entrypoint=", "--cpus=2", "--scratch=16m", "--sysctl=a.b=1 2",
                               "--name=web", "oci:/x", "echo", "hi"});
  rapidjson::Document json;
  json.Parse(prepare_request(options, "oci:/x", {"/store", "/run/web", true})->c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_EQ(json["version"].GetInt(), 1);
  EXPECT_STREQ(json["image"].GetString(), "oci:/x");
  ASSERT_EQ(json["environment"].Size(), 2u);
  EXPECT_STREQ(json["environment"][0].GetString(), "A=\"b");
  EXPECT_STREQ(json["environment"][1].GetString(), "RUNHV_TEST_VALUE=from here");
  EXPECT_EQ(json["entrypoint"].Size(), 0u);
  EXPECT_EQ(json["arguments"].Size(), 2u);
  EXPECT_EQ(json["cpus"].GetInt(), 2);
  EXPECT_EQ(json["scratch_bytes"].GetInt(), 16 << 20);
  EXPECT_STREQ(json["sysctls"]["a.b"].GetString(), "1 2");
  EXPECT_FALSE(json["stdin"].GetBool());
  for (const char* absent : {"cwd", "user", "memory_bytes", "kernel", "hostname"}) {
    EXPECT_FALSE(json.HasMember(absent)) << absent;
  }
}

TEST(Prepare, WhatIsNotUtf8IsNamed) {
  const auto complaint_of = [](const Arguments& arguments, const PreparePlaces& places) {
    const RunOptions options = parsed(arguments);
    const auto request = prepare_request(options, options.image, places);
    return request ? "accepted" : to_string(request.error());
  };
  const PreparePlaces places{"/store", "/run/web", false};
  testing::set_environment("RUNHV_TEST_VALUE", "caf\xe9");
  const std::pair<Arguments, const char*> cases[] = {
      {{"oci:/caf\xe9", "ls"}, "image \"oci:/caf\\xe9\""},
      {{"oci:/x", "ls", "\xff\x1b[2J"}, "arguments \"\\xff\\x1b[2J\""},
      {{"-e", "A=\xc0\x80", "oci:/x"}, "environment \"A=\\xc0\\x80\""},
      {{"-e", "RUNHV_TEST_VALUE", "oci:/x"}, "environment \"RUNHV_TEST_VALUE=caf\\xe9\""},
      {{"-w", "/\xed\xa0\x80", "oci:/x"}, "cwd \"/\\xed\\xa0\\x80\""},
      {{"-u", "\x80", "oci:/x"}, "user \"\\x80\""},
      {{"--entrypoint", "\xe9", "oci:/x"}, "entrypoint \"\\xe9\""},
      {{"--hostname", "\xe9", "oci:/x"}, "hostname \"\\xe9\""},
      {{"--kernel", "/\xe9", "oci:/x"}, "kernel \"/\\xe9\""}};
  for (const auto& [arguments, expected] : cases) {
    EXPECT_EQ(complaint_of(arguments, places),
              std::string("prepare the image: ") + expected + " is not UTF-8");
  }
  EXPECT_EQ(complaint_of({"oci:/x"}, {"/store\xe9", "/run/web", false}),
            "prepare the image: store \"/store\\xe9\" is not UTF-8");
  EXPECT_EQ(complaint_of({"oci:/caf\u00e9", "\U0001f40b"}, places), "accepted");
}

TEST(Kernels, AFileHasASlashAndANameIsInTheCatalogue) {
  const std::string folder = std::filesystem::temp_directory_path() /
                             ("runhv-cli-" + std::to_string(platform::current_process_id()));
  std::filesystem::create_directories(folder + "/share");
  std::filesystem::create_directories(folder + "/kernels/deb");
  for (const char* file : {"/share/vmlinux-minimal", "/kernels/deb/kernel"}) {
    ASSERT_TRUE(testing::write_file(folder + file, {}));
  }
  testing::set_environment("RUNHV_STORE", folder.c_str());
  const std::string share = folder + "/share";

  EXPECT_EQ(choose_kernel("/boot/vmlinuz", share)->image, "/boot/vmlinuz");
  EXPECT_EQ(choose_kernel("./k", share)->image, std::filesystem::current_path().string() + "/k");
  EXPECT_EQ(choose_kernel("minimal", share)->image, share + "/vmlinux-minimal");
  EXPECT_EQ(choose_kernel("deb", share)->image, folder + "/kernels/deb/kernel");
  EXPECT_EQ(choose_kernel("deb", share)->modules, "");
  ASSERT_TRUE(testing::write_file(folder + "/kernels/deb/modules.cpio", {}));
  EXPECT_EQ(choose_kernel("deb", share)->modules, folder + "/kernels/deb/modules.cpio");
  for (const char* unknown : {"none", "..", "."}) {
    EXPECT_EQ(choose_kernel(unknown, share).error().code, Code::kNotFound) << unknown;
  }
  testing::set_environment("RUNHV_STORE", "");
  std::filesystem::remove_all(folder);
}

TEST(Kernels, ArgumentsBecomeARequest) {
  const auto request = [](const Arguments& arguments) {
    const auto text = kernels_request(arguments, "/store");
    return text ? *text : to_string(text.error());
  };
  EXPECT_EQ(request({}), R"({"version":1,"verb":"kernels-list","store":"/store","json":false})");
  EXPECT_EQ(request({"--json"}),
            R"({"version":1,"verb":"kernels-list","store":"/store","json":true})");
  EXPECT_EQ(request({"add", "deb", "--image", "/k.deb", "--modules", "/lib/modules/6"}),
            R"({"version":1,"verb":"kernels-add","store":"/store","name":"deb","kernel":"/k.deb",)"
            R"("modules":"/lib/modules/6","json":false})");
  EXPECT_EQ(request({"remove", "deb"}),
            R"({"version":1,"verb":"kernels-remove","store":"/store","name":"deb","json":false})");

  const std::string long_name(65, 'x');
  EXPECT_THAT(request({"add"}), HasSubstr("add needs a NAME and --image FILE"));
  EXPECT_THAT(request({"add", "deb"}), HasSubstr("add needs a NAME and --image FILE"));
  EXPECT_THAT(request({"add", "deb", "--image"}), HasSubstr("--image needs a value"));
  EXPECT_THAT(request({"add", "a", "b", "--image", "/k"}), HasSubstr("unexpected b"));
  EXPECT_THAT(request({"add", "--frob", "--image", "/k"}), HasSubstr("unexpected --frob"));
  EXPECT_THAT(request({"add", "../x", "--image", "/k"}), HasSubstr("name \"../x\""));
  EXPECT_THAT(request({"add", long_name, "--image", "/k"}), HasSubstr("1 to 64"));
  EXPECT_THAT(request({"add", "a", "--image", "/caf\xe9"}),
              HasSubstr("kernel \"/caf\\xe9\" is not UTF-8"));
  EXPECT_THAT(request({"remove"}), HasSubstr("remove takes one NAME"));
  EXPECT_THAT(request({"remove", ".deb"}), HasSubstr("name \".deb\""));
  EXPECT_THAT(request({"frobnicate"}), HasSubstr("unexpected frobnicate"));
  EXPECT_THAT(request({"--json", "x"}), HasSubstr("unexpected x"));
}

std::string image_asked(const char* verb, const Arguments& arguments) {
  const auto request = image_request(*find_image_verb(verb), arguments, "/store", "/spool", true);
  if (!request) return to_string(request.error());
  return (request->piped ? "piped " : "") + request->text;
}

TEST(ImageVerbs, ArgumentsAndOptionsBecomeARequest) {
  EXPECT_EQ(image_asked("pull", {"busybox"}),
            R"({"version":1,"verb":"pull","store":"/store","arguments":["busybox"],"options":{},)"
            R"("progress":true})");
  EXPECT_THAT(image_asked("pull", {"-q", "busybox"}), HasSubstr(R"("options":{"quiet":[""]})"));
  EXPECT_THAT(image_asked("pull", {"busybox", "--json"}), HasSubstr(R"("options":{"json":[""]})"));
  EXPECT_THAT(image_asked("images", {"--format", "{{.ID}}", "busybox"}),
              HasSubstr(R"("arguments":["busybox"],"options":{"format":["{{.ID}}"]})"));
  EXPECT_THAT(image_asked("rmi", {"-f", "a", "b"}),
              HasSubstr(R"("arguments":["a","b"],"options":{"force":[""]})"));
}

TEST(ImageVerbs, FileThatIsNotNamedIsStdinOrStdout) {
  EXPECT_THAT(image_asked("load", {}),
              AllOf(StartsWith("piped "), HasSubstr(R"("options":{"input":["/spool"]})")));
  EXPECT_THAT(image_asked("load", {"-i", "-"}), StartsWith("piped "));
  EXPECT_THAT(image_asked("load", {"-i", "/a.tar"}),
              AllOf(StartsWith("{"), HasSubstr(R"("options":{"input":["/a.tar"]})")));
  EXPECT_THAT(image_asked("load", {"--input", "a.tar"}), HasSubstr(R"(/a.tar"]})"));
  EXPECT_THAT(image_asked("save", {"box"}),
              AllOf(StartsWith("piped "), HasSubstr(R"("options":{"output":["/spool"]})")));
  EXPECT_THAT(image_asked("import", {"-", "box"}),
              AllOf(StartsWith("piped "), HasSubstr(R"("arguments":["/spool","box"])")));
  EXPECT_THAT(image_asked("import", {"-c", "CMD a", "-c", "USER b", "/r.tar", "box"}),
              AllOf(StartsWith("{"), HasSubstr(R"("arguments":["/r.tar","box"])"),
                    HasSubstr(R"("change":["CMD a","USER b"])")));
}

TEST(ImageVerbs, WhatAVerbDoesNotTakeIsRefused) {
  EXPECT_THAT(image_asked("import", {"-"}), HasSubstr("expected FILE|- NAME"));
  EXPECT_THAT(image_asked("pull", {}), HasSubstr("expected NAME[:TAG|@DIGEST]"));
  EXPECT_THAT(image_asked("pull", {"a", "b"}), HasSubstr("expected NAME[:TAG|@DIGEST]"));
  EXPECT_THAT(image_asked("pull", {"--frob"}), HasSubstr("unknown option --frob"));
  EXPECT_THAT(image_asked("tag", {"a"}), HasSubstr("expected NAME|ID NEW"));
  EXPECT_THAT(image_asked("rmi", {"caf\xe9"}), HasSubstr("is not UTF-8"));
  EXPECT_EQ(find_image_verb("frob"), nullptr);
}

TEST(SpoolTest, WhatIsHeldStaysWhateverItsAgeAndWhatADeadOneLeftGoesAtOnce) {
  const std::string store =
      ::testing::TempDir() + "runhv-spool-" + std::to_string(platform::current_process_id());
  const std::string incoming = store + "/incoming/";
  auto spool = Spool::create("load", store, "live");
  ASSERT_TRUE(spool) << to_string(spool.error());
  ASSERT_TRUE(testing::write_file((*spool)->path(), {}));
  const auto long_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  std::filesystem::last_write_time((*spool)->path(), long_ago);
  std::filesystem::last_write_time(incoming + "live", long_ago);
  std::filesystem::create_directory(incoming + "dead");
  std::filesystem::permissions(incoming + "dead", std::filesystem::perms::owner_all);
  for (const char* file : {"dead/lock", "dead/stream", "of-no-folder"}) {
    ASSERT_TRUE(testing::write_file(incoming + file, {}));
  }

  Spool::sweep(store);
  EXPECT_TRUE(std::filesystem::exists((*spool)->path()));
  EXPECT_FALSE(std::filesystem::exists(incoming + "dead"));
  EXPECT_FALSE(std::filesystem::exists(incoming + "of-no-folder"));

  spool->reset();
  EXPECT_TRUE(std::filesystem::is_empty(incoming));
  std::filesystem::remove_all(store);
}

}  // namespace
}  // namespace runhv::cli
