#include "vsock.h"

#include "sys.h"
// After <sys/socket.h>, which defines sa_family_t.
#include <linux/vm_sockets.h>

namespace runhv::agent {

int vsock_connect(std::uint32_t port, int flags) {
  const int connection = sys::socket(AF_VSOCK, SOCK_STREAM | flags);
  if (connection < 0) return connection;
  sockaddr_vm address = {};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_HOST;
  address.svm_port = port;
  const long result = sys::connect(connection, &address, sizeof address);
  if (result == 0 || (result == -EINPROGRESS && (flags & SOCK_NONBLOCK) != 0)) return connection;
  sys::close(connection);
  return static_cast<int>(result);
}

}  // namespace runhv::agent
