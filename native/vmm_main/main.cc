// runhv-vmm: one process for one container in its own micro-VM. Its pid is the container's: stdio,
// signals and the exit status pass through it.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/complain.h"
#include "platform/event_loop.h"
#include "platform/process.h"
#include "platform/shown_files.h"
#include "platform/standard_streams.h"
#include "vmm_main/options.h"
#include "vmm_main/probe.h"
#include "vmm_main/vmm.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words = runhv::platform::program_arguments(argc, argv);
  const std::vector<std::string_view> arguments(words.begin(), words.end());
  runhv::platform::ensure_standard_streams();
  if (!arguments.empty() && arguments.front() == runhv::vmm_main::kProbe) {
    return runhv::vmm_main::probe(std::span(arguments).subspan(1));
  }
  const runhv::vmm_main::LauncherOptions launcher =
      runhv::vmm_main::find_launcher_options(arguments);
  std::vector<runhv::platform::OsHandle> keep;
  if (launcher.control_fd) keep.push_back(*launcher.control_fd);
  for (int i = 0; i < launcher.preserve_fds; ++i) {
    keep.push_back(runhv::platform::kFirstPreserved + i);
  }
  if (launcher.lock_fd) keep.push_back(*launcher.lock_fd);
  if (launcher.lease_fd) keep.push_back(*launcher.lease_fd);
  const auto closed = runhv::platform::close_inherited_handles(keep);
  runhv::platform::FirstThread first_thread;
  const auto status = first_thread.run([&] {
    const auto loop = runhv::platform::EventLoop::create();
    if (!loop) return runhv::platform::complain(loop.error());
    return runhv::vmm_main::Vmm(**loop, first_thread).run(arguments, launcher, closed);
  });
  return status ? *status : runhv::platform::complain(status.error());
}
