// `runhv doctor`: what of this host containers can run on, and what is to be done where they cannot
// (docs/doctor.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "platform/confinement.h"
#include "platform/host_facts.h"

namespace runhv::cli {

// What is wrong, why, and what to do. `cause` is a word for programs; docs/doctor.md lists them.
struct Advice {
  std::string cause;
  std::string why;
  std::string remedy;
  bool operator==(const Advice&) const = default;
};

struct ProbedStage {
  std::string name;  // machine/engine_probe.h
  std::uint64_t ns;
};

// What `runhv-vmm --probe` found (vmm_main/probe.h).
struct ProbedEngine {
  std::string engine;
  std::vector<ProbedStage> stages;  // that went well
  std::optional<Error> failure;
  std::optional<Advice> advice;  // with a failure, where one is known
};

// From its output and its end. nullopt as `exit_status`: it was killed, since it did not end.
ProbedEngine read_probe(std::string_view engine, std::string_view output,
                        std::optional<int> exit_status);

// Of a failure of an engine on such a host.
std::optional<Advice> advise(const platform::HostFacts& host, const ProbedEngine& engine);

// Java, as cli/java_runtime.h finds it.
std::optional<Advice> advise_on_java(const Result<std::string>& java);

// Whether the store can be used: its folder is not there yet, or can be written.
Result<void> check_store(const std::string& store);
std::optional<Advice> advise_on_store(const Result<std::string>& store);

// What a machine of the usual size needs, beside what others have.
std::optional<Advice> advise_on_memory(const platform::HostFacts& host);

struct Diagnosis {
  std::string version;
  platform::HostFacts host;
  std::vector<ProbedEngine> engines;
  Result<std::string> java;   // its path
  Result<std::string> store;  // its folder
  platform::ConfinementSupport confinement;

  // An engine works, and all that images need is there.
  bool can_run_images() const;
};

std::string to_text(const Diagnosis& diagnosis);
// One line.
std::string to_json(const Diagnosis& diagnosis);

// Asks this host. Takes as long as the slowest engine's boot; a minute where one hangs.
Result<Diagnosis> diagnose();

}  // namespace runhv::cli
