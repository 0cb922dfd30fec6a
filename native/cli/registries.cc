#include "cli/registries.h"

#include <cstdio>
#include <optional>

#include "cli/json_request.h"
#include "platform/signals.h"
#include "platform/standard_streams.h"
#include "platform/terminal.h"

namespace runhv::cli {
namespace {

constexpr std::size_t kMostPasswordBytes = 64 << 10;  // identity tokens are some KiB
constexpr int kInterrupt = 2;                         // Linux: SIGINT
constexpr char kCtrlC = 3;
constexpr char kCtrlD = 4;
constexpr char kBackspace = 8;
constexpr char kDelete = 127;

Result<std::string> whole_stdin() {
  std::string text;
  for (int c = std::fgetc(stdin); c != EOF; c = std::fgetc(stdin)) {
    if (text.size() == kMostPasswordBytes)
      return invalid_argument("login", "the password is too long");
    text += static_cast<char>(c);
  }
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

// A line that is typed at a raw terminal; nullopt: Ctrl-C.
std::optional<std::string> typed_line(const char* prompt, bool echo) {
  std::fputs(prompt, stderr);
  std::string line;
  int c = std::fgetc(stdin);
  for (; c != EOF && c != '\r' && c != '\n' && c != kCtrlD && c != kCtrlC; c = std::fgetc(stdin)) {
    if (c == kBackspace || c == kDelete) {
      if (line.empty()) continue;
      line.pop_back();
      if (echo) std::fputs("\b \b", stderr);
    } else if (line.size() < kMostPasswordBytes) {
      line += static_cast<char>(c);
      if (echo) std::fputc(c, stderr);
    }
  }
  std::fputs("\r\n", stderr);
  if (c == kCtrlC) return std::nullopt;
  return line;
}

// Asks for the user, where that is empty, and for the password, which is given; nullopt: Ctrl-C.
// The terminal is raw from before the first question on: a password that is typed early is not
// shown either.
Result<std::optional<std::string>> ask(std::string& user) {
  const platform::OsHandle terminal = platform::standard_stream(0);
  RUNHV_TRY_ASSIGN(const platform::TerminalMode mode, platform::TerminalMode::save(terminal));
  RUNHV_TRY(platform::make_terminal_raw(terminal));
  if (user.empty()) {
    auto typed = typed_line("Username: ", true);
    if (!typed) return typed;
    user = *std::move(typed);
  }
  return typed_line("Password: ", false);
}

}  // namespace

Result<LoginOptions> parse_login_options(std::span<const std::string_view> arguments) {
  LoginOptions options;
  bool named = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--password-stdin") {
      options.password_stdin = true;
    } else if (argument.starts_with("--username=")) {
      options.user = argument.substr(argument.find('=') + 1);
    } else if (argument == "-u" || argument == "--username") {
      if (++i == arguments.size())
        return invalid_argument("login", std::string(argument) + " needs a value");
      options.user = arguments[i];
    } else if (argument.starts_with("-") || named) {
      return invalid_argument("login",
                              "unexpected " + std::string(argument) + "; see runhv help login");
    } else {
      options.registry = argument;
      named = true;
    }
  }
  if (options.password_stdin && options.user.empty()) {
    return invalid_argument("login", "--password-stdin needs a --username");
  }
  return options;
}

Result<std::string> read_password(LoginOptions& options) {
  std::string password;
  if (options.password_stdin) {
    RUNHV_TRY_ASSIGN(password, whole_stdin());
  } else if (platform::is_terminal(platform::standard_stream(0))) {
    RUNHV_TRY_ASSIGN(auto typed, ask(options.user));
    if (!typed) platform::end_by_signal(kInterrupt);
    password = *std::move(typed);
  } else {
    return invalid_argument("login", "stdin is no terminal: give --username and --password-stdin");
  }
  if (options.user.empty() || password.empty()) {
    return invalid_argument("login", "neither the user nor the password may be empty");
  }
  return password;
}

Result<std::string> login_request(const LoginOptions& options, const std::string& password) {
  JsonRequest request("login");
  request.json().Key("version");
  request.json().Int(1);
  request.write("verb", std::string("login"));
  request.write("registry", options.registry);
  request.write("user", options.user);
  request.write("secret", password);
  auto text = request.finish();
  // The error of JsonRequest shows the text that is not UTF-8.
  if (!text)
    return invalid_argument("login", "the registry, the user or the password is not UTF-8");
  return text;
}

Result<std::string> logout_request(std::span<const std::string_view> arguments) {
  if (arguments.size() > 1 || (arguments.size() == 1 && arguments.front().starts_with("-"))) {
    return invalid_argument("logout", "takes one REGISTRY at most; see runhv help logout");
  }
  JsonRequest request("logout");
  request.json().Key("version");
  request.json().Int(1);
  request.write("verb", std::string("logout"));
  request.write("registry", arguments.empty() ? "docker.io" : std::string(arguments.front()));
  return request.finish();
}

}  // namespace runhv::cli
