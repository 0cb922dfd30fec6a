// One line for all arguments, as CreateProcess takes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace runhv::platform {

// Quoted such that the C run-time library, and CommandLineToArgvW, give the same arguments again.
std::wstring command_line(const std::string& program, const std::vector<std::string>& arguments);

// The arguments behind the program's name, read as the C run-time library does since 2008.
std::vector<std::string> split_command_line(std::wstring_view line);

}  // namespace runhv::platform
