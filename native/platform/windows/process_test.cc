#include "platform/process.h"

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/child.h"
#include "platform/windows/child_process.h"
#include "platform/windows/command_line.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string shell() { return environment("COMSPEC"); }

TEST(CommandLine, GivesTheSameArgumentsAgain) {
  EXPECT_EQ(command_line("a.exe", {"b", "", "c d", "\"", "\\", "e f\\", "\\\""}),
            LR"(a.exe b "" "c d" "\"" \ "e f\\" "\\\"")");
}

TEST(CommandLine, IsSplitAsTheRunTimeLibrarySplitsIt) {
  const std::vector<std::string> arguments{"",          "a b",   "\"",        "\\", "c\\",
                                           "d e\\",     "\\\"",  "f\"g h",    "\t", "\xe4\xbe\x8b",
                                           "\\\\x\\\\", "*.txt", "--name=v w"};
  EXPECT_EQ(split_command_line(command_line("C:\\Program Files\\a.exe", arguments)), arguments);
  // The table of "Parsing C command-line arguments".
  EXPECT_THAT(split_command_line(LR"(a "a b c" d e)"), ElementsAre("a b c", "d", "e"));
  EXPECT_THAT(split_command_line(LR"(a "ab\"c" "\\" d)"), ElementsAre(R"(ab"c)", R"(\)", "d"));
  EXPECT_THAT(split_command_line(LR"(a a\\b d"e f"g h)"), ElementsAre(R"(a\\b)", "de fg", "h"));
  EXPECT_THAT(split_command_line(LR"(a a\\\"b c d)"), ElementsAre(R"(a\"b)", "c", "d"));
  EXPECT_THAT(split_command_line(LR"(a a\\\\"b c" d e)"), ElementsAre(R"(a\\b c)", "d", "e"));
  EXPECT_THAT(split_command_line(LR"(a a"b"" c d)"), ElementsAre(R"(ab" c d)"));
  EXPECT_THAT(split_command_line(LR"("with\"  x  )"), ElementsAre("x"));
  EXPECT_THAT(split_command_line(L""), ElementsAre());
}

TEST(Captured, HasTheOutputAndTheStatus) {
  const auto said = run_captured(shell(), {"/c", "echo hello"}, "", "", 100);
  ASSERT_TRUE(said) << to_string(said.error());
  EXPECT_THAT(said->output, HasSubstr("hello"));
  EXPECT_EQ(said->exit_status, 0);
  EXPECT_EQ(run_captured(shell(), {"/c", "exit 42"}, "", "", 10)->exit_status, 42);
}

// This program as another one: where the variable is set, it gives what it reads.
constexpr const wchar_t* kEcho = L"ECHO_STDIN";
const bool kIsEcho = [] {
  if (::GetEnvironmentVariableW(kEcho, nullptr, 0) == 0) return false;
  std::array<char, 4096> part;
  DWORD count = 0;
  DWORD written = 0;
  while (::ReadFile(::GetStdHandle(STD_INPUT_HANDLE), part.data(), part.size(), &count, nullptr) &&
         count > 0) {
    ::WriteFile(::GetStdHandle(STD_OUTPUT_HANDLE), part.data(), count, &written, nullptr);
  }
  ::ExitProcess(7);
}();

// And one that does not end.
constexpr const wchar_t* kForever = L"SLEEP_FOREVER";
const bool kIsForever = [] {
  if (::GetEnvironmentVariableW(kForever, nullptr, 0) != 0) ::Sleep(INFINITE);
  return false;
}();

std::string self() {
  std::wstring path(MAX_PATH, L'\0');
  path.resize(::GetModuleFileNameW(nullptr, path.data(), MAX_PATH));
  return to_utf8(path);
}

Result<ProgramEnd> run_self_as(const wchar_t* other, const std::string& input,
                               std::uint64_t timeout_ns) {
  ::SetEnvironmentVariableW(other, L"1");
  auto end = run_program({.path = self(),
                          .arguments = {},
                          .environment = std::nullopt,
                          .input = input,
                          .timeout_ns = timeout_ns});
  ::SetEnvironmentVariableW(other, nullptr);
  return end;
}

