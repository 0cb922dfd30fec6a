// One container in its own machine, from a bundle to an exit status. docs/life.md has the state
// diagram.
//
// Threads: a container lives on the event loop that it is given. It is made, used and destroyed on
// the loop's thread, and calls its ContainerEvents there. Only statistics_page() and guest_memory()
// may be called, and what they give read, from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/bundle.h"
#include "container/network_messages.h"
#include "container/timeline.h"
#include "machine/machine.h"
#include "platform/event_loop.h"
#include "platform/handle.h"
#include "platform/stream.h"

namespace runhv::container {

using ProcessNumber = std::uint32_t;  // of a container; used once
inline constexpr ProcessNumber kFirstProcess = 0;
inline constexpr std::size_t kMaxProcesses = 128;  // at one time, the first included
inline constexpr std::size_t kMaxIdBytes = 128;
inline constexpr std::size_t kMaxWarnings = 64;  // of one container that are told

// [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
Result<void> check_container_id(const std::string& id);

// The host's ends of stdin, stdout and stderr of a process. Empty: the null device, inside the
// guest. With a terminal the first is its input, and the second its output where there is one, else
// the first is both.
using HostStreams = std::array<std::optional<platform::Stream>, 3>;

// A descriptor of the host that is given to a process beside them: in the guest it is a pipe.
struct HostDescriptor {
  platform::Stream end;
  bool for_reading;  // by the process; else it writes
};
inline constexpr std::size_t kMaxDescriptors = 13;
// Those that another process gave, in their order. Errors: as platform::is_for_reading.
Result<std::vector<HostDescriptor>> take_descriptors(std::vector<platform::UniqueHandle> handles);

struct ContainerConfig {
  std::string id;
  std::string bundle;           // folder with config.json; docs/bundle.md
  std::string engine;           // "auto" or empty: as the bundle says
  std::string default_kernel;   // used where the bundle names no kernel
  std::string default_initrd;   // used where the bundle names no initrd: it holds the agent
  std::string default_modules;  // of the default kernel; empty = none
  std::string default_scratch;  // the empty file system of scratch disks
  bool console = false;         // the guest kernel's console goes to stderr
  // Of the user namespace that the bundle names by a path; without, such a bundle is refused.
  std::optional<UserMaps> users;
  bool runs_hooks = false;  // the caller runs the bundle's hooks; else one is an error
  // This process is in a network namespace that it has for the container alone: where the bundle
  // asks for a new one, its interfaces are taken. They may come until start(), which makes and
  // boots the machine, so that boot() says on_created() at once.
  bool own_network_namespace = false;
  // Called once, where every file is open and no instruction of the guest has run; its error ends
  // the start.
  std::function<Result<void>()> before_guest;
  HostStreams streams;                      // of the first process
  std::vector<HostDescriptor> descriptors;  // its 3, 4, …; at most kMaxDescriptors
  bool terminal = false;                    // it has one, or as the bundle says
  std::uint16_t columns = 0;                // of its terminal; 0 = as the bundle says
  std::uint16_t rows = 0;
  std::uint64_t spawned_at_ns = 0;        // monotonic, when the launcher began; 0 = now
  std::uint64_t tick_ns = 1'000'000'000;  // what a second of the watchdog's takes
};

// One more process.
struct ProcessConfig {
  std::string_view json;                    // parse_process
  ProcessNumber container = kFirstProcess;  // that it is in: the number of its first process
  HostStreams streams;
  std::vector<HostDescriptor> descriptors = {};  // its 3, 4, …; at most kMaxDescriptors
  bool terminal = false;                         // or as the text says
  std::uint16_t columns = 0;                     // of a terminal; 0 = as the text says
  std::uint16_t rows = 0;
  bool archive = false;  // in place of its program: RUNHV_PROCESS_ARCHIVE
};

// A network of the host's that the process which stands for a container has taken for it.
struct JoinedNetwork {
  struct Interface {
    platform::UniqueHandle tap;
    std::uint16_t mtu;
  };
  std::vector<Interface> interfaces;
  // What makes the guest's interfaces as those of the host: each is about one of `interfaces`, by
  // its place there.
  std::vector<NetworkMessage> messages;
};

// One more container, in the machine of the first one.
struct JoinConfig {
  std::string id;
  std::string bundle;     // its folder: what config.json names by relative paths is in there
  std::string_view json;  // its config.json
  HostStreams streams;    // of its first process
  std::vector<HostDescriptor> descriptors = {};  // the same
  bool terminal = false;                         // or as the bundle says
  std::uint16_t columns = 0;                     // of a terminal; 0 = as the bundle says
  std::uint16_t rows = 0;
  // It has a network namespace of its own in the guest, with this in it; else as the bundle says:
  // the first container's, or a new one that has a loopback.
  std::optional<JoinedNetwork> network = {};
};

// How a process ended.
struct ExitStatus {
  enum class Kind {
    kExited,     // value = the program's exit status, 0..255
    kSignaled,   // value = the signal that ended it, 1..64
    kNotStarted  // value = 125, 126 or 127; reason says why
  };
  Kind kind;
  int value;
  std::optional<Error> reason;  // with kNotStarted, always
  std::uint32_t oom_kills = 0;  // runhv_exit_status::oom_kills

