#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "oci/arguments.h"
#include "oci/create.h"
#include "oci/log.h"
#include "oci/network_use.h"
#include "oci/process_json.h"
#include "oci/process_table.h"
#include "oci/verbs.h"
#include "platform/file.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Given = std::vector<std::string_view>;

constexpr Option kOptions[] = {{"all", 'a', "", "everything"},
                               {"tty", 't', "", "a terminal"},
                               {"bundle", 'b', "DIR", "where"}};

Arguments parsed(const Given& given, Order order = Order::kMixed) {
  const auto arguments = parse_arguments("verb", kOptions, order, given);
  EXPECT_TRUE(arguments) << to_string(arguments.error());
  return arguments ? *arguments : Arguments();
}

std::string complaint(const Given& given) {
  const auto arguments = parse_arguments("verb", kOptions, Order::kMixed, given);
  return arguments ? "accepted" : arguments.error().detail;
}

TEST(Arguments, EverySpellingOfGoIsRead) {
  for (const Given& given :
       {Given{"--bundle", "/b", "id"}, Given{"-bundle", "/b", "id"}, Given{"--bundle=/b", "id"},
        Given{"-bundle=/b", "id"}, Given{"-b", "/b", "id"}, Given{"-b=/b", "id"},
        Given{"id", "--bundle", "/b"}, Given{"--bundle=/b", "--", "id"}}) {
    const Arguments arguments = parsed(given);
    EXPECT_EQ(arguments.value("bundle"), "/b");
    EXPECT_THAT(arguments.positional, ElementsAre("id"));
  }
  EXPECT_TRUE(parsed({"-at"}).has("all") && parsed({"-at"}).has("tty"));
  EXPECT_TRUE(parsed({"--all=true"}).has("all"));
  EXPECT_FALSE(parsed({"--all=false"}).has("all"));
  EXPECT_THAT(parsed({"-b", "x", "-b", "y"}).values("bundle"), ElementsAre("x", "y"));
  EXPECT_THAT(parsed({"-b", "-"}).value("bundle"), "-");
}

TEST(Arguments, AnotherProgramsOptionsAreItsOwn) {
  EXPECT_THAT(parsed({"-a", "id", "-b", "x"}, Order::kOptionsFirst).positional,
              ElementsAre("id", "-b", "x"));
}

TEST(Arguments, MistakesAreNamed) {
  EXPECT_EQ(complaint({"--what"}), "unknown option --what; see runhv help verb");
  EXPECT_EQ(complaint({"--what=x"}), "unknown option --what; see runhv help verb");
  EXPECT_EQ(complaint({"-ab"}), "unknown option -ab; see runhv help verb");
  EXPECT_EQ(complaint({"--bundle"}), "--bundle needs a value");
  EXPECT_EQ(complaint({"--all=yes"}), "--all=yes: expected true or false");
}

TEST(Globals, StandInFrontOfTheVerb) {
  const Given given{"--root",  "/r",     "-log=/l", "--log-format", "json",
                    "--debug", "--criu", "x",       "state",        "--root"};
  std::span<const std::string_view> rest(given);
  const auto globals = take_globals(rest);
  ASSERT_TRUE(globals);
  EXPECT_EQ(globals->root, "/r");
  EXPECT_EQ(globals->log, "/l");
  EXPECT_TRUE(globals->log_json && globals->debug && !globals->systemd_cgroup);
  EXPECT_THAT(rest, ElementsAre("state", "--root"));
  const Given wrong{"--log-format", "xml", "state"};
  rest = wrong;
  EXPECT_FALSE(take_globals(rest));
}

TEST(Verbs, HaveHelpThatFitsTheTerminal) {
  for (const Verb& verb : verbs()) {
    const std::string text = help_text(verb);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin);
      EXPECT_LE(end - begin, 110u) << text.substr(begin, end - begin);
      begin = end + 1;
    }
    EXPECT_EQ(find_verb(verb.name), &verb);
  }
  EXPECT_EQ(find_verb("ls"), find_verb("list"));
  EXPECT_EQ(find_verb("run"), nullptr);
}

constexpr std::string_view kConfig = R"({"process":{"args":["first"],"cwd":"/srv","env":["A=b"],
  "user":{"uid":1,"gid":2,"additionalGids":[3]},"terminal":true,"consoleSize":{"height":1,"width":2},
  "capabilities":{"effective":["CAP_KILL"]},"noNewPrivileges":true},
  "linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}})";

std::string json_of(const ProcessWishes& wishes) {
  const auto process = process_json(kConfig, wishes, "exec");
  return process ? process->json : to_string(process.error());
}

