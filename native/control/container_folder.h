// Where containers are found: their folders below one root of this user's, and what is in each
// (docs/control.md). A folder's name is the container's.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/state_file.h"
#include "platform/folder_lock.h"

namespace runhv::control {

// The folder of all containers, made where it is missing, for this user alone: `named`, else
// RUNHV_ROOT, else runhv below XDG_RUNTIME_DIR, else runhv-UID below the folder of temporary files.
Result<std::string> runhv_root(const std::string& named);

// A folder below the root, made where it is missing: "containers", "bundles".
Result<std::string> root_folder(const std::string& root, const char* name);

// One container's folder, held by its process.
class ContainerFolder {
 public:
  // Takes the name. kConflict where another container has it.
  static Result<ContainerFolder> take(const std::string& root, const std::string& id);

  // Takes over a name that the launcher took, with the handle of its lock.
  static Result<ContainerFolder> adopt(const std::string& root, const std::string& id,
                                       platform::UniqueHandle lock);

  const std::string& path() const { return path_; }
  platform::OsHandle lock() const { return lock_->handle(); }
  // Replaces state.json as a whole.
  Result<void> write(const StoredState& state) const;
  Result<StoredState> read() const;
  // Keeps a copy of config.json, for those who come when the bundle may have gone or changed.
  Result<void> keep_config(std::span<const std::byte> config) const;
  // The name is free from here on.
  Result<void> remove();

 private:
  ContainerFolder(std::string path, platform::FolderLock lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  std::optional<platform::FolderLock> lock_;
};

// The copy of a container's config.json.
Result<std::string> kept_config(const std::string& folder);

struct FoundContainer {
  StoredState state;  // stopped, whatever it says, where the process does not live
  bool lives;         // its process has the folder
  std::string folder;
};

// By name. Folders whose process was killed, and that were to go with it, are removed on the way.
Result<std::vector<FoundContainer>> list_containers(const std::string& root);

// kNotFound: container "x" does not exist.
Result<FoundContainer> find_container(const std::string& root, const std::string& id);

// Removes a container that does not live; kConflict where it does.
Result<void> remove_container(const FoundContainer& container);

// Removes what is left of one whose process was killed before it had written its state. Nothing
// where there is none; kConflict where it is being made.
Result<void> remove_unfinished(const std::string& root, const std::string& id);

// Removes what is left of folders whose removal was cut short, and is no container's any more.
void sweep_removed(const std::string& root);

// What list_containers removes, alone.
void sweep_containers(const std::string& root);

}  // namespace runhv::control
