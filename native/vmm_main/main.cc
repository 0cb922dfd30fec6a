// runhv-vmm: one process for one container in its own micro-VM. Its pid is the
// container's: stdio, signals and the exit status pass through it.

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/scope_exit.h"
#include "base/text.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/lossy_writer.h"
#include "platform/named_lock.h"
#include "platform/poller.h"
#include "platform/process.h"
#include "platform/signals.h"
#include "platform/standard_streams.h"
#include "platform/thread.h"
#include "runhv/runhv.h"
#include "vmm_main/options.h"
#include "vmm_main/timings.h"

namespace runhv {
namespace {

constexpr int kOurFailure = 125;   // as docker: neither the container's status, nor 126 or 127
constexpr std::int32_t kKill = 9;  // Linux: SIGKILL
constexpr std::uint64_t kPatienceNs = 500'000'000;

// What the poller tells us about.
constexpr std::uint64_t kSignals = 0;
constexpr std::uint64_t kParent = 1;

Error error_of(const runhv_error& error) {
  return {static_cast<Code>(error.code), error.operation, error.detail,
          static_cast<Domain>(error.domain), error.os_code};
}

int complain(const std::string& text) {
  // Who does not read stderr must not keep us from ending.
  lossy_stderr().write("runhv: " + escape_controls(text) + "\n", kPatienceNs);
  return kOurFailure;
}

int complain(const Error& error) { return complain(to_string(error)); }

template <class T>
T sized() {
  T value{};
  value.struct_size = sizeof value;
  return value;
}

Result<std::string> share_directory() {
  std::string directory = environment("RUNHV_SHARE");
  if (!directory.empty()) return directory;
  RUNHV_TRY_ASSIGN(directory, executable_directory());
  return directory + "/../share/runhv";
}

void fill_defaults(VmmOptions& options, const std::string& share) {
  if (options.kernel.empty()) options.kernel = share + "/vmlinux-minimal";
  if (options.initrd.empty()) options.initrd = share + "/agent.cpio";
  if (options.spawned_at_ns == 0) options.spawned_at_ns = process_start_ns();
}

// The bundle's folder, where it was made for this run only: deleted whatever happens.
class MadeBundle {
 public:
  explicit MadeBundle(const VmmOptions& options)
      : path_(options.remove_bundle ? options.bundle : "") {}
  MadeBundle(const MadeBundle&) = delete;
  MadeBundle& operator=(const MadeBundle&) = delete;
  ~MadeBundle() { remove(); }

  void remove() {
    if (path_.empty()) return;
    if (const auto removed = remove_tree(path_); !removed) complain(removed.error());
    path_.clear();
  }

