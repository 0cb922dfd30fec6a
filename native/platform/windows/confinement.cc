#include "platform/confinement.h"

#include <windows.h>

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "platform/handle.h"
#include "platform/os_error.h"

namespace runhv::platform {
namespace {

constexpr const char* kOperation = "confine this process";

// One step: what it takes away, and the error of a system that does not do it.
struct Step {
  const char* what;
  bool (*take)();
};

// --- the job -------------------------------------------------------------------------------------

// It ends with this process, which is the only one in it. Never closed: its end is the process's.
HANDLE make_lone_job() {
  const HANDLE job = ::CreateJobObjectW(nullptr, nullptr);
  if (job == nullptr) return nullptr;
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_ACTIVE_PROCESS |
                                            JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE |
                                            JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
  limits.BasicLimitInformation.ActiveProcessLimit = 1;
  return ::SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits,
                                   sizeof limits) != 0
             ? job
             : nullptr;
}

// Nobody's desktop is reached from it.
bool restrict_surface(HANDLE job) {
  JOBOBJECT_BASIC_UI_RESTRICTIONS surface{};
  surface.UIRestrictionsClass = JOB_OBJECT_UILIMIT_DESKTOP | JOB_OBJECT_UILIMIT_DISPLAYSETTINGS |
                                JOB_OBJECT_UILIMIT_EXITWINDOWS | JOB_OBJECT_UILIMIT_GLOBALATOMS |
                                JOB_OBJECT_UILIMIT_HANDLES | JOB_OBJECT_UILIMIT_READCLIPBOARD |
                                JOB_OBJECT_UILIMIT_SYSTEMPARAMETERS |
                                JOB_OBJECT_UILIMIT_WRITECLIPBOARD;
  return ::SetInformationJobObject(job, JobObjectBasicUIRestrictions, &surface, sizeof surface) !=
         0;
}

// "Nested Jobs": one that is about a desktop cannot be in another one, as in that by which runhv
// ends its child.
bool enter_job() {
  HANDLE job = make_lone_job();
  if (job == nullptr) return false;
  if (restrict_surface(job) && ::AssignProcessToJobObject(job, ::GetCurrentProcess()) != 0) {
    return true;
  }
  ::CloseHandle(job);
  job = make_lone_job();
  return job != nullptr && ::AssignProcessToJobObject(job, ::GetCurrentProcess()) != 0;
}

// --- mitigation policies -------------------------------------------------------------------------

// Newer than old kernel32.dlls, and than some of those that stand in for one.
bool set_policy(int policy, const void* value, std::size_t size) {
  using SetPolicy = BOOL(WINAPI*)(int, const void*, SIZE_T);
  const HMODULE kernel = ::GetModuleHandleW(L"kernel32.dll");
  const auto set = kernel != nullptr ? reinterpret_cast<SetPolicy>(reinterpret_cast<void*>(
                                           ::GetProcAddress(kernel, "SetProcessMitigationPolicy")))
                                     : nullptr;
  if (set == nullptr) {
    ::SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
    return false;
  }
  return set(policy, value, size) != 0;
}

// PROCESS_MITIGATION_POLICY and the flags of its structures, each one word (winnt.h; MinGW's lacks
// some).
bool set_flags(int policy, DWORD flags) { return set_policy(policy, &flags, sizeof flags); }
bool prohibit_new_code() { return set_flags(2, 1); }                // DynamicCode
bool check_handles() { return set_flags(3, 1 | 2); }                // StrictHandleCheck
bool disable_extension_points() { return set_flags(6, 1); }         // ExtensionPointDisable
bool load_local_images_only() { return set_flags(10, 1 | 2 | 4); }  // ImageLoad
bool prohibit_child_processes() { return set_flags(13, 1); }        // ChildProcess

// --- the token -----------------------------------------------------------------------------------

// All privileges but the one that every process needs to open a file below folders that it may not
// list.
bool remove_privileges() {
  HANDLE opened = nullptr;
  if (::OpenProcessToken(::GetCurrentProcess(), TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES, &opened) ==
      0) {
    return false;
  }
  const UniqueHandle token(reinterpret_cast<OsHandle>(opened));
  LUID kept{};
  if (::LookupPrivilegeValueW(nullptr, L"SeChangeNotifyPrivilege", &kept) == 0) return false;
  DWORD size = 0;
  ::GetTokenInformation(opened, TokenPrivileges, nullptr, 0, &size);
  std::vector<std::byte> buffer(size);
  if (::GetTokenInformation(opened, TokenPrivileges, buffer.data(), size, &size) == 0) return false;
  auto* const privileges = reinterpret_cast<TOKEN_PRIVILEGES*>(buffer.data());
  for (DWORD i = 0; i < privileges->PrivilegeCount; ++i) {
    LUID_AND_ATTRIBUTES& each = privileges->Privileges[i];
    const bool is_kept = each.Luid.LowPart == kept.LowPart && each.Luid.HighPart == kept.HighPart;
    if (!is_kept) each.Attributes = SE_PRIVILEGE_REMOVED;
  }
  return ::AdjustTokenPrivileges(opened, FALSE, privileges, size, nullptr, nullptr) != 0 &&
         ::GetLastError() == ERROR_SUCCESS;
}

constexpr std::array<Step, 7> kSteps{{{"privileges", remove_privileges},
                                      {"job object", enter_job},
                                      {"new code", prohibit_new_code},
                                      {"handles of others", check_handles},
                                      {"extension points", disable_extension_points},
                                      {"libraries from afar", load_local_images_only},
                                      {"child processes", prohibit_child_processes}}};

}  // namespace

struct Confinement::Parts {
  std::string missing;
};

Confinement::Confinement(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Confinement::Confinement(Confinement&&) noexcept = default;
Confinement& Confinement::operator=(Confinement&&) noexcept = default;
Confinement::~Confinement() = default;

const std::string& Confinement::missing() const { return parts_->missing; }

// What is taken away is the same for all duties.
Result<Confinement> Confinement::prepare(const Duties&) {
  return Confinement(std::make_unique<Parts>());
}

// Everything is the process's. What a system does not have is missing, and no error.
Result<void> Confinement::confine_other_threads() const {
  for (const Step& step : kSteps) {
    if (step.take()) continue;
    parts_->missing += (parts_->missing.empty() ? "" : "; ") +
                       to_string(os_error(step.what, static_cast<std::int64_t>(::GetLastError())));
  }
  return {};
}

int Confinement::confine_this_thread() const { return 0; }

ConfinementSupport confinement_support() {
  return {.has = "privileges, job object, mitigation policies", .lacks = ""};
}

}  // namespace runhv::platform
