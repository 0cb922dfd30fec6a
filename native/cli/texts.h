// What runhv prints about itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace runhv::cli {

std::string help_text();

// Of one command; nullopt for another word.
std::optional<std::string> help_text(std::string_view command);

// The script for "bash", "zsh" or "fish"; nullopt for another shell.
std::optional<std::string> completion_script(std::string_view shell);

}  // namespace runhv::cli
