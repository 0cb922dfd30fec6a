// An OCI bundle, read: config.json as three values, one for each that it describes.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "container/container_spec.h"
#include "container/process_spec.h"
#include "container/vm_shape.h"

namespace runhv::container {

inline constexpr std::size_t kMaxConfigBytes = 8u << 20;

struct Bundle {
  std::string oci_version;
  VmShape vm;
  ContainerSpec container;
  ProcessSpec process;                             // the first
  bool connect_stdin = true;                       // dev.runhv.stdin
  int stop_signal = 15;                            // dev.runhv.stop-signal; 1..64
  std::map<std::string, std::string> annotations;  // all of them
};

// `operation` is that of every error ("read /bundles/web/config.json"). `joins`: it is to be one
// more container of another's machine, whose namespaces for network, ipc and uts it may name by
// paths.
Result<Bundle> parse_bundle(std::string_view json, const std::string& operation,
                            Joins joins = Joins::kNothing);

// Reads and parses `folder`/config.json.
Result<Bundle> read_bundle(const std::string& folder, Joins joins = Joins::kNothing);
// What the bundle in `folder` shares, where its paths do not say so themselves.
void find_shares(const std::string& folder, Bundle& bundle);

}  // namespace runhv::container
