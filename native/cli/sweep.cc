#include "cli/sweep.h"

#include <chrono>
#include <filesystem>
#include <system_error>

#include "platform/file.h"
#include "platform/folder_lock.h"

namespace runhv::cli {

void sweep(const std::string& directory) {
  const auto limit = std::filesystem::file_time_type::clock::now() - std::chrono::minutes(10);
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(directory, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    std::error_code unknown;
    const auto written = entry->last_write_time(unknown);
    if (unknown || written >= limit) continue;
    if (!std::filesystem::remove(entry->path(), unknown)) {
      (void)platform::remove_tree(entry->path().string());
    }
  }
}

void sweep_unlocked(const std::string& directory) {
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(directory, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    std::error_code unknown;
    if (!entry->is_directory(unknown)) {
      std::filesystem::remove(entry->path(), unknown);
      continue;
    }
    auto lock = platform::FolderLock::acquire(entry->path().string());
    if (lock) static_cast<void>((*std::move(lock)).remove_folder());
  }
}

}  // namespace runhv::cli
