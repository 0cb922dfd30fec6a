#include "platform/host_facts.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "platform/handle.h"
#include "platform/processor_answers.h"
#include "platform/system_name.h"

namespace runhv::platform {
namespace {

// proc(5), MemAvailable; 0 where it is not told.
std::uint64_t available_memory_bytes() {
  std::FILE* const file = std::fopen("/proc/meminfo", "re");
  if (file == nullptr) return 0;
  const ScopeExit close([&] { std::fclose(file); });
  char line[256];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    unsigned long long kib = 0;
    if (std::sscanf(line, "MemAvailable: %llu kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

}  // namespace

HostFacts host_facts() {
  HostFacts facts;
  facts.name = system_name();
  facts.processors = static_cast<std::uint32_t>(::get_nprocs());
  facts.available_memory_bytes = available_memory_bytes();
  ask_processor(facts);
  const UniqueHandle kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm.is_open()) facts.kvm_errno = errno;
  return facts;
}

}  // namespace runhv::platform
