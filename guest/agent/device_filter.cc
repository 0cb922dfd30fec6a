#include "device_filter.h"

#include <linux/bpf_common.h>

#include <new>

#include "bpf.h"
#include "request.h"
#include "sys.h"

namespace runhv::agent {
namespace {

constexpr std::uint8_t kResult = 0, kContext = 1, kAccess = 2, kType = 3, kMajor = 4, kMinor = 5;
constexpr std::uint32_t kBothTypes = 3;
constexpr std::uint32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

}  // namespace

DeviceFilter::DeviceFilter(std::span<const std::byte> records) {
  for_each(records, RUNHV_REC_DEVICE_RULE, [&](const Record& record) {
    return decode(record, rules_[count_++]) && count_ < RUNHV_MAX_DEVICE_RULES;
  });
  // struct bpf_cgroup_dev_ctx: access_type is the access and, in the lower half, the type.
  constexpr int kLoad = BPF_LDX | BPF_MEM | BPF_W;
  add(kLoad, kAccess, kContext, offsetof(bpf_cgroup_dev_ctx, access_type), 0);
  add(BPF_ALU | BPF_MOV | BPF_X, kType, kAccess, 0, 0);
  add(BPF_ALU | BPF_AND | BPF_K, kType, 0, 0, 0xffff);
  add(BPF_ALU | BPF_RSH | BPF_K, kAccess, 0, 0, 16);
  add(kLoad, kMajor, kContext, offsetof(bpf_cgroup_dev_ctx, major), 0);
  add(kLoad, kMinor, kContext, offsetof(bpf_cgroup_dev_ctx, minor), 0);
  // The last one decides, so it is asked first.
  while (count_ != 0) {
    const std::size_t begin = size_;
    add_rule(rules_[--count_]);
    // Nothing comes to what stands behind it, and the kernel refuses such.
    if (size_ == begin + 2) return;
  }
  add(BPF_ALU | BPF_MOV | BPF_K, kResult, 0, 0, 0);
  add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

void DeviceFilter::add_rule(const runhv_device_rule& rule) {
  const std::size_t begin = size_;
  // To the next rule; its distance is known at the end.
  const auto unless = [&](int compare, std::uint8_t value, std::uint32_t wanted) {
    add(BPF_JMP32 | compare | BPF_K, value, 0, 0, wanted);
  };
  if (rule.types != kBothTypes) unless(BPF_JNE, kType, rule.types);
  if (rule.access != kAllAccess) {
    add(BPF_ALU | BPF_MOV | BPF_X, kResult, kAccess, 0, 0);
    add(BPF_ALU | BPF_AND | BPF_K, kResult, 0, 0,
        rule.allowed != 0 ? kAllAccess & ~rule.access : rule.access);
    unless(rule.allowed != 0 ? BPF_JNE : BPF_JEQ, kResult, 0);
  }
  if (rule.major != RUNHV_ANY_DEVICE) unless(BPF_JNE, kMajor, rule.major);
  if (rule.minor != RUNHV_ANY_DEVICE) unless(BPF_JNE, kMinor, rule.minor);
  add(BPF_ALU | BPF_MOV | BPF_K, kResult, 0, 0, rule.allowed);
  add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  for (std::size_t i = begin; i < size_; ++i) {
    if ((code_[i].code & 7) == BPF_JMP32) code_[i].off = static_cast<std::int16_t>(size_ - i - 1);
  }
}

void DeviceFilter::add(int code, std::uint8_t to, std::uint8_t from, std::size_t offset,
                       std::uint32_t value) {
  code_[size_++] = bpf_instruction(code, to, from, offset, value);
}

int load_device_filter(std::span<const std::byte> records, Failure& failure) {
  void* memory = sys::map(sizeof(DeviceFilter));
  long result = -ENOMEM;
  if (!sys::map_failed(memory)) {
    const auto* filter = new (memory) DeviceFilter(records);
    bpf_attr attributes = {};
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attributes.insns = reinterpret_cast<std::uintptr_t>(filter->program().data());
    attributes.insn_cnt = static_cast<std::uint32_t>(filter->program().size());
    attributes.license = reinterpret_cast<std::uintptr_t>("Apache-2.0");
    result = sys::bpf(BPF_PROG_LOAD, &attributes, sizeof attributes);
    sys::unmap(memory, sizeof(DeviceFilter));
  }
  if (result < 0) failure.set(result, "load the rules of devices");
  return static_cast<int>(result);
}

bool attach_device_filter(int cgroup, int program, int before, Failure& failure) {
  bpf_attr attachment = {};
  attachment.target_fd = static_cast<std::uint32_t>(cgroup);
  attachment.attach_bpf_fd = static_cast<std::uint32_t>(program);
  attachment.attach_type = BPF_CGROUP_DEVICE;
  // A program inside, as systemd, may have rules of its own besides.
  attachment.attach_flags = BPF_F_ALLOW_MULTI;
  if (before >= 0) {
    attachment.attach_flags |= BPF_F_REPLACE;
    attachment.replace_bpf_fd = static_cast<std::uint32_t>(before);
  }
  const long result = sys::bpf(BPF_PROG_ATTACH, &attachment, sizeof attachment);
  return result == 0 || failure.set(result, "set the rules of devices");
}

}  // namespace runhv::agent
