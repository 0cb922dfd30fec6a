#include "control/container_folder.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/bytes.h"
#include "base/log.h"
#include "base/text.h"
#include "container/bundle.h"
#include "platform/file.h"
#include "platform/path.h"
#include "platform/process.h"
#include "platform/user_folders.h"
#include "runhv/runhv.h"

namespace runhv::control {
namespace {

constexpr std::chrono::seconds kTimeToBeMade(10);
constexpr const char* kConfig = "config.json";

Error does_not_exist(const std::string& id) {
  return Error{Code::kNotFound, "find container " + id, "container \"" + id + "\" does not exist"};
}

Error in_use(const std::string& id) {
  return Error{Code::kConflict, "name the container", "container name \"" + id + "\" is in use"};
}

std::string state_path(const std::string& folder) { return folder + "/state.json"; }

Result<StoredState> read_state(const std::string& folder) {
  const std::string path = state_path(folder);
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> text, platform::read_file(path, kMaxStateBytes));
  return parse_state({reinterpret_cast<const char*>(text.data()), text.size()}, "read " + path);
}

// A folder without its process: kept where it is to outlive it, else removed. nullopt: removed.
Result<std::optional<StoredState>> look_after(const std::string& folder,
                                              platform::FolderLock lock) {
  auto state = read_state(folder);
  // Killed before it had written its state: nobody has heard of it.
  if (!state && state.error().code == Code::kNotFound) {
    RUNHV_TRY(std::move(lock).remove_folder());
    return std::optional<StoredState>();
  }
  if (!state) return Fail{std::move(state).error()};
  if (state->ephemeral) {
    RUNHV_TRY(std::move(lock).remove_folder());
    return std::optional<StoredState>();
  }
  state->status = "stopped";
  return std::optional<StoredState>(*std::move(state));
}

// Its process has the folder, and has not come to its state yet: not to be disturbed.
bool is_being_made(const std::string& folder) {
  if (platform::file_exists(state_path(folder))) return false;
  std::error_code failure;
  const auto made = std::filesystem::last_write_time(platform::filesystem_path(folder), failure);
  return failure || made > std::filesystem::file_time_type::clock::now() - kTimeToBeMade;
}

std::optional<FoundContainer> found_in(const std::string& folder) {
  if (is_being_made(folder)) return std::nullopt;
  auto lock = platform::FolderLock::acquire(folder);
  if (lock) {
    auto state = look_after(folder, *std::move(lock));
    if (!state) debug_log("control", "%s", to_string(state.error()).c_str());
    if (!state || !*state) return std::nullopt;
    return FoundContainer{std::move(**state), false, folder};
  }
  if (lock.error().code != Code::kConflict) return std::nullopt;
  // Its process is about to write it, or to remove it.
  auto state = read_state(folder);
  if (!state) return std::nullopt;
  return FoundContainer{*std::move(state), true, folder};
}

}  // namespace

Result<std::string> runhv_root(const std::string& named) {
  std::string root = named.empty() ? platform::environment("RUNHV_ROOT") : named;
  if (root.empty()) {
    RUNHV_TRY_ASSIGN(root, platform::runtime_folder("runhv"));
  }
  std::error_code failure;
  auto whole = std::filesystem::absolute(platform::filesystem_path(root), failure);
  whole = whole.lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  if (!failure) root = platform::path_text(whole);
  std::filesystem::create_directories(whole.parent_path(), failure);
  RUNHV_TRY(platform::make_private_directory(root));
  return root;
}

Result<std::string> root_folder(const std::string& root, const char* name) {
  const std::string folder = root + "/" + name;
  RUNHV_TRY(platform::make_private_directory(folder));
  return folder;
}

Result<ContainerFolder> ContainerFolder::take(const std::string& root, const std::string& id) {
  if (!is_name(id, RUNHV_MAX_ID_BYTES)) {
    return Fail{Error{Code::kInvalidArgument, "name the container",
                      "a name has 1 to " + std::to_string(RUNHV_MAX_ID_BYTES) +
                          " of the characters A-Z a-z 0-9 _ . -, first a letter, digit or _"}};
  }
  RUNHV_TRY_ASSIGN(const std::string containers, root_folder(root, "containers"));
  const std::string path = containers + "/" + id;
  // Each round ends with the name, with a holder of it, or with what a killed one left removed.
  while (true) {
    RUNHV_TRY(platform::make_private_directory(path));
    auto lock = platform::FolderLock::acquire(path);
    if (!lock && lock.error().code == Code::kConflict) return Fail{in_use(id)};
    // Removed between the two: by its process, at its end.
    if (!lock && lock.error().code == Code::kNotFound) continue;
    if (!lock) return Fail{std::move(lock).error()};
    if (!platform::file_exists(state_path(path))) return ContainerFolder(path, *std::move(lock));
    RUNHV_TRY_ASSIGN(const std::optional<StoredState> left, look_after(path, *std::move(lock)));
    if (left) return Fail{in_use(id)};
  }
}

