#include <algorithm>
#include <vector>

#include "cli/image_service.h"
#include "cli/image_verbs.h"
#include "cli/java_runtime.h"
#include "cli/man_pages.h"
#include "cli/parsed_options.h"
#include "cli/prepare.h"
#include "cli/registries.h"
#include "cli/texts.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runhv::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

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
