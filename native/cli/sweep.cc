#include "cli/sweep.h"

#include <chrono>
#include <filesystem>
#include <system_error>

#include "platform/file.h"
#include "platform/folder_lock.h"
#include "platform/path.h"

namespace runhv::cli {

void sweep(const std::string& directory) {
  const auto limit = std::filesystem::file_time_type::clock::now() - std::chrono::minutes(10);
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(platform::filesystem_path(directory), failure),
       end;
       !failure && entry != end; entry.increment(failure)) {
    std::error_code unknown;
    const auto written = entry->last_write_time(unknown);
    if (unknown || written >= limit) continue;
    if (!std::filesystem::remove(entry->path(), unknown)) {
      (void)platform::remove_tree(platform::path_text(entry->path()));
    }
  }
}

void sweep_unlocked(const std::string& directory) {
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(platform::filesystem_path(directory), failure),
       end;
       !failure && entry != end; entry.increment(failure)) {
    std::error_code unknown;
    if (!entry->is_directory(unknown)) {
      std::filesystem::remove(entry->path(), unknown);
      continue;
    }
    auto lock = platform::FolderLock::acquire(platform::path_text(entry->path()));
    if (lock) static_cast<void>((*std::move(lock)).remove_folder());
  }
}

}  // namespace runhv::cli
