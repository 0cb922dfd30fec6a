#include "resolver.h"

#include <netinet/in.h>
#include <string.h>

#include "bpf.h"
#include "sys.h"
#include "vsock.h"

namespace runhv::agent {
namespace {

constexpr std::size_t kDnsHeaderBytes = 12;  // RFC 1035 §4.1.1; the first two are the number
constexpr int kQueriesAtOnce = 16;
constexpr const char* kCgroups = "/resolver";

constexpr std::uint16_t swapped(std::uint16_t value) { return __builtin_bswap16(value); }

// ---- whoever connects or sends to one port of the address comes to another one, and believes it
// to be the one that it has named: BPF_PROG_TYPE_CGROUP_SOCK_ADDR, for every process of the guest.
class Program {
 public:
  // Numbers are in network order. `six`: sockets of IPv6, to which the address is one in IPv4.
  Program(bool six, std::uint32_t address, std::uint16_t from, std::uint16_t to) {
    if (six) {
      const std::uint32_t words[] = {0, 0, __builtin_bswap32(0xffff), address};
      for (std::size_t i = 0; i < 4; ++i) {
        expect(offsetof(bpf_sock_addr, user_ip6) + i * sizeof words[i], words[i]);
      }
    } else {
      expect(offsetof(bpf_sock_addr, user_ip4), address);
    }
    expect(offsetof(bpf_sock_addr, user_port), from);
    add(BPF_ALU | BPF_MOV | BPF_K, kValue, 0, 0, to);
    add(BPF_STX | BPF_MEM | BPF_W, kContext, kValue, offsetof(bpf_sock_addr, user_port), 0);
    for (std::size_t i = 0; i < size_; ++i) {
      if (code_[i].code == kUnless) code_[i].off = static_cast<std::int16_t>(size_ - i - 1);
    }
    add(BPF_ALU | BPF_MOV | BPF_K, kResult, 0, 0, 1);  // allowed
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }

  long attach(int cgroup, std::uint32_t where) const {
    bpf_attr attributes = {};
    attributes.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    attributes.expected_attach_type = where;
    attributes.insns = reinterpret_cast<std::uintptr_t>(code_);
    attributes.insn_cnt = static_cast<std::uint32_t>(size_);
    attributes.license = reinterpret_cast<std::uintptr_t>("Apache-2.0");
    const long program = sys::bpf(BPF_PROG_LOAD, &attributes, sizeof attributes);
    if (program < 0) return program;
    bpf_attr attachment = {};
    attachment.target_fd = static_cast<std::uint32_t>(cgroup);
    attachment.attach_bpf_fd = static_cast<std::uint32_t>(program);
    attachment.attach_type = where;
    attachment.attach_flags = BPF_F_ALLOW_MULTI;
    const long result = sys::bpf(BPF_PROG_ATTACH, &attachment, sizeof attachment);
    sys::close(static_cast<int>(program));
    return result;
  }

 private:
  static constexpr std::uint8_t kResult = 0, kContext = 1, kValue = 2;  // registers
  static constexpr std::uint8_t kUnless = BPF_JMP32 | BPF_JNE | BPF_K;  // to the end

  void add(int code, std::uint8_t to, std::uint8_t from, std::size_t offset, std::uint32_t value) {
    code_[size_++] = bpf_instruction(code, to, from, offset, value);
  }
  void expect(std::size_t offset, std::uint32_t value) {
    add(BPF_LDX | BPF_MEM | BPF_W, kValue, kContext, offset, 0);
    add(kUnless, kValue, 0, 0, value);
  }

