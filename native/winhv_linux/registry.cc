#include "winhv_linux/registry.h"

#include <cstdint>
#include <map>
#include <mutex>

#include "winhv_linux/partition.h"

namespace runhv::winhv_linux {
namespace {

struct Registry {
  std::mutex mutex;
  std::uintptr_t last = 0;  // handles are never used again
  std::map<WHV_PARTITION_HANDLE, std::shared_ptr<Partition>> partitions;
};

Registry& registry() {
  // Leaked on purpose: clients' threads may still call while the process exits.
  static Registry& instance = *new Registry;
  return instance;
}

}  // namespace

WHV_PARTITION_HANDLE add_partition(std::shared_ptr<Partition> partition) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.last += 16;  // looks like a pointer, is none
  const auto handle = reinterpret_cast<WHV_PARTITION_HANDLE>(all.last);
  all.partitions.emplace(handle, std::move(partition));
  return handle;
}

std::shared_ptr<Partition> find_partition(WHV_PARTITION_HANDLE handle) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.partitions.find(handle);
  return found == all.partitions.end() ? nullptr : found->second;
}

std::shared_ptr<Partition> remove_partition(WHV_PARTITION_HANDLE handle) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.partitions.find(handle);
  if (found == all.partitions.end()) return nullptr;
  std::shared_ptr<Partition> partition = std::move(found->second);
  all.partitions.erase(found);
  return partition;
}

}  // namespace runhv::winhv_linux
