// Where a program is looked for: execvp(3).
#pragma once

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <string_view>

#include "text.h"

namespace runhv::agent {

// The default of execvp(3) in glibc, where the environment has no PATH.
inline constexpr std::string_view kDefaultPath = "/bin:/usr/bin";

// The value of `name` in a NULL-terminated environment, or null.
inline const char* find_variable(char* const* environment, std::string_view name) {
  for (; *environment != nullptr; ++environment) {
    if (strncmp(*environment, name.data(), name.size()) == 0 &&
        (*environment)[name.size()] == '=') {
      return *environment + name.size() + 1;
    }
  }
  return nullptr;
}

// Calls `try_path(const char*)`, which returns a negative errno unless it does not return at all,
// for each place of `name` in `path`. Returns the error to tell.
template <typename Try>
long search_program(std::string_view name, std::string_view path, Try try_path) {
  if (name.empty()) return -ENOENT;
  bool denied = false;
  if (name.find('/') != std::string_view::npos) {
    const Text<PATH_MAX> whole(name);
    return whole.cut() ? -ENAMETOOLONG : try_path(whole.c_str());
  }
  for (;;) {
    const std::size_t colon = path.find(':');
    const std::string_view folder(path.data(),
                                  colon == std::string_view::npos ? path.size() : colon);
    Text<PATH_MAX> candidate(folder);
    // An empty element is the working directory.
    if (!folder.empty()) candidate.add("/");
    candidate.add(name);
    if (!candidate.cut()) {
      const long result = try_path(candidate.c_str());
      if (result == -EACCES) {
        denied = true;
      } else if (result != -ENOENT && result != -ENOTDIR && result != -ELOOP &&
                 result != -ENAMETOOLONG) {
        return result;
      }
    }
    if (colon == std::string_view::npos) return denied ? -EACCES : -ENOENT;
    path.remove_prefix(colon + 1);
  }
}

// The exit status that shells and other runtimes give for an error of execve(2).
inline unsigned exit_status_of(long result) {
  return result == -ENOENT || result == -ENOTDIR ? 127 : 126;
}

}  // namespace runhv::agent
