// One container in its own machine, from a bundle to an exit status.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "container/patience.h"
#include "machine/machine.h"
#include "machine/timeline.h"
#include "platform/handle.h"

namespace runhv {

struct ContainerConfig {
  std::string id;               // [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
  std::string bundle;           // folder with config.json; see docs/bundle.md
  std::string engine;           // "auto" or empty: as the bundle says
  std::string default_kernel;   // used where the bundle names no kernel
  std::string default_initrd;   // used where the bundle names no initrd: it holds the agent
  std::string default_modules;  // of the default kernel; empty = none
  std::string default_scratch;  // the empty file system of scratch disks
  bool console = false;         // the guest kernel's console goes to stderr
  // stdin, stdout, stderr; duplicated. kInvalidHandle = the null device, inside the guest.
  std::array<OsHandle, 3> stdio{kInvalidHandle, kInvalidHandle, kInvalidHandle};
  std::uint64_t spawned_at_ns = 0;            // monotonic, when the launcher began; 0 = now
  std::uint64_t tick_ns = Patience::kTickNs;  // what a second of patience takes
};

struct ContainerEnd {
  enum class Kind {
    kExited,     // value = the program's exit status, 0..255
    kSignaled,   // value = the signal that ended it, 1..64
    kNotStarted  // value = 125, 126 or 127; reason says why
  };
  Kind kind;
  int value;
  std::optional<Error> reason;  // with kNotStarted, always
  std::uint32_t oom_kills = 0;  // runhv_exit_status::oom_kills
};

struct ContainerStatistics {
  std::string engine;  // "soft", never "auto"
  std::string kernel;
  std::uint32_t processor_count = 0;
  std::uint64_t memory_bytes = 0;
  TimelineSnapshot timeline;
  std::uint64_t private_bytes = 0;  // of this process, guest RAM included
  std::uint64_t guest_memory_resident_bytes = 0;
};

// Threads: every function may be called from any thread; only wait() blocks. The caller keeps the
// object alive while a call is under way.
class Container {
 public:
  // Reads the bundle, opens every file and makes the machine: after it, the bundle folder is no
  // longer needed. Nothing runs yet.
  static Result<std::unique_ptr<Container>> create(const ContainerConfig& config);
  virtual ~Container() = default;  // ends it if it runs, joins its threads, gives everything back

  // Once; a second call is kConflict.
  virtual Result<void> start() = 0;

  // Until the container has ended, its output is delivered and its machine is off, or
  // `deadline_ns` (monotonic; nullopt = none) has passed: then the value is nullopt. kGuestFailed
  // where the guest crashed or lied, the host's error where it could not write the output. The
  // answer stays the same when asked again.
  virtual Result<std::optional<ContainerEnd>> wait(std::optional<std::uint64_t> deadline_ns) = 0;

  // Linux number, 1..64, for the container's first process; before it started the signal is kept.
  // SIGINT and SIGTERM that come before the agent has spoken end the machine, with kSignaled; so
  // does the second one before the program is started. SIGKILL ends the machine at once, with
  // kSignaled 9. After the first process has ended, SIGINT and SIGTERM give up output that nobody
  // reads.
  virtual Result<void> signal(int signal) = 0;

  // Looks through all of the process's memory: some milliseconds.
  virtual ContainerStatistics statistics() = 0;

  // What the machine counts, while it does. Valid as long as the container.
  virtual const runhv_statistics_page& statistics_page() const = 0;

  // See Machine::guest_memory. Valid as long as the container.
  virtual std::optional<MachineMemory> guest_memory(std::size_t index) const = 0;
};

}  // namespace runhv
