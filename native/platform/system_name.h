// Which operating system this is: for reports, and for what one of them has not.
#pragma once

#include <cstdint>
#include <string>

namespace runhv::platform {

enum class System : std::uint8_t { kLinux, kWindows };
System this_system();

// "Linux 6.1.0-9-amd64 x86_64", "Windows 10.0.26100": its name and the number of its build.
std::string system_name();

}  // namespace runhv::platform