  bpf_insn code_[16];
  std::size_t size_ = 0;
};

bool redirect(std::uint32_t address, std::uint16_t port, std::uint16_t ours, Failure& failure) {
  sys::mkdir(kCgroups, 0700);
  long result = sys::mount("cgroup2", kCgroups, "cgroup2", 0, nullptr);
  if (result < 0) return failure.set(result, "mount the cgroups");
  const int root = sys::open(kCgroups, O_RDONLY | O_DIRECTORY);
  const Program forth[] = {{false, address, port, ours}, {true, address, port, ours}};
  const Program back[] = {{false, address, ours, port}, {true, address, ours, port}};
  const struct {
    const Program& program;
    std::uint32_t where;
  } all[] = {{forth[0], BPF_CGROUP_INET4_CONNECT}, {forth[0], BPF_CGROUP_UDP4_SENDMSG},
             {back[0], BPF_CGROUP_UDP4_RECVMSG},   {forth[1], BPF_CGROUP_INET6_CONNECT},
             {forth[1], BPF_CGROUP_UDP6_SENDMSG},  {back[1], BPF_CGROUP_UDP6_RECVMSG}};
  result = root < 0 ? root : 0;
  for (const auto& each : all) {
    if (result == 0) result = each.program.attach(root, each.where);
  }
  if (root >= 0) sys::close(root);
  sys::umount(kCgroups);
  return result == 0 || failure.set(result, "lead the resolver's address to the agent");
}

int bound_socket(int type, const sockaddr_in& address) {
  const int socket = sys::socket(AF_INET, type | SOCK_NONBLOCK);
  if (socket < 0) return socket;
  // The loopback interface may not be up yet.
  const int yes = 1;
  long result = sys::setsockopt(socket, IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes);
  if (result == 0) result = sys::bind(socket, &address, sizeof address);
  if (result == 0 && type == SOCK_STREAM) result = sys::listen(socket, Resolver::kStreams);
  if (result == 0) return socket;
  sys::close(socket);
  return static_cast<int>(result);
}

}  // namespace

bool Resolver::open(const runhv_resolver& resolver, Failure& failure) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  memcpy(&address.sin_addr, resolver.address, sizeof address.sin_addr);
  datagrams_ = bound_socket(SOCK_DGRAM, address);
  if (datagrams_ < 0) return failure.set(datagrams_, "listen for the resolver");
  sys::getsockname(datagrams_, &address, sizeof address);
  listener_ = bound_socket(SOCK_STREAM, address);
  if (listener_ < 0) return failure.set(listener_, "listen for the resolver");
  connection_ = vsock_connect(RUNHV_RESOLVER_DATAGRAM_PORT, SOCK_NONBLOCK);
  if (connection_ < 0) return failure.set(connection_, "connect the resolver");
  return redirect(address.sin_addr.s_addr, swapped(resolver.port), address.sin_port, failure);
}

void Resolver::watch(int epoll, std::uint32_t first_token) {
  epoll_ = epoll;
  first_token_ = first_token;
  // Edge-triggered: everything moves until one side says EAGAIN, whichever it is.
  epoll_event event = {};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u32 = first_token;
  if (datagrams_ >= 0) sys::epoll_ctl(epoll, EPOLL_CTL_ADD, datagrams_, &event);
  if (connection_ >= 0) sys::epoll_ctl(epoll, EPOLL_CTL_ADD, connection_, &event);
  event.events = EPOLLIN;
  event.data.u32 = first_token + 1;
  if (listener_ >= 0) sys::epoll_ctl(epoll, EPOLL_CTL_ADD, listener_, &event);
}

void Resolver::on_event(std::uint32_t token) {
  if (token == 0) return move_datagrams();
  if (token == 1) return accept();
  streams_[(token - 2) / Streams::kLanes].move(0);
}

bool Resolver::busy() const {
  for (const Streams& each : streams_) {
    if (each.busy()) return true;
  }
  return busy_;
}

void Resolver::go_on() {
  if (busy_) move_datagrams();
  for (Streams& each : streams_) {
    if (each.busy()) each.move(0);
  }
}

// ---- datagrams: one connection to the host for all, with a length before each
void Resolver::move_datagrams() {
  if (connection_ < 0) return;
  const bool more_queries = move_queries();
  const bool more_answers = connection_ >= 0 && move_answers();
  busy_ = more_queries || more_answers;
}

