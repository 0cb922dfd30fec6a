#include "platform/path.h"

namespace runhv::platform {

bool is_absolute_path(std::string_view path) { return path.starts_with('/'); }

std::string program_file(const std::string& name) { return name; }

}  // namespace runhv::platform
