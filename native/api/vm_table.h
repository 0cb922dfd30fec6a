// The process's one VM behind a handle that cannot dangle.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "api/vm.h"
#include "base/result.h"

namespace runhv::api {

// A handle is generation << 32 | slot. There is one slot, since a process has one VM at a time
// (runhv.h); the generation makes every handle before the present one stale. Threads: any.
class VmTable {
 public:
  // A call on the VM; destroy() waits for its end.
  class Call {
   public:
    Call(VmTable& table, Vm& vm) : table_(&table), vm_(&vm) {}
    Call(Call&& other) noexcept : table_(std::exchange(other.table_, nullptr)), vm_(other.vm_) {}
    Call& operator=(Call&&) = delete;
    ~Call();
    Vm* operator->() const { return vm_; }

   private:
    VmTable* table_;
    Vm* vm_;
  };

  // kConflict while another VM exists.
  Result<std::uint64_t> create(container::ContainerConfig config);

  // kClosed where `handle` is not the present VM's.
  Result<Call> enter(std::uint64_t handle);

  // Refuses new calls, ends the VM so that those under way return, and gives everything back.
  Result<void> destroy(std::uint64_t handle);

 private:
  enum class State { kEmpty, kBusy, kOpen };  // kBusy: being made or destroyed

  bool is_open(std::uint64_t handle) const;

  std::mutex mutex_;
  std::condition_variable idle_;
  State state_ = State::kEmpty;
  std::uint32_t generation_ = 0;
  std::uint32_t calls_ = 0;
  std::unique_ptr<Vm> vm_;
};

}  // namespace runhv::api
