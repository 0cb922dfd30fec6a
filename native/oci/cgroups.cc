#include "oci/cgroups.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "container/cgroup_settings.h"
#include "oci/wait.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "platform/os_error.h"
#include "platform/process.h"

namespace runhv::oci {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);) parts.push_back(part);
  return parts;
}

struct Hierarchy {
  std::string mounted_at;
  std::string root;  // what of the hierarchy is mounted there
  std::string own;   // this process's cgroup in it
  bool is_second_version = false;
};

// proc(5), /proc/PID/mountinfo: … root place options … - type source super-options
// cgroups(7), /proc/PID/cgroup: number:controllers:path
Result<std::vector<Hierarchy>> hierarchies() {
  std::map<std::string, std::string> own;  // by controller, "" = v2
  std::ifstream cgroups("/proc/self/cgroup");
  for (std::string line; std::getline(cgroups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string path = line.substr(second + 1);
    const auto controllers = split(line.substr(first + 1, second - first - 1), ',');
    if (controllers.empty()) own[""] = path;
    for (const std::string& each : controllers) own[each] = path;
  }
  std::vector<Hierarchy> first_version;
  std::optional<Hierarchy> second_version;
  std::set<std::string> seen;  // one hierarchy may be mounted in two places
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const auto fields = split(line, ' ');
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    if (dash[1] == "cgroup2" && !second_version && own.contains("")) {
      second_version = Hierarchy{fields[4], fields[3], own[""], true};
    }
    if (dash[1] != "cgroup") continue;
    for (const std::string& option : split(dash[3], ',')) {
      if (!own.contains(option)) continue;
      if (seen.insert(own[option] + "|" + dash[3]).second) {
        first_version.push_back({fields[4], fields[3], own[option]});
      }
      break;
    }
  }
  // Where both are there, the controllers are v1's.
  if (first_version.empty() && second_version) first_version.push_back(*second_version);
  if (first_version.empty()) {
    return Fail{Error{Code::kUnsupported, "find the cgroups", "none is mounted"}};
  }
  return first_version;
}

Error failed(const std::string& operation) { return platform::os_error(operation, errno); }

bool has(const std::string& folder, const char* file) {
  return platform::file_exists(folder + "/" + file);
}

std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Result<void> write(const std::string& path, const std::string& value) {
  errno = 0;
  std::ofstream file(path);
  file << value << std::flush;
  if (file) return {};
  Error error = failed("set " + path + " to " + value);
  return Fail{std::move(error)};
}

// v2: a folder has the controllers that its parent gives, and each above it. One that has processes
// gives none: with those that it may (cgroups(7), "threaded mode") who is below could hardly be
// told from it. Whether they are missed is for the limits to say.
void give_controllers(const fs::path& folder) {
  if (!has(folder.string(), "cgroup.subtree_control")) return;
  // The root, which has no type, may have processes.
  if (has(folder.string(), "cgroup.type") &&
      !read_line((folder / "cgroup.procs").string()).empty()) {
    return;
  }
  const auto give = [&](const std::string& controllers) {
    return write((folder / "cgroup.subtree_control").string(), controllers);
  };
  const auto there = split(read_line((folder / "cgroup.controllers").string()), ' ');
  std::string all;
  for (const std::string& each : there) all += "+" + each + " ";
  if (const auto given = give(all); given || given.error().code == Code::kConflict) return;
  // One of them, which delegation may keep back, spoils it for all.
  for (const std::string& each : there) static_cast<void>(give("+" + each));
}

// cpuset(7), v1: nobody can enter one before it has processors and memory, nor has one more than
// its parent, which somebody else may have made without.
Result<void> inherit_cpuset(const fs::path& folder) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const std::string path = (folder / file).string();
    if (!platform::file_exists(path) || has(folder.string(), "cgroup.controllers")) continue;
    if (!read_line(path).empty()) continue;
    RUNHV_TRY(inherit_cpuset(folder.parent_path()));
    RUNHV_TRY(write(path, read_line((folder.parent_path() / file).string())));
  }
  return {};
}