// True: there may be more.
bool Resolver::move_queries() {
  for (int step = 0; step < kQueriesAtOnce; ++step) {
    if (first_ == last_ && !take_query()) return false;
    const long put = sys::send(connection_, outgoing_ + first_, last_ - first_, MSG_DONTWAIT);
    if (put == -EINTR) continue;
    if (put == -EAGAIN || put == -ENOTCONN) return false;
    if (put < 0) {
      close_datagrams();
      return false;
    }
    first_ += static_cast<std::size_t>(put);
  }
  return true;
}

// False: there is none.
bool Resolver::take_query() {
  for (;;) {
    sockaddr_in from = {};
    std::byte* const datagram = outgoing_ + 2;
    const long size = sys::recvfrom(datagrams_, datagram, RUNHV_MAX_RESOLVER_DATAGRAM,
                                    MSG_DONTWAIT | MSG_TRUNC, &from, sizeof from);
    if (size == -EAGAIN) return false;
    // One that is none, or too long, is lost, as an error of an earlier answer is.
    if (size < static_cast<long>(kDnsHeaderBytes) || size > RUNHV_MAX_RESOLVER_DATAGRAM) continue;
    const std::uint16_t number = next_number_++;
    Query& query = queries_[number % kQueries];
    query = {from.sin_addr.s_addr, from.sin_port, 0, number, true};
    memcpy(&query.own_number, datagram, sizeof query.own_number);
    memcpy(datagram, &number, sizeof number);
    const auto length = static_cast<std::uint16_t>(size);
    memcpy(outgoing_, &length, sizeof length);
    first_ = 0;
    last_ = sizeof length + length;
    return true;
  }
}

// True: there may be more.
bool Resolver::move_answers() {
  for (int step = 0; step < kQueriesAtOnce; ++step) {
    const long got =
        sys::recv(connection_, incoming_ + have_, sizeof incoming_ - have_, MSG_DONTWAIT);
    if (got == -EINTR) continue;
    if (got == -EAGAIN || got == -ENOTCONN) return false;
    if (got <= 0) {
      close_datagrams();
      return false;
    }
    have_ += static_cast<std::size_t>(got);
    give_answers();
  }
  return true;
}

void Resolver::give_answers() {
  std::uint16_t length;
  while (have_ >= sizeof length) {
    memcpy(&length, incoming_, sizeof length);
    if (length > RUNHV_MAX_RESOLVER_DATAGRAM) return close_datagrams();
    const std::size_t size = sizeof length + length;
    if (have_ < size) return;
    std::byte* const datagram = incoming_ + sizeof length;
    std::uint16_t number = 0;
    if (length >= kDnsHeaderBytes) memcpy(&number, datagram, sizeof number);
    Query& query = queries_[number % kQueries];
    if (length >= kDnsHeaderBytes && query.waits && query.number == number) {
      query.waits = false;
      memcpy(datagram, &query.own_number, sizeof query.own_number);
      sockaddr_in to = {};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = query.address;
      to.sin_port = query.port;
      // Whoever asked may have gone.
      sys::sendto(datagrams_, datagram, length, MSG_DONTWAIT, &to, sizeof to);
    }
    have_ -= size;
    memmove(incoming_, incoming_ + size, have_);
  }
}

void Resolver::close_datagrams() {
  if (connection_ >= 0) sys::close(connection_);
  connection_ = -1;
}

// ---- connections: each has one to the host, and bytes go both ways as a terminal's do
void Resolver::accept() {
  for (;;) {
    const int socket = sys::accept(listener_, SOCK_NONBLOCK);
    if (socket < 0) return;
    Streams* free = nullptr;
    std::uint32_t token = first_token_ + 2;
    for (Streams& each : streams_) {
      if (each.finished()) {
        free = &each;
        break;
      }
      token += Streams::kLanes;
    }
    if (free == nullptr) {
      sys::close(socket);
      continue;
    }
    free->close();  // what the last connection has left
    runhv_stdio how = {};
    how.stdin_port = RUNHV_RESOLVER_STREAM_PORT;
    how.flags = RUNHV_STDIO_TERMINAL;
    Failure failure;
    const bool opened = free->open(how, {}, failure);
    free->set_terminal(socket);
    if (!opened) {
      free->close();
      continue;
    }
    free->watch(epoll_, token);
  }
}

}  // namespace runhv::agent