  // What a shell would show.
  int shell_status() const { return kind == Kind::kSignaled ? 128 + value : value; }
};

// In the order of runhv_status (runhv/runhv.h).
enum class ContainerStatus : std::uint8_t { kCreating, kCreated, kRunning, kPaused, kStopped };

// "creating", "created", "running", "paused", "stopped": the words of the OCI runtime
// specification.
const char* status_name(ContainerStatus status);

struct ContainerState {
  ContainerStatus status = ContainerStatus::kCreating;
  std::uint64_t created_at_ns = 0;  // since 1970: when the machine was made
  std::uint64_t started_at_ns = 0;  // when the first program was in place; 0 = not yet
  std::uint64_t ended_at_ns = 0;    // 0 = not yet
  std::uint32_t process_count = 0;  // prepared or running now
};

struct ContainerStatistics {
  std::string engine;         // "soft", never "auto"
  std::string engine_reason;  // why "auto" took it; empty where it was asked for by name
  std::string kernel;
  std::uint32_t processor_count = 0;
  std::uint64_t memory_bytes = 0;
  TimelineSnapshot timeline;
  std::uint64_t private_bytes = 0;  // of this process, guest RAM included
  std::uint64_t guest_memory_resident_bytes = 0;
  std::vector<devices::DiskCounts> disks = {};  // of the machine
};

// What happens to a container (runhv_event_kind), on the loop's thread and never from inside a call
// of the container's functions. A handler may call them, but must not destroy the container.
class ContainerEvents {
 public:
  virtual void on_created() = 0;
  virtual void on_started() = 0;
  // Of the processes after the first.
  virtual void on_process_started(ProcessNumber process) = 0;
  virtual void on_process_ended(ProcessNumber process, const ExitStatus& status) = 0;
  virtual void on_out_of_memory(std::uint32_t kills) = 0;  // since the guest began
  virtual void on_paused() = 0;
  virtual void on_resumed() = 0;
  virtual void on_warning(ProcessNumber process, const Error& warning) = 0;
  // Output is delivered and the machine is off. The status of the first process; an error where the
  // guest crashed or lied (kGuestFailed), or the host could not run it or deliver its output. The
  // last call.
  virtual void on_ended(const Result<ExitStatus>& end) = 0;

 protected:
  ~ContainerEvents() = default;
};

using UpdateDone = std::function<void(const Result<void>&)>;

using MakeMachine =
    std::function<Result<std::unique_ptr<machine::Machine>>(machine::MachineConfig)>;

class Container {
 public:
  // Reads the bundle, opens every file and makes the machine (but see own_network_namespace): after
  // it, the bundle folder is no longer needed. Nothing runs yet. `loop` and `events` outlive the
  // container.
  static Result<std::unique_ptr<Container>> create(
      platform::EventLoop& loop, ContainerConfig config, ContainerEvents& events,
      const MakeMachine& make_machine = machine::Machine::create);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  // Stops the machine if it runs, joins its threads, gives everything back. No event comes any
  // more.
  ~Container();

  // Runs the guest up to on_created(). kConflict where it was booted or started before.
  Result<void> boot();
  // Lets the first program run, and boots where that was not done. Once; need not wait for
  // on_created(). kConflict the second time.
  Result<void> start();

  // A Linux signal, 1..64. kNotFound where there is no such process, or it has ended; kClosed after
  // the end. Before the program runs the signal is kept. For the first process: SIGKILL ends the
  // machine at once, with kSignaled 9; SIGINT and SIGTERM do, with kSignaled, before the agent has
  // spoken, and the second one before the program runs; after the process has ended they give up
  // output that nobody reads.
  Result<void> signal(ProcessNumber process, int signal);
  // `signal` (0 = the bundle's stop signal) to the first process, and SIGKILL after grace_ms.
  Result<void> stop(int signal, std::uint32_t grace_ms);

  // When it returns no instruction of the guest runs; output that has left the guest still reaches
  // the host. kConflict where the container is not running (pause) or not paused (resume).
  Result<void> pause();
  Result<void> resume();

  // Begins one more process; its events tell the rest. kConflict where the container does not run
  // or has kMaxProcesses; kNotFound where it has no such container, or that has ended.
  Result<ProcessNumber> start_process(ProcessConfig config);
  // Begins one more container in the same machine, and is its first process: of all containers,
  // those that begin later have network, ipc and uts of the first one where they have none of their
  // own. Its end ends its processes; the end of the first container ends all. kConflict as
  // start_process(); kUnsupported for a root that is no folder, and what parse_bundle refuses.
  Result<ProcessNumber> join(JoinConfig config);
  // kNotFound as signal(); kConflict where the process has no terminal.
  Result<void> resize(ProcessNumber process, std::uint16_t columns, std::uint16_t rows);
  // linux.resources, of which it takes what is about the guest (cgroup_settings.h), for the cgroup
  // of `which`, the number of a container's first process. `done` comes from the loop, once, unless
  // the container is destroyed before: kGuestFailed where the guest's kernel refuses a setting,
  // with its errno, and kClosed where the first container ends meanwhile. An error here, and no
  // `done`: kConflict where the agent cannot be asked now, or one for `which` is on its way;
  // kNotFound where it has no such container, or that has ended.
  Result<void> update(ProcessNumber which, std::string_view json, UpdateDone done);
  // Gives stream 0, 1 or 2 another end on the host, or none: then output waits until there is one
  // again, and input has no end. kConflict where the process was given the null device.
  Result<void> attach(ProcessNumber process, int stream, std::optional<platform::Stream> end);

  const std::string& id() const;
  ContainerState state() const;
  // Of on_ended(); nullopt before.
  const std::optional<Result<ExitStatus>>& end() const;
  // As it was read.
  const Bundle& bundle() const;

  // The first time some milliseconds, since it reads the kernel's name from its file.
  ContainerStatistics statistics();
  // What is counted, while it is. Valid as long as the container.
  const StatisticsPage& statistics_page() const;
  // See Machine::guest_memory. Valid as long as the container.
  std::optional<machine::MachineMemory> guest_memory(std::size_t index) const;

 private:
  class Impl;
  explicit Container(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace runhv::container