Result<void> make_folder(const fs::path& folder) {
  const bool is_there = platform::file_exists(folder.string());
  const fs::path above = folder.parent_path();
  const bool is_top = !has(above.string(), "cgroup.controllers");  // of v2, else it is one of v1
  if (is_there && is_top) return inherit_cpuset(folder);
  RUNHV_TRY(make_folder(above));
  give_controllers(above);
  if (is_there) return {};
  std::error_code failure;
  fs::create_directory(folder, failure);
  if (failure) return Fail{platform::os_error("make cgroup " + folder.string(), failure.value())};
  return inherit_cpuset(folder);
}

// Sets `file` in the one folder that has it.
Result<void> set(const std::vector<std::string>& folders, const char* file,
                 const std::string& value) {
  for (const std::string& folder : folders) {
    if (has(folder, file)) return write(folder + "/" + file, value);
  }
  return Fail{Error{Code::kUnsupported, std::string("set ") + file,
                    "no cgroup of this container has it: this system has not its controller, or "
                    "a cgroup above, with processes of its own, cannot hand it down"}};
}

bool is_second_version(const std::vector<std::string>& folders) {
  return !folders.empty() && has(folders.front(), "cgroup.controllers");
}

// v2: quota and period are one file. What is not said stays.
Result<void> set_cpu_time(const std::vector<std::string>& folders, const Resources& resources) {
  const Resources whole = with_whole_cpu_time(folders, resources);
  const std::string quota = *whole.cpu_quota_us < 0 ? "max" : std::to_string(*whole.cpu_quota_us);
  return set(folders, "cpu.max", quota + " " + std::to_string(*whole.cpu_period_us));
}

}  // namespace

Result<std::vector<std::string>> cgroup_folders(const std::string& path) {
  RUNHV_TRY_ASSIGN(const auto mounted, hierarchies());
  std::vector<std::string> folders;
  for (const Hierarchy& each : mounted) {
    fs::path inside = "/";
    if (!path.starts_with('/')) {
      // What a container sees as its root has a name of its own outside.
      std::string own = each.own;
      if (each.root != "/" && own.starts_with(each.root)) own.erase(0, each.root.size());
      // As runc has it: our own has a process, us, and so can hand no controller down.
      inside += each.is_second_version ? fs::path(own).parent_path() : fs::path(own);
    }
    inside += "/" + path;
    // From "/" on no ".." leads out.
    if (inside.lexically_normal() == "/") {
      return Fail{Error{Code::kInvalidArgument, "find the cgroups",
                        "linux.cgroupsPath is the root of them all; expected a place below"}};
    }
    folders.push_back(each.mounted_at + inside.lexically_normal().string());
    while (folders.back().ends_with('/')) folders.back().pop_back();
  }
  return folders;
}

Result<void> make_cgroups(const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) RUNHV_TRY(make_folder(folder));
  return {};
}

Result<void> enter_cgroups(const std::vector<std::string>& folders, std::uint64_t pid) {
  for (const std::string& folder : folders) {
    RUNHV_TRY(write(folder + "/cgroup.procs", std::to_string(pid)));
  }
  return {};
}

Result<void> limit_cgroups(const std::vector<std::string>& folders, const Resources& resources,
                           std::uint64_t guest_memory_bytes) {
  const bool v2 = is_second_version(folders);
  if (const auto limit = resources.memory_limit_bytes; limit && *limit != 0) {
    const std::string none = v2 ? "max" : "-1";
    RUNHV_TRY(set(folders, v2 ? "memory.max" : "memory.limit_in_bytes",
                  *limit < 0 ? none : std::to_string(guest_memory_bytes + kVmmOverheadBytes)));
  }
  if (const auto shares = resources.cpu_shares; shares && *shares != 0) {
    RUNHV_TRY(v2 ? set(folders, "cpu.weight", std::to_string(container::cpu_weight(*shares)))
                 : set(folders, "cpu.shares", std::to_string(*shares)));
  }
  const auto period = resources.cpu_period_us;
  const auto quota = resources.cpu_quota_us;
  if (v2) {
    if ((quota && *quota != 0) || (period && *period != 0)) {
      RUNHV_TRY(set_cpu_time(folders, resources));
    }
  } else {
    const auto set_period = [&]() -> Result<void> {
      if (!period || *period == 0) return {};
      return set(folders, "cpu.cfs_period_us", std::to_string(*period));
    };
    // With the quota as it is, a shorter one may be more than a cgroup above allows.
    const bool too_early = !set_period();
    if (quota && *quota != 0) RUNHV_TRY(set(folders, "cpu.cfs_quota_us", std::to_string(*quota)));
    if (too_early) RUNHV_TRY(set_period());
  }
  if (!resources.cpus.empty()) RUNHV_TRY(set(folders, "cpuset.cpus", resources.cpus));
  if (!resources.memory_nodes.empty()) {
    RUNHV_TRY(set(folders, "cpuset.mems", resources.memory_nodes));
  }
  return {};
}

