// The partitions of this process by handle, so that a stale handle is an error and not a crash.
#pragma once

#include <memory>

#include "whpapi/whp.h"

namespace runhv::winhv_linux {

class Partition;

// Threads: any. A partition lives until it was removed and the last caller let go of it.
WHV_PARTITION_HANDLE add_partition(std::shared_ptr<Partition> partition);
std::shared_ptr<Partition> find_partition(WHV_PARTITION_HANDLE handle);    // null: no such handle
std::shared_ptr<Partition> remove_partition(WHV_PARTITION_HANDLE handle);  // null: no such handle

}  // namespace runhv::winhv_linux
