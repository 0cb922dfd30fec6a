// A partition with nothing in it, for questions about calls.
#pragma once

#include "conformance/expect.h"
#include "conformance/guest.h"
#include "whpapi/whp.h"

namespace runhv::conformance {

// Made by the constructor, deleted by the destructor; a call that fails fails the case.
class BarePartition {
 public:
  BarePartition() : handle_(create_partition()) {}
  ~BarePartition() { EXPECT_EQ(WHvDeletePartition(handle_), S_OK); }
  BarePartition(const BarePartition&) = delete;
  BarePartition& operator=(const BarePartition&) = delete;

  WHV_PARTITION_HANDLE handle() const { return handle_; }
  void set_up(UINT32 processors = 1) const {
    EXPECT_EQ(set_property(handle_, WHvPartitionPropertyCodeProcessorCount, processors), S_OK);
    EXPECT_EQ(WHvSetupPartition(handle_), S_OK);
  }

 private:
  const WHV_PARTITION_HANDLE handle_;
};

}  // namespace runhv::conformance
