// An environment as the system keeps it: NAME=value, each with its end, and one more end.
#pragma once

#include <string>
#include <vector>

namespace runhv::platform {

// Without names that begin with =, which are the shell's own: the folders of each drive.
std::vector<std::string> variables_of(const wchar_t* block);

std::wstring environment_block(const std::vector<std::string>& variables);

// What a program of this user begins with that runhv starts: `of_user` without runhv's own
// settings, RUNHV_*, and `set` in place of what is named so, in the order that the system wants.
// Names are one without regard to case.
std::vector<std::string> environment_of_program(const std::vector<std::string>& of_user,
                                                const std::vector<std::string>& set);

}  // namespace runhv::platform
