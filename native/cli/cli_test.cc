#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <rapidjson/document.h>

#include "cli/image_service.h"
#include "cli/image_verbs.h"
#include "cli/java_runtime.h"
#include "cli/kernels.h"
#include "cli/man_pages.h"
#include "cli/prepare.h"
#include "cli/registries.h"
#include "cli/run_options.h"
#include "cli/spool.h"
#include "cli/texts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "testing/files.h"

namespace runhv::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Arguments = std::vector<std::string_view>;

RunOptions parsed(const Arguments& arguments) {
  const auto options = parse_run_options(arguments);
  EXPECT_TRUE(options) << options.error().detail;
  return options ? *options : RunOptions{};
}

std::string complaint(const Arguments& arguments) {
  const auto options = parse_run_options(arguments);
  return options ? "accepted" : options.error().detail;
}

TEST(ImageService, IsOffOrEndsAfterSeconds) {
  EXPECT_TRUE(parse_service_options("")->used);
  EXPECT_EQ(parse_service_options("")->idle_seconds, 600U);
  EXPECT_FALSE(parse_service_options("off")->used);
  EXPECT_EQ(parse_service_options("1")->idle_seconds, 1U);
  EXPECT_EQ(parse_service_options("86400")->idle_seconds, 86400U);
  for (const char* wrong : {"on", "0", "-1", "86401", "1s", " 1", "99999999999999999999"}) {
    const auto options = parse_service_options(wrong);
    ASSERT_FALSE(options) << wrong;
    EXPECT_THAT(options.error().detail, HasSubstr("expected off, or the seconds")) << wrong;
  }
}

TEST(RunOptions, OptionsEndAtTheImage) {
  const RunOptions options = parsed({"-i", "oci:/x", "ls", "-i", "--name", "y"});
  EXPECT_TRUE(options.interactive);
  EXPECT_TRUE(parsed({"-it", "i"}).terminal && parsed({"-it", "i"}).interactive);
  EXPECT_EQ(options.image, "oci:/x");
  EXPECT_THAT(options.arguments, ElementsAre("ls", "-i", "--name", "y"));
  EXPECT_EQ(options.id, "");
  EXPECT_EQ(parsed({"--", "-odd"}).image, "-odd");
}

TEST(RunOptions, EverySpellingOfAValueIsTheSame) {
  for (const Arguments& arguments :
       {Arguments{"-e", "A=b", "i"}, Arguments{"-eA=b", "i"}, Arguments{"-e=A=b", "i"},
        Arguments{"--env", "A=b", "i"}, Arguments{"--env=A=b", "i"}, Arguments{"-ieA=b", "i"}}) {
    EXPECT_THAT(parsed(arguments).environment, ElementsAre("A=b"));
  }
}

TEST(RunOptions, EveryOptionIsRead) {
  const RunOptions options = parsed({"-w",           "/srv",
                                     "-u",           "1:2",
                                     "--entrypoint", "/bin/sh",
                                     "--hostname",   "h",
                                     "-m",           "64m",
                                     "--cpus",       "2",
                                     "--name",       "web",
                                     "--rm",         "--kernel",
                                     "/k",           "--engine",
                                     "soft",         "--timings=json",
                                     "--debug",      "--scratch=1g",
                                     "--keep",       "--sysctl",
                                     "a.b=1",        "--sysctl=c=d=e",
                                     "oci:/x"});
  EXPECT_EQ(options.cwd, "/srv");
  EXPECT_EQ(options.user, "1:2");
  EXPECT_THAT(*options.entrypoint, ElementsAre("/bin/sh"));
  EXPECT_EQ(options.hostname, "h");
  EXPECT_EQ(options.memory_bytes, 64u << 20);
  EXPECT_EQ(options.cpus, 2u);
  EXPECT_EQ(options.scratch_bytes, 1u << 30);
  EXPECT_EQ(options.id, "web");
  EXPECT_EQ(options.kernel, "/k");
  EXPECT_EQ(options.engine, "soft");
  EXPECT_EQ(options.timings, "--timings=json");
  EXPECT_TRUE(options.keep);
  EXPECT_THAT(options.sysctls, ElementsAre(std::pair("a.b", "1"), std::pair("c", "d=e")));
  EXPECT_TRUE(options.debug);
  EXPECT_TRUE(parsed({"--entrypoint", "", "i"}).entrypoint->empty());
  EXPECT_EQ(parsed({"--timings", "i"}).timings, "--timings");
}

