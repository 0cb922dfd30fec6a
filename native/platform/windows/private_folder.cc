#include "platform/windows/private_folder.h"

#include "platform/os_error.h"
#include "platform/windows/named_file.h"
#include "platform/windows/native_path.h"
#include "platform/windows/user.h"

namespace runhv::platform {

Result<UniqueHandle> open_private_folder(const std::string& folder, const std::string& operation) {
  RUNHV_TRY_ASSIGN(const std::wstring path, native_path(folder, operation));
  UniqueHandle handle = own(
      ::CreateFileW(path.c_str(), READ_CONTROL | FILE_READ_ATTRIBUTES,
                    FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                    FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
  const std::optional<DWORD> attributes = attributes_of(handle);
  if (!attributes) return Fail{last_os_error(operation)};
  const std::string why = "folder " + folder + " is not one that only this user may enter";
  if (!is_plain_folder(*attributes)) return Fail{Error{Code::kAccessDenied, operation, why}};
  RUNHV_TRY(check_private(native(handle), SE_FILE_OBJECT, operation, why));
  return handle;
}

}  // namespace runhv::platform
