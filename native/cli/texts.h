// What runhv prints about itself.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runhv::cli {

// The first words of every command line, in the order of the help.
std::vector<std::string> commands();

std::string help_text();

// Of one command; nullopt for another word.
std::optional<std::string> help_text(std::string_view command);

// The script for "bash", "zsh", "fish" or "powershell"; nullopt for another shell.
std::optional<std::string> completion_script(std::string_view shell);

}  // namespace runhv::cli
