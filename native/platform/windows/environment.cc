// Of process.h: what needs no event loop, for libraries that have none.
#include "platform/process.h"

#include <windows.h>

#include "platform/windows/utf16.h"

namespace runhv::platform {

std::string environment(const char* name) {
  const std::wstring wide = to_utf16(name);
  std::wstring value(128, L'\0');
  for (;;) {
    const DWORD size =
        ::GetEnvironmentVariableW(wide.c_str(), value.data(), static_cast<DWORD>(value.size()));
    const bool fits = size < value.size();
    value.resize(size);  // where it does not fit: with its end
    if (fits) return to_utf8(value);
  }
}

std::vector<std::string> whole_environment() {
  std::vector<std::string> all;
  wchar_t* const block = ::GetEnvironmentStringsW();
  if (block == nullptr) return all;
  for (const wchar_t* entry = block; *entry != L'\0';) {
    const std::wstring_view text = entry;
    // Names that begin with = are the shell's own: the folders of each drive.
    if (text.front() != L'=') all.push_back(to_utf8(text));
    entry += text.size() + 1;
  }
  ::FreeEnvironmentStringsW(block);
  return all;
}

}  // namespace runhv::platform
