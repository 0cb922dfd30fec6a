// A shared library opened at run time.
#pragma once

#include <string>

#include "base/result.h"

namespace runhv::platform {

class Library {
 public:
  // `path`: a file, or a bare name, which is looked for beside the program or library that holds
  // this code (Linux: by its run path), then where the system looks. The error says what was looked
  // for.
  static Result<Library> open(const std::string& path);

  Library(Library&& other) noexcept;
  Library& operator=(Library&& other) noexcept;
  ~Library();

  // Null where the library has no such export.
  void* find(const char* symbol) const;

 private:
  explicit Library(void* module) : module_(module) {}
  void* module_ = nullptr;
};

// What the library `name` is called as a file: libNAME.so on Linux, NAME.dll on Windows.
std::string library_file(const std::string& name);

}  // namespace runhv::platform
