// linux.resources as files of the container's cgroup in the guest: what is about processes and the
// memory they share. What the machine is made of is the size of the VM and the host's cgroup.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "container/json_reader.h"
#include "runhv_agent.h"

namespace runhv::container {

// cgroups(7), version 2.
struct CgroupSetting {
  std::string file;   // no '/', begins with a letter
  std::string value;  // written at once
};

struct CgroupSettings {
  std::vector<CgroupSetting> files;
  // The devices that its processes may use; nullopt: as it is.
  std::optional<std::vector<runhv_device_rule>> devices;

  bool empty() const { return files.empty() && !devices; }
};

// What cpu.shares of 2..262144 is as cpu.weight of 1..10000; as runc has it.
std::uint64_t cpu_weight(std::uint64_t shares);

// In the order in which they are to be set.
CgroupSettings read_cgroup_settings(const JsonNode& resources);

// `json`: a linux.resources alone. `operation` is that of every error.
Result<CgroupSettings> parse_cgroup_settings(std::string_view json, const std::string& operation);

}  // namespace runhv::container