TEST(RunOptions, SizesTakeSuffixes) {
  EXPECT_EQ(parsed({"-m", "33554432", "i"}).memory_bytes, 32u << 20);
  EXPECT_EQ(parsed({"-m32768k", "i"}).memory_bytes, 32u << 20);
  EXPECT_EQ(parsed({"-m2G", "i"}).memory_bytes, 2ull << 30);
  EXPECT_EQ(parsed({"-m64mb", "i"}).memory_bytes, 64u << 20);
  EXPECT_EQ(parsed({"-m64MiB", "i"}).memory_bytes, 64u << 20);
  EXPECT_EQ(parsed({"-m33554432B", "i"}).memory_bytes, 32u << 20);
  EXPECT_EQ(parsed({"--scratch=1t", "i"}).scratch_bytes, 1ull << 40);
}

TEST(RunOptions, BundleTakesOneId) {
  const RunOptions options = parsed({"--bundle", "/b", "--engine=soft", "web"});
  EXPECT_EQ(options.bundle, "/b");
  EXPECT_EQ(options.id, "web");
  EXPECT_EQ(complaint({"--bundle", "/b"}), "--bundle takes one ID and no command");
  EXPECT_EQ(complaint({"--bundle", "/b", "a", "b"}), "--bundle takes one ID and no command");
  EXPECT_EQ(complaint({"-m64m", "--bundle", "/b", "a"}),
            "--memory cannot go with --bundle: config.json says it");
  const RunOptions left =
      parsed({"-d", "--pid-file=p", "--console-socket", "s", "--bundle", "/b", "a"});
  EXPECT_TRUE(left.detach);
  EXPECT_EQ(left.pid_file, "p");
  EXPECT_EQ(left.console_socket, "s");
  EXPECT_EQ(complaint({"--detach", "oci:x"}), "--detach goes with --bundle");
  EXPECT_EQ(complaint({"--pid-file=p", "oci:x"}), "--pid-file goes with --bundle");
  EXPECT_EQ(parsed({"--pid-file=p", "--preserve-fds=0", "--bundle", "/b", "a"}).pid_file, "p");
  EXPECT_EQ(parsed({"--preserve-fds=2", "--bundle", "/b", "a"}).preserve_fds, 2u);
  EXPECT_EQ(parsed({"-b", "/b", "a"}).bundle, "/b");
  EXPECT_EQ(complaint({"--preserve-fds=14", "--bundle", "/b", "a"}),
            "--preserve-fds 14: expected a number up to 13");
  EXPECT_EQ(complaint({"--preserve-fds=1", "image"}), "--preserve-fds goes with --bundle");
  EXPECT_EQ(complaint({"-d", "--kernel", "k", "--bundle", "/b", "a"}),
            "--kernel, --engine and --timings cannot go with --detach: config.json says them");
}

TEST(RunOptions, MistakesAreOneLine) {
  const std::pair<Arguments, const char*> cases[] = {
      {{}, "no image is named; see runhv run --help"},
      {{"--frobnicate", "i"}, "unknown option --frobnicate; see runhv run --help"},
      {{"-x", "i"}, "unknown option -x; see runhv run --help"},
      {{"--name"}, "--name needs a value"},
      {{"--debug=yes", "i"}, "--debug takes no value"},
      {{"-m", "4m", "i"}, "memory of 4 MiB: the least is 24 MiB"},
      {{"-m", "9999999g", "i"}, "memory of 9999999g: the most is 524288 MiB"},
      {{"-m", "lots", "i"},
       "memory \"lots\": expected a number of bytes, or one with k, m, g or t"},
      {{"-m", "64ib", "i"},
       "memory \"64ib\": expected a number of bytes, or one with k, m, g or t"},
      {{"-m", "64mbb", "i"},
       "memory \"64mbb\": expected a number of bytes, or one with k, m, g or t"},
      {{"-m", "-1", "i"}, "memory \"-1\": expected a number of bytes, or one with k, m, g or t"},
      {{"--scratch", "1m", "i"}, "scratch of 1 MiB: the least is 16 MiB"},
      {{"--scratch", "2000g", "i"}, "scratch of 2000g: the most is 1048576 MiB"},
      {{"--cpus", "0", "i"}, "cpus of 0: a whole number from 1 to 64 is possible"},
      {{"--cpus=1000", "i"}, "cpus of 1000: a whole number from 1 to 64 is possible"},
      {{"--cpus=1.5", "i"}, "cpus of 1.5: a whole number from 1 to 64 is possible"},
      {{"--engine", "qemu", "i"}, "engine \"qemu\": the engines are auto, soft, kvm and whp"},
      {{"--name", "a/b", "i"},
       "container name \"a/b\": 1 to 128 of A-Z a-z 0-9 _ . - are possible, first a letter, digit "
       "or _"},
      {{"--name", "..", "i"},
       "container name \"..\": 1 to 128 of A-Z a-z 0-9 _ . - are possible, first a letter, digit "
       "or _"},
      {{"-e", "=x", "i"}, "--env \"=x\": expected NAME or NAME=VALUE"},
      {{"--timings=xml", "i"}, "--timings=xml: expected json"},
      {{"--timings=json:/t", "i"}, "--timings=json:/t: expected json"},
      {{"--sysctl", "a", "i"}, "--sysctl \"a\": expected NAME=VALUE"},
      {{"--sysctl", "=1", "i"}, "--sysctl \"=1\": expected NAME=VALUE"},
  };
  for (const auto& [arguments, expected] : cases) EXPECT_EQ(complaint(arguments), expected);
}

