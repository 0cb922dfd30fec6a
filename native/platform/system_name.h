// Which operating system this is, for reports.
#pragma once

#include <string>

namespace runhv::platform {

// "Linux 6.1.0-9-amd64 x86_64", "Windows 10.0.26100": its name and the number of its build.
std::string system_name();

}  // namespace runhv::platform
