#include "platform/child.h"

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/local_socket.h"
#include "platform/process.h"
#include "platform/windows/child_process.h"
#include "platform/windows/child_streams.h"
#include "platform/windows/environment_block.h"
#include "platform/windows/utf16.h"
#include "platform/windows/waiting_pipe.h"

namespace runhv::platform {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string own_program() {
  std::wstring path(MAX_PATH, L'\0');
  path.resize(::GetModuleFileNameW(nullptr, path.data(), MAX_PATH));
  return to_utf8(path);
}

Result<void> start_telling(OsHandle output) {
  return start_detached({.path = own_program(),
                         .arguments = {},
                         .environment = {"TELLS_WHAT_IT_HAS=1", "temp=of the program"},
                         .folder = environment("SystemRoot"),
                         .input = kInvalidHandle,
                         .output = output,
                         .kept = kInvalidHandle});
}

// This program as one that tells what it has, once it is asked for it.
const bool kTells = [] {
  if (environment("TELLS_WHAT_IT_HAS").empty()) return false;
  const auto output =
      WaitingPipe::adopt(reinterpret_cast<OsHandle>(::GetStdHandle(STD_OUTPUT_HANDLE)));
  if (!output) ::ExitProcess(1);
  std::array<std::byte, 1> asked{};
  static_cast<void>((*output)->read(asked));
  std::wstring folder(MAX_PATH, L'\0');
  folder.resize(::GetCurrentDirectoryW(MAX_PATH, folder.data()));
  std::string told = "pid=" + std::to_string(::GetCurrentProcessId()) +
                     "\nfolder=" + to_utf8(folder) +
                     "\nconsole=" + std::to_string(::GetConsoleCP()) + "\n";
  for (const std::string& variable : whole_environment()) told += variable + "\n";
  static_cast<void>((*output)->write(as_bytes(std::string_view(told))));
  ::ExitProcess(0);
}();

// And as one that starts that one when its input begins, and stays.
const bool kStarts = [] {
  if (environment("STARTS_WHO_TELLS").empty()) return false;
  char byte = 0;
  DWORD count = 0;
  ::ReadFile(::GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &count, nullptr);
  if (!start_telling(reinterpret_cast<OsHandle>(::GetStdHandle(STD_OUTPUT_HANDLE))))
    ::ExitProcess(1);
  ::CloseHandle(::GetStdHandle(STD_ERROR_HANDLE));
  ::Sleep(INFINITE);
  return true;
}();

std::string told_by(WaitingPipe& pipe) {
  EXPECT_EQ(pipe.write(as_bytes("?")).status, IoStatus::kDone);
  std::string all;
  std::array<std::byte, 4096> part{};
  for (IoResult read = pipe.read(part); read.status == IoStatus::kDone; read = pipe.read(part)) {
    all.append(reinterpret_cast<const char*>(part.data()), read.bytes);
  }
  return all;
}

TEST(Detached, HasTheUsersEnvironmentAndNothingOfWhoStartedIt) {
  ASSERT_TRUE(::SetEnvironmentVariableW(L"OF_WHO_STARTED_IT", L"secret"));
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends) << to_string(ends.error());
  {
    const UniqueHandle output = std::move(ends->second).release();
    const auto started = start_telling(output.get());
    ASSERT_TRUE(started) << to_string(started.error());
  }
  const auto pipe = WaitingPipe::adopt_owned(std::move(ends->first).release());
  ASSERT_TRUE(pipe);
  const std::string told = told_by(**pipe);
  EXPECT_THAT(told, HasSubstr("\nfolder=" + environment("SystemRoot") + "\n"));
  EXPECT_THAT(told, HasSubstr("\nconsole=0\n"));
  EXPECT_THAT(told, HasSubstr("\nSystemRoot="));
  EXPECT_THAT(told, HasSubstr("\ntemp=of the program\n"));
  EXPECT_THAT(told, Not(HasSubstr("\nTEMP=")));
  EXPECT_THAT(told, Not(HasSubstr("OF_WHO_STARTED_IT")));
}

TEST(Detached, HasEachNameOnceAndInOrderAndNoSettingOfTheUsers) {
  EXPECT_THAT(
      environment_of_program({"TEMP=C:\\t", "RUNHV_STORE=D:\\", "b=2", "runhv_home=E:\\",
                              "RUNHV=kept", "_=u", "A=1", "\xc3\x89t\xc3\xa9=ete"},
                             {"temp=C:\\ours", "RUNHV_HOME=C:\\h", "\xc3\xa9T\xc3\x89=", "c=a=b"}),
      ElementsAre("A=1", "b=2", "c=a=b", "RUNHV=kept", "RUNHV_HOME=C:\\h", "temp=C:\\ours", "_=u",
                  "\xc3\xa9T\xc3\x89="));
}

TEST(Detached, OutlivesTheJobThatLetsItGo) {
  const UniqueHandle job = own(::CreateJobObjectW(nullptr, nullptr));
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_BREAKAWAY_OK;
  ASSERT_TRUE(::SetInformationJobObject(native(job), JobObjectExtendedLimitInformation, &limits,
                                        sizeof limits));
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends);
  ChildPipe go, gone;
  ASSERT_TRUE(go.open() && gone.open());
  ASSERT_TRUE(::SetEnvironmentVariableW(L"STARTS_WHO_TELLS", L"1"));
  UniqueHandle output = std::move(ends->second).release();
  const auto starter =
      ChildProcess::start({.program = own_program(),
                           .arguments = {},
                           .directory = {},
                           .streams = {native(go.reader), native(output), native(gone.writer)}});
  ASSERT_TRUE(::SetEnvironmentVariableW(L"STARTS_WHO_TELLS", nullptr));
  ASSERT_TRUE(starter) << to_string(starter.error());
  output.reset();
  gone.writer.reset();
  ASSERT_TRUE(::AssignProcessToJobObject(native(job), starter->handle()));
  DWORD count = 0;
  ASSERT_TRUE(::WriteFile(native(go.writer), "!", 1, &count, nullptr));
  char byte = 0;
  EXPECT_FALSE(::ReadFile(native(gone.reader), &byte, 1, &count, nullptr))
      << "its end: it has started";
  ASSERT_TRUE(::TerminateJobObject(native(job), 1));
  EXPECT_EQ(starter->exit_status(), 1);
  const auto pipe = WaitingPipe::adopt_owned(std::move(ends->first).release());
  ASSERT_TRUE(pipe);
  EXPECT_THAT(told_by(**pipe), HasSubstr("console=0"));
}

TEST(Detached, NamesWhatIsMissing) {
  const auto started = start_detached({.path = "C:/no/such.exe",
                                       .arguments = {},
                                       .environment = {},
                                       .folder = environment("SystemRoot"),
                                       .input = kInvalidHandle,
                                       .output = kInvalidHandle,
                                       .kept = kInvalidHandle});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kNotFound);
}

}  // namespace
}  // namespace runhv::platform
