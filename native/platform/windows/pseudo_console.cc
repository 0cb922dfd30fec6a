// pseudo_console COLUMNS ROWS PROGRAM [ARG…]: a terminal for tests, in which the program runs. Its
// stdin says what is done at the terminal, a line each: `type` and bytes in hexadecimal digits,
// `resize COLUMNS ROWS`, `paste` and bytes, all keys of which are there at once, `close`. Its
// stdout has what is drawn, and how the console is before and after the program: <input mode,
// output mode, code page>. The status is the program's.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "platform/windows/command_line.h"
#include "platform/windows/system.h"
#include "platform/windows/utf16.h"

namespace runhv::platform {
namespace {

constexpr int kFailed = 125;
constexpr const char* kInside = "--inside";
constexpr const char* kResize = "--resize";
constexpr const char* kPaste = "--paste";

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "pseudo_console: %s: %lu\n", what, ::GetLastError());
  std::exit(kFailed);
}

struct Pipe {
  Pipe() {
    if (!::CreatePipe(&reader, &writer, nullptr, 0)) fail("make a pipe");
  }
  HANDLE reader = nullptr;
  HANDLE writer = nullptr;
};

void write_all(HANDLE to, std::string_view bytes) {
  DWORD count = 0;
  while (!bytes.empty() &&
         ::WriteFile(to, bytes.data(), static_cast<DWORD>(bytes.size()), &count, nullptr)) {
    bytes.remove_prefix(count);
  }
}

std::string from_digits(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

HANDLE start(HPCON console, const std::string& program, const std::vector<std::string>& arguments) {
  SIZE_T bytes = 0;
  ::InitializeProcThreadAttributeList(nullptr, 1, 0, &bytes);
  std::vector<std::byte> memory(bytes);
  STARTUPINFOEXW startup{};
  startup.StartupInfo.cb = sizeof startup;
  startup.lpAttributeList = reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory.data());
  if (!::InitializeProcThreadAttributeList(startup.lpAttributeList, 1, 0, &bytes) ||
      !::UpdateProcThreadAttribute(startup.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE,
                                   console, sizeof console, nullptr, nullptr)) {
    fail("name the console");
  }
  std::wstring line = command_line(program, arguments);
  // Who starts a program without streams leaves them to the console.
  for (const DWORD stream : {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE}) {
    ::SetStdHandle(stream, nullptr);
  }
  PROCESS_INFORMATION started{};
  if (!::CreateProcessW(to_utf16(program).c_str(), line.data(), nullptr, nullptr, FALSE,
                        EXTENDED_STARTUPINFO_PRESENT, nullptr, nullptr, &startup.StartupInfo,
                        &started)) {
    fail("start the program");
  }
  return started.hProcess;
}

std::string own_path() {
  std::wstring path(MAX_PATH, L'\0');
  path.resize(::GetModuleFileNameW(nullptr, path.data(), static_cast<DWORD>(path.size())));
  return to_utf8(path);
}

void serve(HPCON console, HANDLE keyboard) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what, digits;
    words >> what;
    if (what == "type" && words >> digits) write_all(keyboard, from_digits(digits));
    if (std::string columns, rows; what == "resize" && words >> columns >> rows) {
      start(console, own_path(), {kResize, columns, rows});
    }
    if (what == "paste" && words >> digits) start(console, own_path(), {kPaste, digits});
    if (what == "close") ::ClosePseudoConsole(console);
  }
}

HANDLE open_console(const wchar_t* name) {
  SECURITY_ATTRIBUTES inherited{sizeof inherited, nullptr, TRUE};
  return ::CreateFileW(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                       &inherited, OPEN_EXISTING, 0, nullptr);
}

std::string console_modes() {
  DWORD input = 0, output = 0;
  ::GetConsoleMode(::GetStdHandle(STD_INPUT_HANDLE), &input);
  ::GetConsoleMode(::GetStdHandle(STD_OUTPUT_HANDLE), &output);
  char text[64];
  const int size =
      std::snprintf(text, sizeof text, "<%lx %lx %u>\r\n", input, output, ::GetConsoleOutputCP());
  return {text, static_cast<std::size_t>(size)};
}

int status_of(HANDLE process) {
  ::WaitForSingleObject(process, INFINITE);
  DWORD status = 0;
  ::GetExitCodeProcess(process, &status);
  return static_cast<int>(status);
}