TEST(Prepare, ImageKindsAreKnownAndPathsAbsolute) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(*absolute_image("oci:images/../x:tag"), "oci:" + here + "/x:tag");
  EXPECT_EQ(*absolute_image("docker-archive:/a.tar"), "docker-archive:/a.tar");
  EXPECT_EQ(*absolute_image("localhost:5000/web"), "localhost:5000/web");
  EXPECT_THAT(absolute_image("oci:").error().detail, HasSubstr("oci:DIR[:TAG]"));
}

TEST(Prepare, RequestHoldsWhatWasAskedForAndNothingElse) {
  ::setenv("RUNHV_TEST_VALUE", "from here", 1);
  ::unsetenv("RUNHV_TEST_ABSENT");
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
  ::setenv("RUNHV_TEST_VALUE", "caf\xe9", 1);
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

TEST(Prepare, AnswerIsABundleOrTheErrorInIt) {
  const auto answer = [](const char* output, int status, const char* early = "") {
    return read_answer({status, output, std::nullopt, early}, "bundle", "x");
  };
  EXPECT_EQ(*answer(R"(
{"version":1,"bundle":"/run/web"})",
                    0),
            "/run/web");
  const auto failed = answer(
      R"({"version":1,"error":{"code":"not_found","operation":"read image oci:/x","detail":"no such directory"}})",
      1);
  EXPECT_EQ(to_string(failed.error()), "read image oci:/x: no such directory");
  for (const char* nonsense :
       {"", "Exception in thread", "[]", R"({"version":1})", R"({"bundle":7})"}) {
    EXPECT_THAT(answer(nonsense, 137).error().detail, HasSubstr("ended with status 137"))
        << nonsense;
  }
  EXPECT_EQ(answer("", 1, "Error occurred during initialization of VM\nno room\n").error().detail,
            "the Java side ended with status 1 and gave no answer: "
            "Error occurred during initialization of VM; no room");
}

TEST(Kernels, AFileHasASlashAndANameIsInTheCatalogue) {
  const std::string folder =
      std::filesystem::temp_directory_path() / ("runhv-cli-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder + "/share");
  std::filesystem::create_directories(folder + "/kernels/deb");
  for (const char* file : {"/share/vmlinux-minimal", "/kernels/deb/kernel"}) {
    ASSERT_TRUE(testing::write_file(folder + file, {}));
  }
  ::setenv("RUNHV_STORE", folder.c_str(), 1);
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
  ::unsetenv("RUNHV_STORE");
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
      ::testing::TempDir() + "runhv-spool-" + std::to_string(static_cast<int>(::getpid()));
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

TEST(Registries, LoginTakesAUserAndARegistry) {
  const auto request = [](const Arguments& arguments) {
    const auto options = parse_login_options(arguments);
    return options ? *login_request(*options, "p\"w") : to_string(options.error());
  };
  EXPECT_EQ(request({"-u", "me", "--password-stdin", "quay.io"}),
            R"({"version":1,"verb":"login","registry":"quay.io","user":"me","secret":"p\"w"})");
  EXPECT_EQ(request({"--username=me"}),
            R"({"version":1,"verb":"login","registry":"docker.io","user":"me","secret":"p\"w"})");
  EXPECT_THAT(request({"--password-stdin"}), HasSubstr("--password-stdin needs a --username"));
  EXPECT_THAT(request({"-u"}), HasSubstr("-u needs a value"));
  EXPECT_THAT(request({"-p", "x"}), HasSubstr("unexpected -p"));
  EXPECT_THAT(request({"a", "b"}), HasSubstr("unexpected b"));
  // A password is in no message.
  EXPECT_EQ(to_string(login_request({.user = "me"}, "s\xe9").error()).find("s\\"),
            std::string::npos);
}

