// `runhv login` and `logout`: what they ask the user, and the Java side (docs/prepare.md).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace runhv::cli {

struct LoginOptions {
  std::string registry = "docker.io";
  std::string user;             // empty: to be asked for
  bool password_stdin = false;  // else it is asked for
};

// Arguments after `login`.
Result<LoginOptions> parse_login_options(std::span<const std::string_view> arguments);

// Whole stdin, or what is typed at the terminal: the name with, the password without an echo.
// Ends this process where Ctrl-C is typed.
Result<std::string> read_password(LoginOptions& options);

Result<std::string> login_request(const LoginOptions& options, const std::string& password);

// Of the arguments after `logout`.
Result<std::string> logout_request(std::span<const std::string_view> arguments);

}  // namespace runhv::cli
