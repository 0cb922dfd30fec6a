#include "platform/windows/user.h"

#include "platform/os_error.h"

namespace runhv::platform {
namespace {

struct FreeLocal {
  void operator()(void* memory) const { ::LocalFree(memory); }
};

bool is_one_of_ours(PSID sid, const UserSid& user) {
  return user.equals(sid) || ::IsWellKnownSid(sid, WinLocalSystemSid) != 0 ||
         ::IsWellKnownSid(sid, WinBuiltinAdministratorsSid) != 0;
}

// Whether each entry that allows something allows it to this user, the system or administrators.
bool lets_nobody_else_in(PACL list, const UserSid& user) {
  if (list == nullptr) return false;  // everybody may do everything
  for (DWORD i = 0; i < list->AceCount; ++i) {
    void* entry = nullptr;
    if (!::GetAce(list, i, &entry)) return false;
    const auto* header = static_cast<const ACE_HEADER*>(entry);
    if (header->AceType == ACCESS_DENIED_ACE_TYPE) continue;
    // Of other kinds (callbacks, objects) nothing is known.
    if (header->AceType != ACCESS_ALLOWED_ACE_TYPE) return false;
    auto* allowed = static_cast<ACCESS_ALLOWED_ACE*>(entry);
    if (allowed->Mask == 0) continue;
    if (!is_one_of_ours(&allowed->SidStart, user)) return false;
  }
  return true;
}

}  // namespace

Result<UserSid> UserSid::own(const std::string& operation) {
  RUNHV_TRY_ASSIGN(ProcessUser user, ProcessUser::own(operation));
  return std::move(user.sid);
}

Result<UserSid> UserSid::of(PSID sid, const std::string& operation) {
  std::vector<std::byte> bytes(::GetLengthSid(sid));
  if (!::CopySid(static_cast<DWORD>(bytes.size()), bytes.data(), sid)) {
    return Fail{last_os_error(operation)};
  }
  return UserSid(std::move(bytes));
}

std::uint32_t UserSid::number() const {
  const UCHAR parts = *::GetSidSubAuthorityCount(get());
  return parts == 0 ? 0 : *::GetSidSubAuthority(get(), static_cast<DWORD>(parts - 1));
}

Result<std::wstring> UserSid::text(const std::string& operation) const {
  wchar_t* written = nullptr;
  if (!::ConvertSidToStringSidW(get(), &written)) return Fail{last_os_error(operation)};
  const std::unique_ptr<void, FreeLocal> freed(written);
  return std::wstring(written);
}

Result<ProcessUser> ProcessUser::of(std::uint64_t pid, const std::string& operation) {
  const UniqueHandle process = runhv::platform::own(
      ::OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, static_cast<DWORD>(pid)));
  HANDLE opened = nullptr;
  if (!process.is_open() || !::OpenProcessToken(native(process), TOKEN_QUERY, &opened)) {
    return Fail{last_os_error(operation)};
  }
  const UniqueHandle token = runhv::platform::own(opened);
  std::vector<std::byte> user(sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE);
  TOKEN_STATISTICS statistics{};
  DWORD size = 0;
  if (!::GetTokenInformation(native(token), TokenUser, user.data(), static_cast<DWORD>(user.size()),
                             &size) ||
      !::GetTokenInformation(native(token), TokenStatistics, &statistics, sizeof statistics,
                             &size)) {
    return Fail{last_os_error(operation)};
  }
  RUNHV_TRY_ASSIGN(UserSid sid,
                   UserSid::of(reinterpret_cast<TOKEN_USER*>(user.data())->User.Sid, operation));
  const LUID& logon = statistics.AuthenticationId;
  return ProcessUser{std::move(sid),
                     std::uint64_t{static_cast<DWORD>(logon.HighPart)} << 32 | logon.LowPart};
}

Result<ProcessUser> ProcessUser::own(const std::string& operation) {
  return of(::GetCurrentProcessId(), operation);
}

PrivateAccess::PrivateAccess(void* descriptor)
    : descriptor_(descriptor), attributes_{sizeof attributes_, descriptor, FALSE} {}

Result<PrivateAccess> PrivateAccess::create(const std::string& operation) {
  RUNHV_TRY_ASSIGN(const UserSid user, UserSid::own(operation));
  RUNHV_TRY_ASSIGN(const std::wstring sid, user.text(operation));
  // Security Descriptor Definition Language: owner; protected from what the parent gives; all
  // access, inherited by files and folders, to the user, SYSTEM and administrators.
  const std::wstring text =
      L"O:" + sid + L"D:P(A;OICI;GA;;;" + sid + L")(A;OICI;GA;;;SY)(A;OICI;GA;;;BA)";
  void* descriptor = nullptr;
  if (!::ConvertStringSecurityDescriptorToSecurityDescriptorW(text.c_str(), SDDL_REVISION_1,
                                                              &descriptor, nullptr)) {
    return Fail{last_os_error(operation)};
  }
  return PrivateAccess(descriptor);
}

Result<void> check_private(HANDLE handle, SE_OBJECT_TYPE type, const std::string& operation,
                           const std::string& why) {
  RUNHV_TRY_ASSIGN(const UserSid user, UserSid::own(operation));
  PSID owner = nullptr;
  PACL list = nullptr;
  void* descriptor = nullptr;
  const DWORD failure =
      ::GetSecurityInfo(handle, type, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                        &owner, nullptr, &list, nullptr, &descriptor);
  if (failure != ERROR_SUCCESS) return Fail{os_error(operation, failure)};
  const std::unique_ptr<void, FreeLocal> freed(descriptor);
  if (owner == nullptr || !is_one_of_ours(owner, user) || !lets_nobody_else_in(list, user)) {
    return Fail{Error{Code::kAccessDenied, operation, why}};
  }
  return {};
}

}  // namespace runhv::platform
