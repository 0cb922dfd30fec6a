#include "api/vm_table.h"

#include "container/linux_abi.h"

namespace runhv::api {
namespace {

constexpr std::uint32_t kSlot = 1;

Error closed() {
  return Error{Code::kClosed, "use a VM handle", "it was destroyed, or never made"};
}

}  // namespace

VmTable::Call::~Call() {
  if (table_ == nullptr) return;
  const std::lock_guard lock(table_->mutex_);
  if (--table_->calls_ == 0) table_->idle_.notify_all();
}

bool VmTable::is_open(std::uint64_t handle) const {
  return state_ == State::kOpen && handle == (std::uint64_t{generation_} << 32 | kSlot);
}

Result<std::uint64_t> VmTable::create(container::ContainerConfig config) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kEmpty) {
      return Fail{Error{Code::kConflict, "create a VM",
                        "this process has one already, and one at a time is possible"}};
    }
    state_ = State::kBusy;
  }
  auto vm = Vm::create(std::move(config));
  const std::lock_guard lock(mutex_);
  if (!vm) {
    state_ = State::kEmpty;
    return Fail{std::move(vm).error()};
  }
  vm_ = std::move(*vm);
  state_ = State::kOpen;
  ++generation_;
  return std::uint64_t{generation_} << 32 | kSlot;
}

Result<VmTable::Call> VmTable::enter(std::uint64_t handle) {
  const std::lock_guard lock(mutex_);
  if (!is_open(handle)) return Fail{closed()};
  ++calls_;
  return Call(*this, *vm_);
}

Result<void> VmTable::destroy(std::uint64_t handle) {
  std::unique_ptr<Vm> vm;
  {
    std::unique_lock lock(mutex_);
    if (!is_open(handle)) return Fail{closed()};
    state_ = State::kBusy;
    vm = std::move(vm_);
  }
  // Those who wait for its end shall see it; one that has ended has nobody left to signal.
  static_cast<void>(vm->call([](container::Container& container) {
    return container.signal(container::kFirstProcess, container::linux_abi::kSigkill);
  }));
  {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return calls_ == 0; });
  }
  vm.reset();
  const std::lock_guard lock(mutex_);
  state_ = State::kEmpty;
  return {};
}

}  // namespace runhv::api
