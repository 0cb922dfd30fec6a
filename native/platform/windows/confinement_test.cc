#include "platform/confinement.h"

#include <windows.h>

#include <gtest/gtest.h>

#include <cwchar>
#include <string>
#include <thread>

namespace runhv::platform {
namespace {

// It is for good: each test is this program once more, which does only what its name says.
constexpr const wchar_t* kAttempt = L"RUNHV_TEST_ATTEMPT";
constexpr DWORD kDone = 40;
constexpr DWORD kRefused = 41;
constexpr DWORD kMissing = 42;  // this system has not got what would refuse it

DWORD start_this_program(const wchar_t* attempt, STARTUPINFOW& startup, PROCESS_INFORMATION& made) {
  ::SetEnvironmentVariableW(kAttempt, attempt);
  wchar_t program[MAX_PATH];
  ::GetModuleFileNameW(nullptr, program, MAX_PATH);
  std::wstring line = L"\"" + std::wstring(program) + L"\" --gtest_filter=*WindowsConfinement*";
  const BOOL started = ::CreateProcessW(program, line.data(), nullptr, nullptr, FALSE, 0, nullptr,
                                        nullptr, &startup, &made);
  ::SetEnvironmentVariableW(kAttempt, nullptr);
  return started != 0 ? ERROR_SUCCESS : ::GetLastError();
}

// The exit status of one that does it.
DWORD end_of(const wchar_t* attempt) {
  STARTUPINFOW startup{};
  startup.cb = sizeof startup;
  PROCESS_INFORMATION made{};
  if (start_this_program(attempt, startup, made) != ERROR_SUCCESS) return 1;
  ::WaitForSingleObject(made.hProcess, INFINITE);
  DWORD status = 0;
  ::GetExitCodeProcess(made.hProcess, &status);
  ::CloseHandle(made.hThread);
  ::CloseHandle(made.hProcess);
  return status;
}

bool start_a_process() {
  STARTUPINFOW startup{};
  startup.cb = sizeof startup;
  PROCESS_INFORMATION made{};
  return start_this_program(L"nothing", startup, made) == ERROR_SUCCESS;
}

bool make_code() {
  return ::VirtualAlloc(nullptr, 4096, MEM_COMMIT | MEM_RESERVE, PAGE_EXECUTE_READWRITE) != nullptr;
}

bool has_a_privilege() {
  HANDLE token = nullptr;
  if (::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY, &token) == 0) return true;
  DWORD size = 0;
  ::GetTokenInformation(token, TokenPrivileges, nullptr, 0, &size);
  std::string buffer(size, '\0');
  const BOOL told = ::GetTokenInformation(token, TokenPrivileges, buffer.data(), size, &size);
  ::CloseHandle(token);
  return told == 0 || reinterpret_cast<const TOKEN_PRIVILEGES*>(buffer.data())->PrivilegeCount > 1;
}

bool is_in_a_job() {
  BOOL in_job = FALSE;
  ::IsProcessInJob(::GetCurrentProcess(), nullptr, &in_job);
  return in_job != FALSE;
}

[[noreturn]] void attempt(const std::wstring& name) {
  const auto confinement = Confinement::prepare({});
  // Threads are those of a process that is confined as a whole.
  std::thread([&] { static_cast<void>(confinement->confine_other_threads()); }).join();
  const auto end = [&](const char* step, bool done) {
    const bool is_missing = confinement->missing().find(step) != std::string::npos;
    ::ExitProcess(is_missing ? kMissing : done ? kDone : kRefused);
  };
  if (name == L"start a process") end("job object", start_a_process());
  if (name == L"make code") end("new code", make_code());
  if (name == L"have a privilege") end("privileges", has_a_privilege());
  if (name == L"be in no job") end("job object", !is_in_a_job());
  ::ExitProcess(2);
}

// What Wine 8 takes as a setting and does not enforce.
bool is_only_set_under_wine(const std::wstring& attempt) {
  const HMODULE ntdll = ::GetModuleHandleW(L"ntdll.dll");
  return ::GetProcAddress(ntdll, "wine_get_version") != nullptr &&
         (attempt == L"start a process" || attempt == L"make code");
}

class WindowsConfinement : public ::testing::TestWithParam<const wchar_t*> {};

TEST_P(WindowsConfinement, TakesAway) {
  wchar_t name[64];
  if (::GetEnvironmentVariableW(kAttempt, name, 64) != 0) attempt(name);
  const DWORD end = end_of(GetParam());
  if (end == kDone && is_only_set_under_wine(GetParam())) {
    GTEST_SKIP() << "Wine takes the setting, and does not enforce it";
  }
  if (end == kMissing) GTEST_SKIP() << "this system refuses that in no process";
  EXPECT_EQ(end, kRefused);
}

INSTANTIATE_TEST_SUITE_P(Attempts, WindowsConfinement,
                         ::testing::Values(L"start a process", L"make code", L"have a privilege",
                                           L"be in no job"));

}  // namespace
}  // namespace runhv::platform
