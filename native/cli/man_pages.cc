#include "cli/man_pages.h"

#include <algorithm>
#include <cctype>

#include "cli/image_verbs.h"
#include "cli/texts.h"

namespace runhv::cli {
namespace {

constexpr std::string_view kEllipsis = "…";

// What means something to troff does not; the texts' only letter beyond ASCII gets its name.
std::string escaped(std::string_view text) {
  std::string escaped;
  bool begins = true;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (begins && (c == '.' || c == '\'')) escaped += "\\&";
    begins = c == '\n';
    if (text.substr(at).starts_with(kEllipsis)) {
      escaped += "\\[u2026]";
      at += kEllipsis.size() - 1;
    } else if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// The lines as they are.
std::string verbatim(std::string_view text) {
  std::string lines = escaped(text);
  if (!lines.ends_with('\n')) lines += '\n';
  return ".nf\n" + lines + ".fi\n";
}

// What a command is for, in a few words: of a verb its line, else the first sentence of its help.
std::string purpose(std::string_view command, std::string_view about) {
  if (command == "run") return "run a container";
  if (const ImageVerb* const verb = find_image_verb(command)) return std::string(verb->line);
  std::string words(about.substr(0, std::min(about.find(". "), about.find(".\n"))));
  std::ranges::replace(words, '\n', ' ');
  if (!words.empty()) {
    words[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(words[0])));
  }
  return words;
}

std::string head(const std::string& name, std::string_view purpose) {
  std::string title = name;
  std::ranges::transform(title, title.begin(), [](unsigned char c) { return std::toupper(c); });
  return ".TH " + title + " 1 \"\" \"runhv " RUNHV_VERSION "\" \"runhv\"\n.SH NAME\n" +
         escaped(name) + " \\- " + escaped(purpose) + "\n";
}

std::string page_of_all() {
  std::string page = head("runhv", "run Linux containers, each in its own micro-VM") +
                     ".SH SYNOPSIS\n.B runhv\nCOMMAND [ARG...]\n.SH DESCRIPTION\n" +
                     verbatim(help_text()) + ".SH SEE ALSO\n";
  const std::vector<std::string> names = commands();
  for (const std::string& name : names) {
    page += ".BR runhv\\-" + name + " (1)" + (name == names.back() ? "" : ",") + "\n";
  }
  return page;
}

}  // namespace

std::optional<std::string> man_page(std::string_view command) {
  if (command.empty()) return page_of_all();
  const auto text = help_text(command);
  if (!text) return std::nullopt;
  const std::string_view help = *text;
  const std::size_t end = std::min(help.find("\n\n"), help.size());
  const std::string_view about = help.substr(std::min(end + 2, help.size()));
  return head("runhv-" + std::string(command), purpose(command, about)) + ".SH SYNOPSIS\n" +
         verbatim(help.substr(0, end)) + ".SH DESCRIPTION\n" + verbatim(about) +
         ".SH SEE ALSO\n.BR runhv (1)\n";
}

}  // namespace runhv::cli
