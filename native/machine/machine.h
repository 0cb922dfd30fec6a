// A machine: one partition, its memory, processors and devices, from a kernel to its end.
//
// The machine knows nothing of containers: what runs inside it talks to a VsockService.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/guest_address.h"
#include "base/result.h"
#include "devices/blk/disk.h"
#include "devices/vsock/vsock_host.h"
#include "machine/timeline.h"
#include "platform/file.h"

namespace runhv {

struct MachineLimits {
  static constexpr std::uint64_t kMinMemoryBytes = 24ull << 20;  // the minimal kernel boots in 20
  static constexpr std::uint64_t kMaxMemoryBytes = 512ull << 30;
  static constexpr std::uint32_t kMaxProcessors = 64;
  static constexpr std::uint64_t kMaxKernelBytes = 256ull << 20;
  static constexpr std::uint64_t kMaxInitrdBytes = 1ull << 30;
  static constexpr std::size_t kMaxCommandLineBytes = 2048;
  static constexpr std::size_t kMaxDisks = 8;
};

struct MachineDisk {
  MachineDisk(std::shared_ptr<const Disk> shown, bool as_read_only)
      : disk(std::move(shown)), read_only(as_read_only) {}
  MachineDisk(File file, bool as_read_only)
      : MachineDisk(std::make_shared<const FileDisk>(std::move(file)), as_read_only) {}

  std::shared_ptr<const Disk> disk;
  bool read_only;
};

struct MachineConfig {
  std::string engine = "auto";            // auto, soft, kvm, whp
  std::string kernel_path;                // vmlinux (ELF64) or bzImage
  std::vector<std::string> initrd_paths;  // archives, unpacked in this order; none = no initrd
  std::string extra_command_line;
  std::uint64_t memory_bytes = 128ull << 20;
  std::uint32_t processor_count = 1;
  std::vector<MachineDisk> disks;  // /dev/vda, /dev/vdb, … in this order
  VsockService* vsock = nullptr;   // outlives the machine; null = no vsock device
  bool console = false;            // guest console to stderr
  bool entropy = false;            // an entropy device; docs/adr/0005 says why not by default
  Timeline* timeline = nullptr;    // outlives the machine; not null
};

// A piece of guest RAM in this process.
struct MachineMemory {
  Gpa first;
  std::span<const std::byte> bytes;  // the guest writes to them at any moment
};

// Why a machine stopped.
enum class MachineEnd {
  kPoweredOff,  // the guest wrote the exit port
  kStopped,     // stop() was called
  kTripleFault,
  kGuestStuck,  // an access or a state that no machine of ours can go on from
  kFailed       // the host or the hypervisor failed; error() says how
};

class Machine {
 public:
  // Checks everything and takes what it needs; nothing runs yet. The error names the field.
  static Result<std::unique_ptr<Machine>> create(MachineConfig config);
  virtual ~Machine() = default;  // stops, joins, gives back

  virtual Result<void> start() = 0;

  // Blocks until the machine has ended or `deadline_ns` (monotonic) has passed: then nullopt.
  // Threads: any.
  virtual std::optional<MachineEnd> wait(std::optional<std::uint64_t> deadline_ns) = 0;

  // A handle for Poller that becomes readable when the machine has ended.
  virtual OsHandle ended_handle() const = 0;

  // Ends it now, whatever the guest does. Idempotent. Threads: any.
  virtual void stop() = 0;

  // The reason of kFailed, or what the guest did, of kTripleFault and kGuestStuck. After the end.
  virtual Error error() const = 0;

  // For the endpoints of `vsock`. Valid for the machine's life; null without a vsock device.
  virtual VsockWaker* vsock_waker() = 0;

  virtual std::string engine_name() const = 0;  // "soft", never "auto"
  virtual std::string kernel_name() const = 0;
  virtual std::uint64_t guest_memory_resident_bytes() const = 0;
  // By ascending addresses; nullopt after the last. Valid for the machine's life.
  virtual std::optional<MachineMemory> guest_memory(std::size_t index) const = 0;
};

}  // namespace runhv
