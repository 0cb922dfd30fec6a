#include "platform/child.h"

#include "base/check.h"
#include "platform/os_error.h"
#include "platform/process.h"
#include "platform/windows/system.h"

namespace runhv::platform {
namespace {

Fail<Error> not_here(const std::string& operation, const std::string& why) {
  return Fail{Error{Code::kUnsupported, operation, why}};
}

}  // namespace

// Of a child there is none, since start_child() makes none.
void Child::signal(int) const { RUNHV_CHECK(false); }
int Child::wait() const { RUNHV_CHECK(false); }

Result<Child> start_child(const std::function<Result<int>(const Ready&)>&) {
  return not_here("start a process", "Windows cannot fork: run and exec are what works here");
}

Result<ProgramEnd> run_program(const Program& program) {
  return not_here("run " + program.path, "hooks of an OCI bundle are programs of Linux");
}

Result<void> start_detached(const Detached& program) {
  return not_here("start " + program.path, "on Windows no process stays behind for the next one");
}

Result<void> place_this_process(const Placement&) {
  return not_here("place the process", "Windows has neither cgroups nor network namespaces");
}

Result<void> set_standard_streams(const std::array<OsHandle, 3>& handles) {
  const std::string operation = "set the standard streams";
  const std::array<DWORD, 3> streams{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (!::SetStdHandle(streams[i], native(handles[i]))) return Fail{last_os_error(operation)};
  }
  return {};
}

Result<void> give_up_standard_streams() {
  const std::string operation = "open the null device";
  for (const DWORD stream : {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE}) {
    UniqueHandle null =
        own(::CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                          nullptr, OPEN_EXISTING, 0, nullptr));
    if (!null.is_open()) return Fail{last_os_error(operation)};
    // Its readers see the end of the old one.
    const HANDLE before = ::GetStdHandle(stream);
    if (!::SetStdHandle(stream, native(null))) return Fail{last_os_error(operation)};
    static_cast<void>(null.release());
    if (before != nullptr && before != INVALID_HANDLE_VALUE) ::CloseHandle(before);
  }
  return {};
}

Result<void> begin_session(OsHandle) {
  return not_here("begin a session", "Windows has none: a console is a process's from its start");
}

Result<void> keep_across_become(OsHandle) {
  return not_here("keep a handle for the next program",
                  "on Windows a program is told which handles it gets when it starts");
}

}  // namespace runhv::platform