TEST(ProcessJson, IsTheContainersWithWhatIsWanted) {
  ProcessWishes wishes;
  wishes.arguments = {"ls", "-l"};
  wishes.environment = {"C=d"};
  wishes.user = "7:8";
  wishes.additional_groups = {"9"};
  EXPECT_EQ(
      json_of(wishes),
      R"({"args":["ls","-l"],"cwd":"/srv","env":["A=b","C=d"],"user":{"additionalGids":[3,9],)"
      R"("uid":7,"gid":8},"capabilities":{"effective":["CAP_KILL"]},"noNewPrivileges":true,)"
      R"("terminal":false,"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}})");
  wishes.user = "root";
  EXPECT_THAT(json_of(wishes), HasSubstr("\"root\": expected the number of a user"));
}

TEST(ProcessJson, OfTheCallerIsCompletedByTheContainers) {
  ProcessWishes wishes;
  wishes.process = R"({"args":["x"],"terminal":true,"noNewPrivileges":false})";
  EXPECT_EQ(json_of(wishes),
            R"({"args":["x"],"terminal":true,"noNewPrivileges":false,"capabilities":{"effective":)"
            R"(["CAP_KILL"]},"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}})");
  EXPECT_TRUE(process_json(kConfig, wishes, "exec")->terminal);
  wishes.process = "[]";
  EXPECT_THAT(json_of(wishes), HasSubstr("--process: expected a JSON object"));
  EXPECT_THAT(to_string(process_json("{}", wishes, "exec").error()), HasSubstr("no process"));
}

TEST(Words, AreRuncsForAProgramThatIsNotThere) {
  const auto said = [](Code code, const std::string& program, const char* detail, int number) {
    return words({code, "run " + program, detail, Domain::kGuestErrno, number});
  };
  EXPECT_EQ(said(Code::kNotFound, "nope", "No such file or directory", 2),
            "exec: \"nope\": executable file not found in $PATH (errno 2 in the guest)");
  EXPECT_EQ(said(Code::kNotFound, "/nope", "No such file or directory", 2),
            "exec: \"/nope\": stat /nope: no such file or directory (errno 2 in the guest)");
  EXPECT_EQ(said(Code::kAccessDenied, "/etc", "Permission denied", 13),
            "exec: \"/etc\": permission denied (errno 13 in the guest)");
  const Error other{Code::kNotFound, "run container web", "it has ended"};
  EXPECT_EQ(words(other), to_string(other));
}

TEST(PreservedDescriptors, AreCountedAndMustBeUsable) {
  EXPECT_EQ(*read_preserved("create", ""), 0u);
  EXPECT_EQ(*read_preserved("create", "13"), 13u);
  for (const char* wrong : {"14", "-1", "x", "1x"}) {
    EXPECT_EQ(to_string(read_preserved("create", wrong).error()),
              "create: --preserve-fds " + std::string(wrong) + ": expected a number up to 13");
  }
  // A hundred, of which one is none.
  EXPECT_THAT(to_string(check_preserved("create", 100).error()),
              HasSubstr("create: --preserve-fds 100: use descriptor "));
}

TEST(NetworkUse, IsOfTheContainersInterfacesAlone) {
  const auto found = parse_network_use(
      "Inter-|   Receive                            |  Transmit\n"
      " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop\n"
      "    lo:      11   12    0    0    0     0          0         0       11   12    0    0\n"
      "runhv2:      21   22    0    0    0     0          0         0       21   22    0    0\n"
      "  eth0:      31   32   33   34    0     0          0         0       35   36   37   38\n"
      "eth0:1: 1 2 3\n"
      "  odd\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "eth0");
  EXPECT_EQ(found[0].received.bytes, 31u);
  EXPECT_EQ(found[0].received.dropped, 34u);
  EXPECT_EQ(found[0].sent.bytes, 35u);
  EXPECT_EQ(found[0].sent.dropped, 38u);
  EXPECT_TRUE(network_use(platform::current_process_id()).empty()) << "those are the caller's";
}

TEST(ProcessTable, HasTheHeadingAndTheLinesOfTheseProcesses) {
  constexpr std::string_view kTable =
      "UID    PID  PPID CMD\nroot     7     1 runhv-vmm --id 9\nroot     9     1 other 7\n\n";
  const std::vector<std::uint64_t> pids{7, 8};
  EXPECT_EQ(*rows_of_processes(kTable, pids),
            "UID    PID  PPID CMD\nroot     7     1 runhv-vmm --id 9\n");
  EXPECT_EQ(*rows_of_processes(kTable, {}), "UID    PID  PPID CMD\n");
  EXPECT_THAT(rows_of_processes("TTY CMD\nx PID\n", pids).error().detail,
              HasSubstr("no column PID"));
  EXPECT_FALSE(rows_of_processes("", pids));
}

}  // namespace
}  // namespace runhv::oci
