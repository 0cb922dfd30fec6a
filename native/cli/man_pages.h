// Manual pages of section 1, made of the same texts as `runhv help`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace runhv::cli {

// In the macros of man(7), in ASCII: of runhv where `command` is empty; nullopt for a word that is
// no command.
std::optional<std::string> man_page(std::string_view command);

}  // namespace runhv::cli
