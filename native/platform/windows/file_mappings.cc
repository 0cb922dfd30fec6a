#include "platform/file_mappings.h"

namespace runhv::platform {

// Files of a Windows host are not shared (file_node.cc).
struct FileMappings::Watched {};

Result<std::unique_ptr<FileMappings>> FileMappings::create(std::span<std::byte>, std::size_t) {
  return std::unique_ptr<FileMappings>();
}
FileMappings::~FileMappings() = default;
int FileMappings::show(std::size_t, const OpenFile&, std::uint64_t, bool) { return 38; }  // ENOSYS
void FileMappings::hide(std::size_t) {}
bool FileMappings::has_lost_any() const { return false; }
bool FileMappings::take_any_lost() { return false; }
bool FileMappings::take_lost(std::size_t) { return false; }

}  // namespace runhv::platform