// In the console, for Wine 8 has no ResizePseudoConsole().
int resize(const std::vector<std::string>& arguments) {
  const HANDLE output = open_console(L"CONOUT$");
  const COORD size{static_cast<SHORT>(std::stoi(arguments[1])),
                   static_cast<SHORT>(std::stoi(arguments[2]))};
  // What is shown is never larger than what there is.
  const SMALL_RECT least{0, 0, 0, 0};
  const SMALL_RECT shown{0, 0, static_cast<SHORT>(size.X - 1), static_cast<SHORT>(size.Y - 1)};
  const bool done = ::SetConsoleWindowInfo(output, TRUE, &least) &&
                    ::SetConsoleScreenBufferSize(output, size) &&
                    ::SetConsoleWindowInfo(output, TRUE, &shown);
  return done ? 0 : kFailed;
}

// In the console: what a terminal types comes key by key.
int paste(const std::string& digits) {
  std::vector<INPUT_RECORD> keys;
  for (const wchar_t unit : to_utf16(from_digits(digits))) {
    INPUT_RECORD key{};
    key.EventType = KEY_EVENT;
    key.Event.KeyEvent.bKeyDown = TRUE;
    key.Event.KeyEvent.wRepeatCount = 1;
    key.Event.KeyEvent.uChar.UnicodeChar = unit;
    keys.push_back(key);
  }
  DWORD count = 0;
  return ::WriteConsoleInputW(open_console(L"CONIN$"), keys.data(), static_cast<DWORD>(keys.size()),
                              &count) &&
                 count == keys.size()
             ? 0
             : kFailed;
}

// In the console. Wine 8 gives a process there no streams: this one opens them, and hands them on.
int run_inside(const std::vector<std::string>& arguments) {
  const HANDLE input = open_console(L"CONIN$");
  const HANDLE output = open_console(L"CONOUT$");
  ::SetStdHandle(STD_INPUT_HANDLE, input);
  ::SetStdHandle(STD_OUTPUT_HANDLE, output);
  ::SetStdHandle(STD_ERROR_HANDLE, output);
  std::wstring line = command_line(arguments[1], {arguments.begin() + 2, arguments.end()});
  const std::string before = console_modes();
  write_all(output, before);
  // Ctrl+C is the program's.
  ::SetConsoleCtrlHandler([](DWORD) { return TRUE; }, TRUE);
  STARTUPINFOW startup{};
  startup.cb = sizeof startup;
  PROCESS_INFORMATION started{};
  if (!::CreateProcessW(to_utf16(arguments[1]).c_str(), line.data(), nullptr, nullptr, TRUE, 0,
                        nullptr, nullptr, &startup, &started)) {
    fail("start the program");
  }
  const int status = status_of(started.hProcess);
  // A child of the program may be the one that restores it, and may do so after its end.
  for (int i = 0; i < 1000 && console_modes() != before; ++i) ::Sleep(10);
  write_all(output, console_modes());
  return status;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() >= 2 && arguments[0] == kInside) return run_inside(arguments);
  if (arguments.size() == 3 && arguments[0] == kResize) return resize(arguments);
  if (arguments.size() == 2 && arguments[0] == kPaste) return paste(arguments[1]);
  if (arguments.size() < 3) {
    std::fputs("usage: pseudo_console COLUMNS ROWS PROGRAM [ARG...]\n", stderr);
    return kFailed;
  }
  const Pipe typed, drawn;
  HPCON console = nullptr;
  const COORD size{static_cast<SHORT>(std::stoi(arguments[0])),
                   static_cast<SHORT>(std::stoi(arguments[1]))};
  if (const HRESULT made = ::CreatePseudoConsole(size, typed.reader, drawn.writer, 0, &console);
      FAILED(made)) {
    std::fprintf(stderr, "pseudo_console: make a pseudo-console: 0x%lx\n",
                 static_cast<unsigned long>(made));
    return kFailed;
  }
  ::CloseHandle(typed.reader);
  ::CloseHandle(drawn.writer);
  const HANDLE output = ::GetStdHandle(STD_OUTPUT_HANDLE);
  std::thread screen([&] {
    std::array<char, 4096> bytes{};
    DWORD count = 0;
    while (
        ::ReadFile(drawn.reader, bytes.data(), static_cast<DWORD>(bytes.size()), &count, nullptr)) {
      write_all(output, {bytes.data(), count});
    }
  });
  std::vector<std::string> inside{kInside};
  inside.insert(inside.end(), arguments.begin() + 2, arguments.end());
  const HANDLE process = start(console, own_path(), inside);
  std::thread(serve, console, typed.writer).detach();
  const int status = status_of(process);
  // All that was drawn comes before the console's end.
  ::ClosePseudoConsole(console);
  screen.join();
  ::ExitProcess(static_cast<UINT>(status));
}

}  // namespace
}  // namespace runhv::platform

int main() {
  return runhv::platform::run(runhv::platform::split_command_line(::GetCommandLineW()));
}
