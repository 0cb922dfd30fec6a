// One line for all arguments, as CreateProcess takes them.
#pragma once

#include <string>
#include <vector>

namespace runhv::platform {

// Quoted such that the C run-time library, and CommandLineToArgvW, give the same arguments again.
std::wstring command_line(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace runhv::platform
