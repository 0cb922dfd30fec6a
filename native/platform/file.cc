#include "platform/file.h"

namespace runhv::platform {

Result<void> write_file_atomically(const std::string& path, std::span<const std::byte> bytes,
                                   Durability durability) {
  RUNHV_TRY_ASSIGN(NewFile made, NewFile::create(path));
  RUNHV_TRY(made.file().write_at(0, bytes));
  return std::move(made).put_in_place(durability);
}

}  // namespace runhv::platform