 private:
  std::string path_;
};

Result<runhv_vm> create_vm(const VmmOptions& options, const std::string& share) {
  const std::string scratch = share + "/scratch.ext4";
  auto config = sized<runhv_vm_config>();
  if (options.debug) config.flags |= RUNHV_FLAG_CONSOLE;
  config.id = options.id.c_str();
  config.bundle = options.bundle.c_str();
  config.engine = options.engine.c_str();
  config.default_kernel = options.kernel.c_str();
  config.default_initrd = options.initrd.c_str();
  config.default_modules = options.modules.c_str();
  config.default_scratch = scratch.c_str();
  for (int i = 0; i < 3; ++i) config.stdio[i] = standard_stream(i);
  config.spawned_at_ns = options.spawned_at_ns;
  auto error = sized<runhv_error>();
  runhv_vm vm = 0;
  const int32_t code = runhv_vm_create(&config, &vm, &error);
  if (code != RUNHV_OK) return Fail{error_of(error)};
  return vm;
}

void say_that_it_is_slow(const VmmOptions& options, runhv_vm vm) {
  // Asked first: statistics look through all of the process's memory.
  const bool wanted = options.debug || is_terminal(standard_stream(2));
  if (options.engine != "auto" || !wanted) return;
  auto statistics = sized<runhv_statistics>();
  if (runhv_vm_statistics(vm, &statistics, nullptr) != RUNHV_OK) return;
  if (std::string_view(statistics.engine) != "soft") return;
  std::fputs(
      "runhv: no hypervisor here; the embedded software CPU runs this container, slower "
      "(--engine soft says that you know)\n",
      stderr);
}

void print_timings(const VmmOptions& options, const std::optional<File>& file,
                   const runhv_statistics& statistics, const ContainerEnd& end) {
  const bool colour = is_terminal(standard_stream(2)) && environment("NO_COLOR").empty();
  const std::string text = options.timings == TimingsFormat::kTable
                               ? timings_table(options.id, statistics, end, colour)
                               : timings_json(options.id, statistics, end);
  if (!file) {
    lossy_stderr().write(text, kPatienceNs);
  } else if (const auto written = file->append(text); !written) {
    complain(written.error());
  }
}

struct Outcome {
  int32_t code = RUNHV_OK;
  runhv_exit_status status = sized<runhv_exit_status>();
  runhv_error error = sized<runhv_error>();
};

ContainerEnd end_of(const Outcome& outcome) {
  if (outcome.code != RUNHV_OK) {
    const Error failure = error_of(outcome.error);
    complain(failure);
    return {std::nullopt, kOurFailure, kOurFailure, failure};
  }
  std::optional<Error> reason;
  if (outcome.status.end == RUNHV_END_NOT_STARTED) {
    reason = error_of(outcome.error);
    reason->domain = Domain::kNone;
    complain(*reason);
  }
  const std::uint32_t oom_kills = outcome.status.oom_kills;
  if (oom_kills != 0) {
    complain("memory ran out in the container, and its kernel killed " + std::to_string(oom_kills) +
             (oom_kills == 1 ? " process" : " processes") + "; -m says how much it has");
  }
  return {outcome.status.end, outcome.status.value, outcome.status.exit_status, reason, oom_kills};
}

// The process that wants us no longer than itself. None where the system cannot tell of its end;
// then, as without the option, the container outlives it.
Result<UniqueHandle> watched_parent(std::uint64_t pid, Poller& poller) {
  if (pid == 0) return UniqueHandle();
  auto parent = end_of_process(pid);
  if (!parent && parent.error().code == Code::kUnsupported) {
    debug_log("vmm", "%s", to_string(parent.error()).c_str());
    return UniqueHandle();
  }
  if (parent) RUNHV_TRY(poller.watch(parent->get(), kParent, true, false));
  return parent;
}

// Forwards signals until the container is over.
Outcome run(runhv_vm vm, SignalQueue& signals, Poller& poller, OsHandle parent) {
  Outcome outcome;
  std::atomic<bool> over = false;
  std::thread waiter([&] {
    block_forwarded_signals();
    set_thread_name("runhv-wait");
    outcome.code = runhv_vm_wait(vm, UINT32_MAX, &outcome.status, &outcome.error);
    over.store(true, std::memory_order_release);
    poller.wake();
  });
  while (!over.load(std::memory_order_acquire)) {
    const auto ready = poller.wait(std::nullopt);
    if (!ready) break;
    for (const Poller::Ready& each : *ready) {
      if (each.token != kParent) continue;
      poller.forget(parent);
      runhv_vm_signal(vm, kKill, nullptr);
    }
    while (const auto signal = signals.next()) runhv_vm_signal(vm, *signal, nullptr);
  }
  waiter.join();
  return outcome;
}

int run_container(VmmOptions options, SignalQueue& signals, const std::optional<File>& timings_file,
                  MadeBundle& bundle) {
  const auto share = share_directory();
  if (!share) return complain(share.error());
  fill_defaults(options, *share);
  auto poller = Poller::create();
  if (!poller) return complain(poller.error());
  if (const auto watched = (*poller)->watch(signals.handle(), kSignals, true, false); !watched) {
    return complain(watched.error());
  }
  const auto parent = watched_parent(options.end_with, **poller);
  if (!parent) return complain(parent.error());
  const auto name = NamedLock::acquire(options.id);
  if (!name && name.error().code == Code::kConflict) {
    return complain("container name \"" + options.id + "\" is in use");
  }
  if (!name) return complain(name.error());
  const auto vm = create_vm(options, *share);
  // Everything is open now: even a SIGKILL from here on leaves nothing behind.
  bundle.remove();
  if (!vm) return complain(vm.error());
  const ScopeExit destroy([&] { runhv_vm_destroy(*vm, nullptr); });

  auto error = sized<runhv_error>();
  if (runhv_vm_start(*vm, &error) != RUNHV_OK) return complain(error_of(error));
  say_that_it_is_slow(options, *vm);
  const ContainerEnd end = end_of(run(*vm, signals, **poller, parent->get()));
  auto statistics = sized<runhv_statistics>();
  if (options.timings != TimingsFormat::kNone &&
      runhv_vm_statistics(*vm, &statistics, nullptr) == RUNHV_OK) {
    print_timings(options, timings_file, statistics, end);
  }
  return end.exit_status;
}

int vmm_main(std::span<const std::string_view> arguments) {
  ensure_standard_streams();
  if (const auto closed = close_inherited_handles(); !closed) return complain(closed.error());
  const auto signals = SignalQueue::create();
  if (!signals) return complain(signals.error());
  const auto options = parse_vmm_options(arguments);
  if (!options) return complain(options.error());
  MadeBundle bundle(*options);
  if (options->debug) {
    set_debug_log([](std::string_view line) { lossy_stderr().write(line); });
  }
  std::optional<File> timings_file;
  if (!options->timings_file.empty()) {
    auto opened = File::open_to_append(options->timings_file);
    if (!opened) return complain(opened.error());
    timings_file.emplace(*std::move(opened));
  }
  return run_container(*options, **signals, timings_file, bundle);
}

}  // namespace
}  // namespace runhv

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  return runhv::vmm_main(arguments);
}