TEST(Registries, LogoutTakesARegistry) {
  EXPECT_EQ(*logout_request({}), R"({"version":1,"verb":"logout","registry":"docker.io"})");
  EXPECT_EQ(*logout_request(Arguments{"quay.io"}),
            R"({"version":1,"verb":"logout","registry":"quay.io"})");
  EXPECT_FALSE(logout_request(Arguments{"a", "b"}));
  EXPECT_FALSE(logout_request(Arguments{"--all"}));
}

TEST(JavaRuntime, VersionComesFromTheReleaseFile) {
  EXPECT_EQ(java_major_version("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"25.0.1\"\n"), 25);
  EXPECT_EQ(java_major_version("JAVA_VERSION=\"17\"\n"), 17);
  EXPECT_EQ(java_major_version("JAVA_VERSION=\"1.8.0_302\"\n"), 1);
  EXPECT_EQ(java_major_version(""), std::nullopt);
}

TEST(Texts, HelpNamesEveryOptionAndFitsTheTerminal) {
  const std::string help = *help_text("run");
  for (const RunOptionSpec& spec : run_option_specs()) {
    EXPECT_THAT(help, HasSubstr("--" + std::string(spec.name)));
  }
  for (const std::string& text :
       {help, help_text(), *help_text("kernels"), *help_text("pull"), *help_text("images"),
        *help_text("rmi"), *help_text("tag"), *help_text("login")}) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin);
      EXPECT_LE(end - begin, 100u) << text.substr(begin, end - begin);
      begin = end + 1;
    }
  }
  EXPECT_THAT(help, HasSubstr("  -m, --memory SIZE             the guest's memory"));
  EXPECT_THAT(help, HasSubstr("      --timings[=json]          print where the time"));
}

TEST(Texts, ManPagesAreOfEveryCommandAndInAscii) {
  EXPECT_FALSE(man_page("nothing"));
  const std::string all = *man_page("");
  for (const std::string& command : commands()) {
    const auto page = man_page(command);
    ASSERT_TRUE(page) << command;
    EXPECT_THAT(*page, HasSubstr(".SH NAME\nrunhv\\-" + command + " \\- ")) << command;
    EXPECT_THAT(*page, Not(HasSubstr("\\- \n"))) << command;
    EXPECT_THAT(all, HasSubstr(".BR runhv\\-" + command + " (1)"));
    for (const char c : *page) ASSERT_GT(c, 0) << command;
  }
  EXPECT_THAT(*man_page("pull"), HasSubstr("\\-\\-platform OS/ARCH"));
}

TEST(Texts, CompletionIsForFourShells) {
  EXPECT_THAT(*completion_script("bash"), HasSubstr("complete -o default -F _runhv runhv"));
  EXPECT_THAT(*completion_script("zsh"), HasSubstr("bashcompinit"));
  for (const ImageVerb& verb : image_verbs()) {
    const std::string name(verb.name);
    EXPECT_THAT(help_text(), HasSubstr("runhv " + name + " "));
    EXPECT_THAT(*completion_script("bash"), HasSubstr("= " + name + " ]"));
    EXPECT_THAT(*completion_script("fish"), HasSubstr("subcommand_from " + name + "'"));
    EXPECT_THAT(*completion_script("powershell"), HasSubstr("'" + name + "' { "));
  }
  EXPECT_THAT(*completion_script("fish"), HasSubstr("-l memory -s m -r -d 'the guest\\'s memory"));
  EXPECT_FALSE(completion_script("tcsh"));
}

}  // namespace
}  // namespace runhv::cli
