// A machine: one partition, its memory, processors and devices, from a kernel to its end.
//
// The machine knows nothing of containers: what runs inside it talks to a VsockService, and what it
// tells of itself goes to a MachineObserver.
//
//                  start()              pause() / resume()
//   made ------------------> running <---------------------> paused
//     |                         |                               |
//     | stop()                  | stop(), the guest, a fault    | stop()
//     v                         v                               v
//   stopped                   ended ------- on_ended() ------ ended
#pragma once

#include <array>
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
#include "devices/fs/share.h"
#include "devices/net/net_backend.h"
#include "devices/vsock/vsock_host.h"
#include "machine/processor_counts.h"
#include "platform/file.h"

namespace runhv::machine {

struct MachineLimits {
  static constexpr std::uint64_t kMinMemoryBytes = 24ull << 20;  // the minimal kernel boots in 20
  static constexpr std::uint64_t kMaxMemoryBytes = 512ull << 30;
  static constexpr std::uint32_t kMaxProcessors = 64;
  static constexpr std::uint64_t kMaxKernelBytes = 256ull << 20;
  static constexpr std::uint64_t kMaxInitrdBytes = 1ull << 30;
  static constexpr std::size_t kMaxCommandLineBytes = 2048;
  static constexpr std::size_t kMaxDisks = 8;
  static constexpr std::size_t kMaxNetworks = 8;
  static constexpr std::size_t kMaxShares = 512;
};

struct MachineDisk {
  MachineDisk(std::shared_ptr<const devices::Disk> shown, bool as_read_only)
      : disk(std::move(shown)), read_only(as_read_only) {}
  MachineDisk(platform::File file, bool as_read_only)
      : MachineDisk(std::make_shared<const devices::FileDisk>(std::move(file)), as_read_only) {}

  std::shared_ptr<const devices::Disk> disk;
  bool read_only;
};

struct MachineNetwork {
  devices::NetBackend* backend;  // outlives the machine
  std::array<std::uint8_t, 6> mac;
  std::uint16_t mtu;
};

// Hears of a running machine, on its processors' threads: must not block and must not call the
// machine, but for stop().
class MachineObserver {
 public:
  // The guest wrote `stage` to the stage port (guest/proto/runhv_agent.h: any value may come, any
  // number of times).
  virtual void on_stage(std::uint8_t stage) = 0;
  // No processor runs any more: end() and error() are there. Once, and the last call. It comes only
  // where start() succeeded, and does not wait for a disk that hangs.
  virtual void on_ended() = 0;

 protected:
  ~MachineObserver() = default;
};

struct MachineConfig {
  std::string engine = "auto";            // auto, soft, kvm, whp
  std::string kernel_path;                // vmlinux (ELF64) or bzImage
  std::vector<std::string> initrd_paths;  // archives, unpacked in this order; none = no initrd
  std::string extra_command_line;
  std::uint64_t memory_bytes = 128ull << 20;
  std::uint32_t processor_count = 1;
  std::vector<MachineDisk> disks;        // /dev/vda, /dev/vdb, … in this order
  std::vector<MachineNetwork> networks;  // in the first slots
  std::size_t network_slots = 0;       // at least so many; more than `networks` are empty at first
  std::vector<devices::Share> shares;  // entries "0", "1", … of one file system; none = no device
  devices::VsockService* vsock = nullptr;  // outlives the machine; null = no vsock device
  bool page_reporting = false;  // a balloon device: memory that the guest frees is the host's again
  bool console = false;         // guest console to stderr
  bool entropy = false;         // an entropy device; docs/adr/0005 says why not by default
  MachineObserver* observer = nullptr;  // outlives the machine; not null
  std::span<ProcessorCounts> counts;    // outlive the machine; at least processor_count
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
  // A disk that hangs is waited for so long when the machine is destroyed, then left behind; and
  // when it is paused, which then fails.
  static constexpr std::uint64_t kDiskPatienceNs = 2'000'000'000;

  // Checks everything and takes what it needs; nothing runs yet. The error names the field.
  static Result<std::unique_ptr<Machine>> create(MachineConfig config);
  // Stops, joins, gives back.
  virtual ~Machine() = default;

  // Once. After an error (a thread that the host refuses) nothing runs, and nothing ever will.
  virtual Result<void> start() = 0;

  // Asks it to end now, whatever the guest does, also while it is paused. on_ended() tells that it
  // has. Idempotent. Threads: any, also from inside the observer.
  virtual void stop() = 0;

  // When pause() returns, no instruction of the guest runs and no device acts. kConflict where the
  // machine is not running (pause) or not paused (resume). A machine that was stopped while it was
  // paused still has to be resumed for its devices to give what they hold. Threads: the owner's.
  virtual Result<void> pause() = 0;
  virtual Result<void> resume() = 0;

  // After on_ended().
  virtual MachineEnd end() const = 0;
  // The reason of kFailed, or what the guest did, of kTripleFault and kGuestStuck. After
  // on_ended().
  virtual Error error() const = 0;

  // For the endpoints of `vsock`. Valid for the machine's life; null without a vsock device.
  virtual devices::VsockWaker* vsock_waker() = 0;

  virtual std::string engine_name() const = 0;  // "soft", never "auto"
  // Why "auto" took it; empty where it was asked for by name.
  virtual std::string engine_reason() const = 0;
  virtual std::string kernel_name() const = 0;
  // Monotonic: when create() had its partition and went on to memory.
  virtual std::uint64_t partition_made_ns() const = 0;
  virtual std::uint64_t guest_memory_resident_bytes() const = 0;
  // By the disks of the configuration. Threads: any.
  virtual std::vector<devices::DiskCounts> disk_counts() const = 0;
  // Devices of networks come and go while the machine runs, or is made; not while it is paused.
  // The guest's kernel looks at a slot only when it is told to (Linux: bind of the platform
  // driver). The number by which it knows the slot: Linux, virtio-mmio.N. REQUIRES: a slot of the
  // machine.
  virtual std::uint32_t network_slot_number(std::size_t slot) const = 0;
  // REQUIRES: the slot is empty.
  virtual void plug_network(std::size_t slot, const MachineNetwork& network) = 0;
  // On return the backend is not called any more. Idempotent.
  virtual void unplug_network(std::size_t slot) = 0;
  // Shares come and go while the machine runs; the number of the entry. kUnsupported where it began
  // with none, or has MachineLimits::kMaxShares. Threads: the owner's.
  virtual Result<std::size_t> add_share(devices::Share share) = 0;
  // REQUIRES: a number of add_share(), once for each.
  virtual void remove_share(std::size_t index) = 0;
  // By ascending addresses; nullopt after the last. Valid for the machine's life. Threads: any.
  virtual std::optional<MachineMemory> guest_memory(std::size_t index) const = 0;
};

}  // namespace runhv::machine
