#include "platform/library.h"

#include <utility>

#include <dlfcn.h>

namespace runhv::platform {

Result<Library> Library::open(const std::string& path) {
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    const char* why = ::dlerror();
    return Fail{Error{Code::kNotFound, "load library " + path, why != nullptr ? why : ""}};
  }
  return Library(module);
}

Library::Library(Library&& other) noexcept : module_(std::exchange(other.module_, nullptr)) {}

Library& Library::operator=(Library&& other) noexcept {
  std::swap(module_, other.module_);
  return *this;
}

Library::~Library() {
  if (module_ != nullptr) ::dlclose(module_);
}

void* Library::find(const char* symbol) const { return ::dlsym(module_, symbol); }

std::string library_file(const std::string& name) { return "lib" + name + ".so"; }

}  // namespace runhv::platform