Resources with_whole_cpu_time(const std::vector<std::string>& folders, Resources resources) {
  const bool has_quota = resources.cpu_quota_us.value_or(0) != 0;
  const bool has_period = resources.cpu_period_us.value_or(0) != 0;
  if (has_quota == has_period) return resources;
  std::int64_t quota = -1;
  std::uint64_t period = 100'000;  // the kernel's
  for (const std::string& folder : folders) {
    if (has(folder, "cpu.max")) {  // v2: "max 100000"
      std::ifstream file(folder + "/cpu.max");
      std::string first;
      file >> first >> period;
      if (first != "max") std::istringstream(first) >> quota;
    } else if (has(folder, "cpu.cfs_quota_us")) {
      std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
      std::ifstream(folder + "/cpu.cfs_period_us") >> period;
    }
  }
  if (!has_quota) resources.cpu_quota_us = quota;
  if (!has_period) resources.cpu_period_us = period;
  return resources;
}

std::vector<std::uint64_t> processes_in_cgroups(const std::vector<std::string>& folders) {
  std::set<std::uint64_t> found;
  for (const std::string& folder : folders) {
    std::ifstream file(folder + "/cgroup.procs");
    for (std::uint64_t pid = 0; file >> pid;) found.insert(pid);
  }
  return {found.begin(), found.end()};
}

std::optional<ProcessorTime> processor_time(const std::vector<std::string>& folders) {
  ProcessorTime time;
  const auto read = [](const std::string& path, std::uint64_t& value) {
    return static_cast<bool>(std::ifstream(path) >> value);
  };
  for (const std::string& folder : folders) {
    if (has(folder, "cgroup.controllers")) {
      std::ifstream file(folder + "/cpu.stat");
      std::uint64_t us = 0;
      bool found = false;
      for (std::string name; file >> name >> us;) {
        found = found || name == "usage_usec";
        if (name == "usage_usec") time.total_ns = us * 1000;
        if (name == "user_usec") time.user_ns = us * 1000;
        if (name == "system_usec") time.kernel_ns = us * 1000;
      }
      if (found) return time;
    } else if (read(folder + "/cpuacct.usage", time.total_ns) &&
               read(folder + "/cpuacct.usage_user", time.user_ns) &&
               read(folder + "/cpuacct.usage_sys", time.kernel_ns)) {
      return time;
    }
  }
  return std::nullopt;
}

Result<void> remove_cgroups(const std::vector<std::string>& folders) {
  const std::uint64_t deadline = platform::monotonic_ns() + kEndNs;
  for (const std::uint64_t pid : processes_in_cgroups(folders)) {
    RUNHV_TRY_ASSIGN(bool ended, wait_for_end(pid, deadline));
    if (ended) continue;
    platform::kill_process(pid);
    RUNHV_TRY_ASSIGN(ended, wait_for_end(pid, platform::monotonic_ns() + kEndNs));
  }
  for (const std::string& folder : folders) {
    std::error_code failure;
    fs::remove(folder, failure);
    if (failure) return Fail{platform::os_error("remove cgroup " + folder, failure.value())};
  }
  return {};
}

}  // namespace runhv::oci
