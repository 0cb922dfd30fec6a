// Of process.h: what needs no event loop, for libraries that have none.
#include "platform/process.h"

#include <windows.h>

#include <map>

#include "platform/windows/environment_block.h"
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

std::vector<std::string> variables_of(const wchar_t* block) {
  std::vector<std::string> all;
  for (const wchar_t* entry = block; *entry != L'\0';) {
    const std::wstring_view text = entry;
    if (text.front() != L'=') all.push_back(to_utf8(text));
    entry += text.size() + 1;
  }
  return all;
}

std::wstring environment_block(const std::vector<std::string>& variables) {
  std::wstring block;
  for (const std::string& variable : variables) block += to_utf16(variable) + L'\0';
  block += L'\0';
  return block;
}

std::vector<std::string> environment_of_program(const std::vector<std::string>& of_user,
                                                const std::vector<std::string>& set) {
  // "The sort is case-insensitive, Unicode order, without regard to locale" (Changing Environment
  // Variables).
  const auto before = [](const std::wstring& one, const std::wstring& other) {
    return ::CompareStringOrdinal(one.data(), static_cast<int>(one.size()), other.data(),
                                  static_cast<int>(other.size()), TRUE) == CSTR_LESS_THAN;
  };
  const std::wstring runhv = L"RUNHV_";
  std::map<std::wstring, std::string, decltype(before)> by_name(before);
  const auto name_of = [](const std::string& variable) {
    return to_utf16(std::string_view(variable).substr(0, variable.find('=')));
  };
  for (const std::string& variable : of_user) {
    const std::wstring name = name_of(variable);
    const std::wstring start = name.substr(0, runhv.size());
    if (before(start, runhv) || before(runhv, start)) by_name.insert_or_assign(name, variable);
  }
  for (const std::string& variable : set) by_name.insert_or_assign(name_of(variable), variable);
  std::vector<std::string> all;
  for (const auto& [name, variable] : by_name) all.push_back(variable);
  return all;
}

std::vector<std::string> whole_environment() {
  wchar_t* const block = ::GetEnvironmentStringsW();
  if (block == nullptr) return {};
  std::vector<std::string> all = variables_of(block);
  ::FreeEnvironmentStringsW(block);
  return all;
}

}  // namespace runhv::platform
