#include "platform/system_name.h"

#include <sys/utsname.h>

namespace runhv::platform {

System this_system() { return System::kLinux; }

std::string system_name() {
  utsname names{};
  if (::uname(&names) != 0) return "Linux";
  return std::string(names.sysname) + " " + names.release + " " + names.machine;
}

}  // namespace runhv::platform
