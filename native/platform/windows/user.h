// Who this process is to the system, and what only that user may enter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/handle.h"
#include "platform/windows/system.h"

namespace runhv::platform {

// A security identifier, as the system keeps it.
class UserSid {
 public:
  // Of the user whom this process runs for.
  static Result<UserSid> own(const std::string& operation);
  // Copies it.
  static Result<UserSid> of(PSID sid, const std::string& operation);

  PSID get() const { return const_cast<std::byte*>(bytes_.data()); }
  bool equals(PSID other) const { return ::EqualSid(get(), other) != 0; }
  // The last part of it, by which the users of one machine differ.
  std::uint32_t number() const;
  // "S-1-5-…"
  Result<std::wstring> text(const std::string& operation) const;

 private:
  explicit UserSid(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  std::vector<std::byte> bytes_;
};

// Whom a process runs for, and in which logon session: who has raised his rights has another one.
struct ProcessUser {
  UserSid sid;
  std::uint64_t logon;

  static Result<ProcessUser> of(std::uint64_t pid, const std::string& operation);
  static Result<ProcessUser> own(const std::string& operation);
};

// What gives a new thing to this user alone, and to the system and its administrators, who may take
// it anyway; a folder's files inherit it. attributes() lives as long as this.
class PrivateAccess {
 public:
  static Result<PrivateAccess> create(const std::string& operation);
  SECURITY_ATTRIBUTES* attributes() { return &attributes_; }

 private:
  struct Free {
    void operator()(void* memory) const { ::LocalFree(memory); }
  };
  explicit PrivateAccess(void* descriptor);
  std::unique_ptr<void, Free> descriptor_;
  SECURITY_ATTRIBUTES attributes_;
};

// kAccessDenied, with `why`, unless the open file, folder or pipe belongs to this user or to the
// administrators, and nobody but them and the system may do anything with it.
Result<void> check_private(HANDLE handle, SE_OBJECT_TYPE type, const std::string& operation,
                           const std::string& why);

}  // namespace runhv::platform
