// A container that is there, as the verbs ask it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "control/client.h"
#include "control/container_folder.h"
#include "oci/host_spec.h"

namespace runhv::oci {

// `operation` is that of every error: the verb. `root`: of --root; empty = the user's own.
Result<control::FoundContainer> find(const std::string& operation, const std::string& root,
                                     const std::string& id);

// Its process has not ended.
bool is_there(const control::FoundContainer& container);
std::uint64_t pid_of(const control::FoundContainer& container);  // 0 once it has ended

// The control channel, ten seconds for each answer.
Result<control::Client> connect(
    const std::string& operation, const control::FoundContainer& container,
    control::Client::Events events = control::Client::Events::kPassedOver);

// The error of something that a verb needs is the verb's.
Error of_verb(const std::string& operation, Error error);

// What the host took of its config.json; of one that has none (an older runhv made it), nothing.
Result<HostSpec> host_spec(const control::FoundContainer& container);

// The unit of systemd's that its cgroups are of, once they are removed: its name is free at once.
// Without, it goes by itself.
Result<void> stop_scope(const control::StoredState& state);

}  // namespace runhv::oci