TEST(RunProgram, HasItsInputAndTheFirstOfItsOutput) {
  const auto end = run_self_as(kEcho, std::string(100'000, 'x'), 60'000'000'000);
  ASSERT_TRUE(end) << to_string(end.error());
  EXPECT_EQ(end->exit_status, 7);
  EXPECT_EQ(end->output, std::string(4096, 'x'));
}

TEST(RunProgram, HasTheEnvironmentThatIsNamed) {
  const auto end = run_program({.path = shell(),
                                .arguments = {"cmd", "/c", "echo %OF_THE_TEST%"},
                                .environment = std::vector<std::string>{"OF_THE_TEST=its own"},
                                .input = "",
                                .timeout_ns = 60'000'000'000});
  ASSERT_TRUE(end) << to_string(end.error());
  EXPECT_THAT(end->output, HasSubstr("its own"));
}

TEST(RunProgram, ThatTakesTooLongIsKilled) {
  const auto end = run_self_as(kForever, "", 50'000'000);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Code::kTimedOut);
}

TEST(Captured, EchoesALargeInput) {
  const std::string input(300'000, 'i');
  ::SetEnvironmentVariableW(kEcho, L"1");
  const auto echoed = run_captured(self(), {}, "", input, 1 << 20);
  ::SetEnvironmentVariableW(kEcho, nullptr);
  ASSERT_TRUE(echoed) << to_string(echoed.error());
  EXPECT_TRUE(echoed->output == input) << echoed->output.size();
  EXPECT_EQ(echoed->exit_status, 7);
}

TEST(Captured, NamesWhatIsMissingAndLimitsTheAnswer) {
  const Error missing = run_captured("C:/no/such.exe", {}, "", "", 10).error();
  EXPECT_EQ(missing.code, Code::kNotFound);
  EXPECT_THAT(missing.operation, HasSubstr("C:/no/such.exe"));
  EXPECT_THAT(run_captured(shell(), {"/c", "echo 12345678901"}, "", "", 10).error().detail,
              HasSubstr("longer than 10 bytes"));
  EXPECT_THAT(run_captured(shell(), {"/c", "echo one 1>&2"}, "", "", 10)->early_errors,
              HasSubstr("one"));
}

TEST(ChildProcessTest, EndsWithItsObject) {
  DWORD pid = 0;
  {
    // It waits for a key that nobody presses.
    HANDLE reader = nullptr;
    HANDLE writer = nullptr;
    ASSERT_TRUE(::CreatePipe(&reader, &writer, nullptr, 0));
    const UniqueHandle in = own(reader);
    const UniqueHandle held = own(writer);
    const auto child = ChildProcess::start({.program = shell(),
                                            .arguments = {"/c", "pause"},
                                            .directory = {},
                                            .streams = {native(in), nullptr, nullptr}});
    ASSERT_TRUE(child) << to_string(child.error());
    pid = ::GetProcessId(child->handle());
    ASSERT_TRUE(ProcessEnd::watch(pid));
    auto end = ProcessEnd::watch(pid);
    auto loop = EventLoop::create();
    ASSERT_TRUE(end && loop && end->bind(**loop));
    bool ended = false;
    end->on_end([&] { ended = true; });
    ASSERT_TRUE((*loop)->run_once(0));
    EXPECT_FALSE(ended);
    kill_process(pid);
    end->on_end([&] { (*loop)->stop(); });
    ASSERT_TRUE((*loop)->run());
    EXPECT_EQ(child->exit_status(), 137);
  }
}

TEST(ProcessTest, KnowsItself) {
  EXPECT_EQ(current_process_id(), ::GetCurrentProcessId());
  EXPECT_THAT(surroundings(), HasSubstr("user S-1-"));
  EXPECT_THAT(surroundings(), HasSubstr(", logon "));
  EXPECT_GT(private_bytes(), 0u);
  EXPECT_EQ(ProcessEnd::watch(0).error().code, Code::kNotFound);
  EXPECT_TRUE(ProcessEnd::watch(current_process_id()));
}

}  // namespace
}  // namespace runhv::platform
