#include "oci/container.h"

#include "oci/cgroups.h"
#include "oci/systemd_scope.h"
#include "platform/clock.h"

namespace runhv::oci {
namespace {

constexpr std::uint64_t kAnswerNs = 10'000'000'000;

}  // namespace

Error of_verb(const std::string& operation, Error error) {
  error.operation = operation;
  return error;
}

Result<control::FoundContainer> find(const std::string& operation, const std::string& root,
                                     const std::string& id) {
  RUNHV_TRY_ASSIGN(const std::string folder, control::runhv_root(root));
  auto found = control::find_container(folder, id);
  if (!found) return Fail{of_verb(operation, std::move(found).error())};
  return found;
}

bool is_there(const control::FoundContainer& container) {
  return container.lives && container.state.status != "stopped";
}

std::uint64_t pid_of(const control::FoundContainer& container) {
  return is_there(container) ? container.state.pid : 0;
}

Result<control::Client> connect(const std::string& operation,
                                const control::FoundContainer& container,
                                control::Client::Events events) {
  auto client = control::Client::connect(container.folder + "/control",
                                         platform::monotonic_ns() + kAnswerNs, events);
  if (client) return client;
  Error error = of_verb(operation, std::move(client).error());
  if (error.code == Code::kNotFound) {
    error.code = Code::kConflict;
    error.detail = "container not running: its process has just ended";
  }
  return Fail{std::move(error)};
}

Result<HostSpec> host_spec(const control::FoundContainer& container) {
  const auto config = control::kept_config(container.folder);
  if (!config && config.error().code == Code::kNotFound) return HostSpec{};
  if (!config) return Fail{config.error()};
  return parse_host_spec(*config, "read " + container.folder + "/config.json");
}

Result<void> stop_scope(const control::StoredState& state) {
  if (state.scope.empty()) return {};
  RUNHV_TRY_ASSIGN(Systemd systemd, Systemd::connect());
  // Where create was killed early, the name may be somebody else's; without a cgroup it has
  // stopped.
  RUNHV_TRY_ASSIGN(const std::string path, systemd.cgroup(state.scope));
  if (path.empty()) return {};
  RUNHV_TRY_ASSIGN(const auto folders, cgroup_folders(path));
  if (folders != state.cgroups) return {};
  return systemd.stop(state.scope);
}

}  // namespace runhv::oci