Result<ContainerFolder> ContainerFolder::adopt(const std::string& root, const std::string& id,
                                               platform::UniqueHandle lock) {
  const std::string path = root + "/containers/" + id;
  RUNHV_TRY_ASSIGN(platform::FolderLock adopted,
                   platform::FolderLock::adopt(path, std::move(lock)));
  return ContainerFolder(path, std::move(adopted));
}

Result<StoredState> ContainerFolder::read() const { return read_state(path_); }

Result<void> ContainerFolder::keep_config(std::span<const std::byte> config) const {
  return platform::write_file_atomically(path_ + "/" + kConfig, config,
                                         platform::Durability::kUnsynced);
}

Result<std::string> kept_config(const std::string& folder) {
  RUNHV_TRY_ASSIGN(const std::vector<std::byte> text,
                   platform::read_file(folder + "/" + kConfig, container::kMaxConfigBytes));
  return std::string(reinterpret_cast<const char*>(text.data()), text.size());
}

Result<void> ContainerFolder::write(const StoredState& state) const {
  const std::string json = state_json(state);
  return platform::write_file_atomically(state_path(path_), as_bytes(std::string_view(json)),
                                         platform::Durability::kUnsynced);
}

Result<void> ContainerFolder::remove() {
  auto removed = (*std::move(lock_)).remove_folder();
  lock_.reset();
  return removed;
}

Result<std::vector<FoundContainer>> list_containers(const std::string& root) {
  RUNHV_TRY_ASSIGN(const std::string containers, root_folder(root, "containers"));
  sweep_removed(root);
  std::vector<FoundContainer> found;
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(platform::filesystem_path(containers), failure),
       end;
       !failure && entry != end; entry.increment(failure)) {
    const std::string name = platform::path_text(entry->path().filename());
    if (!is_name(name, RUNHV_MAX_ID_BYTES)) continue;
    if (auto container = found_in(containers + "/" + name)) found.push_back(*std::move(container));
  }
  std::ranges::sort(found, {}, [](const FoundContainer& each) { return each.state.id; });
  return found;
}

Result<FoundContainer> find_container(const std::string& root, const std::string& id) {
  const std::string folder = root + "/containers/" + id;
  if (!is_name(id, RUNHV_MAX_ID_BYTES) || !platform::file_exists(folder))
    return Fail{does_not_exist(id)};
  auto found = found_in(folder);
  if (!found) return Fail{does_not_exist(id)};
  return *std::move(found);
}

Result<void> remove_container(const FoundContainer& container) {
  auto lock = platform::FolderLock::acquire(container.folder);
  if (lock) return (*std::move(lock)).remove_folder();
  if (lock.error().code == Code::kNotFound) return {};
  if (lock.error().code != Code::kConflict) return Fail{lock.error()};
  return Fail{Error{Code::kConflict, "delete container " + container.state.id,
                    "container is running; --force kills it"}};
}

Result<void> remove_unfinished(const std::string& root, const std::string& id) {
  const std::string folder = root + "/containers/" + id;
  if (!is_name(id, RUNHV_MAX_ID_BYTES) || !platform::file_exists(folder)) return {};
  auto lock = platform::FolderLock::acquire(folder);
  if (!lock && lock.error().code == Code::kNotFound) return {};
  if (!lock) return Fail{lock.error()};
  if (platform::file_exists(state_path(folder))) return {};
  return (*std::move(lock)).remove_folder();
}

void sweep_removed(const std::string& root) {
  std::error_code failure;
  const auto containers = platform::filesystem_path(root + "/containers");
  for (std::filesystem::directory_iterator entry(containers, failure), end;
       !failure && entry != end; entry.increment(failure)) {
    if (!platform::path_text(entry->path().filename()).starts_with('.')) continue;
    const auto removed = platform::remove_tree(platform::path_text(entry->path()));
    if (!removed) debug_log("control", "%s", to_string(removed.error()).c_str());
  }
}

void sweep_containers(const std::string& root) { static_cast<void>(list_containers(root)); }

}  // namespace runhv::control
