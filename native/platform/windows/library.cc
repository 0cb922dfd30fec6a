#include "platform/library.h"

#include <windows.h>

#include <utility>

#include "platform/os_error.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

// Never the current folder or PATH, where anybody may have put a file: what a library needs lies
// beside it or is the system's.
constexpr DWORD kWhereItNeeds = LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32;

std::wstring full_path(const std::wstring& path) {
  std::wstring full(::GetFullPathNameW(path.c_str(), 0, nullptr, nullptr), L'\0');
  full.resize(
      ::GetFullPathNameW(path.c_str(), static_cast<DWORD>(full.size()), full.data(), nullptr));
  return full;
}

// Folder of the program or library that holds this code, with a backslash behind it.
std::wstring own_folder() {
  HMODULE self = nullptr;
  ::GetModuleHandleExW(
      GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
      reinterpret_cast<const wchar_t*>(&own_folder), &self);
  std::wstring path(MAX_PATH, L'\0');
  for (;;) {
    const DWORD size = ::GetModuleFileNameW(self, path.data(), static_cast<DWORD>(path.size()));
    if (size < path.size()) {
      path.resize(size);
      break;
    }
    path.resize(2 * path.size());
  }
  return path.substr(0, path.find_last_of(L'\\') + 1);
}

// A bare name is looked up as by a run path of $ORIGIN on Linux.
HMODULE load(const std::wstring& path) {
  if (path.find_first_of(L"/\\") != std::wstring::npos) {
    return ::LoadLibraryExW(full_path(path).c_str(), nullptr, kWhereItNeeds);
  }
  HMODULE module = ::LoadLibraryExW((own_folder() + path).c_str(), nullptr, kWhereItNeeds);
  if (module == nullptr && ::GetLastError() == ERROR_MOD_NOT_FOUND) {
    module = ::LoadLibraryExW(path.c_str(), nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
  }
  return module;
}

}  // namespace

Result<Library> Library::open(const std::string& path) {
  HMODULE module = load(to_utf16(path));
  if (module == nullptr) {
    Error error = last_os_error("load library " + path);
    error.detail = path + ": " + error.detail;
    return Fail{std::move(error)};
  }
  return Library(module);
}

Library::Library(Library&& other) noexcept : module_(std::exchange(other.module_, nullptr)) {}

Library& Library::operator=(Library&& other) noexcept {
  std::swap(module_, other.module_);
  return *this;
}

Library::~Library() {
  if (module_ != nullptr) ::FreeLibrary(static_cast<HMODULE>(module_));
}

void* Library::find(const char* symbol) const {
  return reinterpret_cast<void*>(::GetProcAddress(static_cast<HMODULE>(module_), symbol));
}

std::string library_file(const std::string& name) { return name + ".dll"; }

}  // namespace runhv::platform
