// More containers in a container's machine (docs/adr/0020-a-pod-is-one-machine.md).

#include <span>
#include <string>
#include <utility>

#include "base/scope_exit.h"
#include "container/agent_request.h"
#include "container/container_impl.h"
#include "container/linux_abi.h"

namespace runhv::container {

Result<ProcessNumber> Container::Impl::join(JoinConfig config) {
  const std::string joining = "run container " + config.id + " in the VM of " + id_;
  RUNHV_TRY(check_can_begin(joining));
  if (members_.size() + 1 >= RUNHV_MAX_CONTAINERS) {
    return Fail{Error{
        Code::kConflict, joining,
        "it has " + std::to_string(RUNHV_MAX_CONTAINERS) + " containers, the most it may have"}};
  }
  if ((bundle_.container.namespaces & linux_abi::kCloneNewns) == 0) {
    return Fail{Error{Code::kUnsupported, joining, "its first container has no mount namespace"}};
  }
  RUNHV_TRY_ASSIGN(Bundle bundle,
                   parse_bundle(config.json, "read its config.json", Joins::kMachine));
  keep_users_apart(bundle.container);
  find_shares(config.bundle, bundle);
  if (!bundle.container.root_is_shared) {
    return Fail{Error{Code::kUnsupported, joining,
                      "its root is a block image, and the VM has its disks since it began"}};
  }
  RUNHV_TRY(join_users(bundle.container, config.network.has_value(), joining));
  Member member;
  member.personality = bundle.process.personality;
  member.has_cgroup = bundle.container.cgroup.has_value();
  ScopeExit undo([&] { let_go_of(member); });
  RUNHV_TRY(share_files(bundle.container, member));
  if (!bundle.container.start_hooks.empty()) {
    bundle.container.hook_state = state_for_hooks(config.id, config.bundle, bundle);
  }
  std::span<const NetworkMessage> network;
  if (config.network) {
    bundle.container.namespaces |= linux_abi::kCloneNewnet;
    RUNHV_TRY(connect_member(*config.network, member, joining));
    network = config.network->messages;
  }
  // Else the first container's name would change.
  if ((bundle.container.namespaces & linux_abi::kCloneNewuts) == 0) {
    bundle.container.hostname.clear();
    bundle.container.domainname.clear();
  }
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> records,
                   encode_container(bundle.container, network));
  bundle.process.terminal = bundle.process.terminal || config.terminal;
  if (config.columns != 0) bundle.process.columns = config.columns;
  if (config.rows != 0) bundle.process.rows = config.rows;
  if (!bundle.connect_stdin) config.streams[0].reset();
  const ProcessPlace place{.container = next_number_, .records = records};
  RUNHV_TRY_ASSIGN(const ProcessNumber number,
                   begin_process(bundle.process, std::move(config.streams),
                                 std::move(config.descriptors), place));
  undo.release();
  members_.emplace(number, std::move(member));
  return number;
}

// A path to that of the process that stands for us is the host's where we have none.
Result<void> Container::Impl::join_users(ContainerSpec& container, bool has_network,
                                         const std::string& joining) const {
  if (!container.joins_users) return {};
  if ((bundle_.container.namespaces & linux_abi::kCloneNewuser) == 0) {
    container.drop_user_namespace();
    return {};
  }
  if (!has_network) return {};
  return Fail{Error{Code::kUnsupported, joining,
                    "it shares the user namespace and has a network of its own, whose interfaces "
                    "are not its root's to take"}};
}

// What the bundle shares becomes entries of the guest's file system.
Result<void> Container::Impl::share_files(ContainerSpec& container, Member& member) {
  for (const ShareSpec& share : container.shares) {
    if (!share.uid_map.empty()) {
      return Fail{Error{Code::kUnsupported, "share " + share.path + " with mapped owners",
                        "the VM that the container joins has given up the right to do so"}};
    }
    RUNHV_TRY_ASSIGN(platform::FileNode top, platform::FileNode::open(share.path));
    RUNHV_TRY_ASSIGN(const std::size_t number,
                     machine_->add_share({std::move(top), share.read_only, share.cross_mounts}));
    member.shares.push_back(number);
  }
  container.root_share = member.shares.front();
  for (MountSpec& mount : container.mounts) {
    if (mount.share) mount.source = "/" + std::to_string(member.shares[*mount.share]);
  }
  return {};
}

void Container::Impl::let_go_of(const Member& member) {
  disconnect_member(member);
  for (const std::size_t share : member.shares) machine_->remove_share(share);
}

void Container::Impl::end_member(ProcessNumber number) {
  const auto member = members_.find(number);
  if (member == members_.end()) return;
  let_go_of(member->second);
  members_.erase(member);
}

}  // namespace runhv::container
