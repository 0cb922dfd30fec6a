#include "platform/windows/native_path.h"

#include <algorithm>
#include <array>

#include "platform/os_error.h"
#include "platform/path.h"
#include "platform/windows/system.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

constexpr std::wstring_view kLong = LR"(\\?\)";
constexpr std::wstring_view kLongShare = LR"(\\?\UNC\)";

bool is_slash(char c) { return c == '/' || c == '\\'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool has_drive(std::string_view path) {
  return path.size() >= 2 && is_letter(path[0]) && path[1] == ':';
}

// "Naming Files, Paths, and Namespaces": with any extension, and in any case.
bool is_device(std::string_view name) {
  std::string stem(name.substr(0, name.find('.')));
  while (stem.ends_with(' ')) stem.pop_back();
  std::ranges::transform(stem, stem.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; });
  constexpr std::array<std::string_view, 6> kDevices{"CON", "PRN",    "AUX",
                                                     "NUL", "CONIN$", "CONOUT$"};
  if (std::ranges::find(kDevices, stem) != kDevices.end()) return true;
  if (!stem.starts_with("COM") && !stem.starts_with("LPT")) return false;
  const std::string_view number = std::string_view(stem).substr(3);
  return (number.size() == 1 && number[0] >= '0' && number[0] <= '9') || number == "\u00B9" ||
         number == "\u00B2" || number == "\u00B3";
}

// Why the system would not take `name`, one part of a path, for the name of a file; or null.
const char* refusal(std::string_view name) {
  if (name == "." || name == "..") return nullptr;
  if (is_device(name)) return "is a device of Windows";
  if (name.ends_with('.') || name.ends_with(' ')) {
    return "ends with a dot or a space, which Windows drops";
  }
  const bool control = std::ranges::any_of(name, [](char c) { return c >= 0 && c < ' '; });
  if (control || name.find_first_of("<>:\"|?*") != std::string_view::npos) {
    return "has a character that no name has on Windows";
  }
  return nullptr;
}

Result<void> check_parts(std::string_view path, const std::string& operation) {
  std::string_view rest = has_drive(path) ? path.substr(2) : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find_first_of("/\\"), rest.size());
    const std::string_view name = rest.substr(0, end);
    if (const char* why = name.empty() ? nullptr : refusal(name)) {
      return Fail{Error{Code::kInvalidArgument, operation, "\"" + std::string(name) + "\" " + why}};
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

}  // namespace

bool is_absolute_path(std::string_view path) {
  if (path.size() >= 2 && is_slash(path[0]) && is_slash(path[1])) return true;
  return path.size() >= 3 && has_drive(path) && is_slash(path[2]);
}

std::string program_file(const std::string& name) { return name + ".exe"; }

Result<std::wstring> native_path(std::string_view path, const std::string& operation) {
  if (path.empty() || path.find('\0') != std::string_view::npos) {
    return Fail{Error{Code::kInvalidArgument, operation, "it is no path"}};
  }
  if (path.starts_with(R"(\\.\)") || path.starts_with("//./")) {
    return Fail{Error{Code::kInvalidArgument, operation, "it names a device, not a file"}};
  }
  // One that has this form already is taken as it is.
  const bool is_long = path.starts_with(R"(\\?\)");
  RUNHV_TRY(check_parts(is_long ? path.substr(4) : path, operation));
  const int size = static_cast<int>(path.size());
  if (::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path.data(), size, nullptr, 0) == 0) {
    return Fail{Error{Code::kInvalidArgument, operation, "it is not UTF-8"}};
  }
  const std::wstring wide = to_utf16(path);
  if (is_long) return wide;
  std::wstring full(::GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr), L'\0');
  if (full.empty()) return Fail{last_os_error(operation)};
  full.resize(
      ::GetFullPathNameW(wide.c_str(), static_cast<DWORD>(full.size()), full.data(), nullptr));
  if (full.starts_with(LR"(\\)")) return std::wstring(kLongShare) + full.substr(2);
  return std::wstring(kLong) + full;
}

}  // namespace runhv::platform
