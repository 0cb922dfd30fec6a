#include "oci/process_table.h"

#include <algorithm>
#include <sstream>
#include <vector>

namespace runhv::oci {
namespace {

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

}  // namespace

Result<std::string> rows_of_processes(std::string_view table, std::span<const std::uint64_t> pids) {
  std::istringstream lines{std::string(table)};
  std::string heading;
  std::getline(lines, heading);
  const std::vector<std::string> columns = words_of(heading);
  const auto column = static_cast<std::size_t>(std::ranges::find(columns, "PID") - columns.begin());
  if (column == columns.size()) {
    return Fail{
        Error{Code::kInvalidArgument, "ps",
              "with these options ps(1) shows no column PID, by which processes are found"}};
  }
  std::string rows = heading + "\n";
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = words_of(line);
    const bool is_one = column < words.size() && std::ranges::any_of(pids, [&](std::uint64_t pid) {
                          return std::to_string(pid) == words[column];
                        });
    if (is_one) rows += line + "\n";
  }
  return rows;
}

}  // namespace runhv::oci
