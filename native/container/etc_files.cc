#include "container/etc_files.h"

#include <string>
#include <utility>

#include "container/linux_abi.h"

namespace runhv::container {
namespace {

constexpr std::string_view kHosts =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

// hosts(5): the canonical name first. The address is Debian's for a host that has no other.
std::string own_name(const ContainerSpec& spec) {
  if (spec.hostname.empty()) return "";
  std::string line = "127.0.1.1\t";
  if (!spec.domainname.empty()) line += spec.hostname + "." + spec.domainname + " ";
  return line + spec.hostname + "\n";
}

}  // namespace

void add_etc(ContainerSpec& spec) {
  constexpr std::uint32_t kFile = linux_abi::kSIfreg | 0644u;
  constexpr std::uint32_t kLink = linux_abi::kSIflnk | 0777u;
  if (!spec.hostname.empty()) {
    spec.files.push_back({{kFile, 0}, "/etc/hostname", spec.hostname + "\n"});
  }
  spec.files.push_back({{kFile, 0}, "/etc/hosts", std::string(kHosts) + own_name(spec)});
  spec.files.push_back({{kFile, RUNHV_FILE_IF_MISSING}, "/etc/resolv.conf", ""});
  spec.files.push_back({{kLink, RUNHV_FILE_IF_MISSING}, "/etc/mtab", "/proc/mounts"});
}

}  // namespace runhv::container
