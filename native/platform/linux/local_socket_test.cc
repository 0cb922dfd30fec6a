#include "platform/local_socket.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "platform/file.h"
#include "testing/files.h"

namespace runhv::platform {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

std::size_t open_handles() {
  std::size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

// Two handles of one file?
bool same_file(OsHandle a, OsHandle b) {
  struct stat first {};
  struct stat second {};
  return ::fstat(static_cast<int>(a), &first) == 0 && ::fstat(static_cast<int>(b), &second) == 0 &&
         first.st_ino == second.st_ino && first.st_dev == second.st_dev;
}

class LinuxLocalSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "runhv-socket-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop) << to_string(loop.error());
    loop_ = *std::move(loop);
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

  std::string folder_;
  std::unique_ptr<EventLoop> loop_;
};

TEST_F(LinuxLocalSocketTest, PathsMayBeLongerThanAnAddress) {
  std::string folder = folder_;
  for (int i = 0; i < 4; ++i) {
    folder += "/" + std::string(100, 'x');
    ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  }
  const std::string name(64, 'n');
  auto listener = LocalListener::bind(folder, name);
  ASSERT_TRUE(listener) << to_string(listener.error());
  EXPECT_TRUE(LocalConnection::connect(folder + "/" + name));
  EXPECT_TRUE(listener->accept()->has_value());
}

TEST_F(LinuxLocalSocketTest, ANameLeftBehindIsTaken) {
  const std::string path = folder_ + "/control";
  if (::fork() == 0) {
    auto killed = LocalListener::bind(folder_, "control");
    ::_exit(killed ? 0 : 1);
  }
  int status = 1;
  ASSERT_GT(::wait(&status), 0);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(file_exists(path));
  const Error error = LocalConnection::connect(path).error();
  EXPECT_EQ(error.code, Code::kNotFound);
  EXPECT_EQ(error.os_code, ECONNREFUSED);
  EXPECT_TRUE(LocalListener::bind(folder_, "control"));

  ASSERT_TRUE(testing::write_file(path, as_bytes("no socket")));
  EXPECT_EQ(LocalListener::bind(folder_, "control").error().code, Code::kConflict);
  EXPECT_TRUE(file_exists(path)) << "what is no socket is not ours to delete";
}

TEST_F(LinuxLocalSocketTest, AFolderThatOthersMayEnterIsRefused) {
  ASSERT_EQ(::chmod(folder_.c_str(), 0711), 0);
  EXPECT_EQ(LocalListener::bind(folder_, "control").error().code, Code::kAccessDenied);
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
  ASSERT_EQ(::symlink(folder_.c_str(), (folder_ + "/link").c_str()), 0);
  EXPECT_FALSE(LocalListener::bind(folder_ + "/link", "control"));
  EXPECT_EQ(LocalListener::bind(folder_ + "/none", "control").error().code, Code::kNotFound);
  EXPECT_EQ(LocalConnection::connect(folder_ + "/").error().code, Code::kInvalidArgument);
}

TEST_F(LinuxLocalSocketTest, PeersOfOtherUsersAreTurnedAway) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  auto listener = LocalListener::bind(folder_, "control");
  ASSERT_TRUE(listener);
  // As if somebody had opened the folder.
  ASSERT_EQ(::chmod(folder_.c_str(), 0711), 0);
  ASSERT_EQ(::chmod((folder_ + "/control").c_str(), 0777), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s/control", folder_.c_str());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const bool connected =
        ::setresuid(65534, 65534, 65534) == 0 &&
        ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    char byte;
    ::_exit(connected && ::read(socket, &byte, 1) == 0 ? 0 : 1);
  }
  ASSERT_TRUE(listener->bind(*loop_));
  bool tried = false;
  listener->on_connection([&] {
    tried = true;
    EXPECT_FALSE(listener->accept()->has_value());
    loop_->stop();
  });
  ASSERT_TRUE(loop_->run());
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "it saw something else than the end";
  EXPECT_TRUE(tried);
}

TEST_F(LinuxLocalSocketTest, AListenerOfAnotherUserIsNotTrusted) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
  // The child is user 65533; the listener belongs to user 65534.
  const pid_t child = ::fork();
  if (child == 0) {
    if (::seteuid(65534) != 0) ::_exit(2);
    const std::string own = folder_ + "/own";
    if (::mkdir(own.c_str(), 0700) != 0) ::_exit(3);
    auto listener = LocalListener::bind(own, "control");
    if (!listener) ::_exit(4);
    if (::seteuid(0) != 0 || ::chmod(own.c_str(), 0777) != 0 ||
        ::chmod((own + "/control").c_str(), 0777) != 0) {
      ::_exit(5);
    }
    if (!LocalConnection::connect(own + "/control")) ::_exit(6);  // root talks to everybody
    if (::setresuid(65533, 65533, 65533) != 0) ::_exit(7);
    const auto connection = LocalConnection::connect(own + "/control");
    ::_exit(!connection && connection.error().code == Code::kAccessDenied ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(LinuxLocalSocketTest, AQueueThatIsFullIsAnErrorAndNoWait) {
  auto listener = LocalListener::bind(folder_, "control");
  ASSERT_TRUE(listener);
  std::vector<LocalConnection> waiting;
  Code code = Code::kHostFailed;
  for (int i = 0; i < 1000; ++i) {
    auto connection = LocalConnection::connect(folder_ + "/control");
    if (!connection) {
      code = connection.error().code;
      break;
    }
    waiting.push_back(*std::move(connection));
  }
  EXPECT_EQ(code, Code::kConflict);
}

TEST_F(LinuxLocalSocketTest, HandlesArriveWithTheFirstByteAndAreClosedOnExec) {
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends);
  auto& [near, far] = *ends;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const UniqueHandle reader(pipe[0]), writer(pipe[1]);
  const std::array<OsHandle, 2> sent{reader.get(), writer.get()};
  EXPECT_EQ(near.write(as_bytes("plain")).bytes, 5u);
  EXPECT_EQ(near.send(as_bytes("ab"), sent).bytes, 2u);
  EXPECT_EQ(near.write(as_bytes("after")).bytes, 5u);

  std::array<std::byte, 64> buffer{};
  std::vector<UniqueHandle> handles;
  EXPECT_EQ(far.receive(std::span(buffer).first(5), handles).bytes, 5u);
  EXPECT_THAT(handles, IsEmpty());
  EXPECT_EQ(far.receive(std::span(buffer).first(1), handles).bytes, 1u);
  ASSERT_THAT(handles, SizeIs(2));
  std::size_t rest = 0;
  while (rest < 6) {
    const IoResult result = far.receive(buffer, handles);
    ASSERT_EQ(result.status, IoStatus::kDone);
    rest += result.bytes;
  }
  ASSERT_THAT(handles, SizeIs(2));
  // Bytes before them may come with them, but none after.
  EXPECT_EQ(near.write(as_bytes("plain")).bytes, 5u);
  EXPECT_EQ(near.send(as_bytes("ab"), std::span(sent).first(1)).bytes, 2u);
  EXPECT_EQ(near.write(as_bytes("after")).bytes, 5u);
  rest = 0;
  while (handles.size() < 3) rest += far.receive(buffer, handles).bytes;
  EXPECT_GE(rest, 6u);
  EXPECT_LE(rest, 7u);
  while (rest < 12) rest += far.receive(buffer, handles).bytes;

  EXPECT_TRUE(same_file(handles[1].get(), writer.get()));
  for (const UniqueHandle& each : handles) {
    EXPECT_NE(::fcntl(static_cast<int>(each.get()), F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(far.receive(buffer, handles).status, IoStatus::kWouldBlock);
}

TEST_F(LinuxLocalSocketTest, TooManyHandlesAreRefusedAndNoneIsLeftOpen) {
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends);
  auto& [near, far] = *ends;
  std::vector<UniqueHandle> handles;
  std::array<std::byte, 8> buffer{};

  // What our own send() would not do.
  UniqueHandle socket = std::move(near).release();
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(20 * sizeof(int))> space{};
  iovec part{buffer.data(), 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  cmsghdr* control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(20 * sizeof(int));
  for (std::size_t i = 0; i < 20; ++i) {
    const int file = 2;
    std::memcpy(CMSG_DATA(control) + i * sizeof file, &file, sizeof file);
  }
  const std::size_t before = open_handles();
  ASSERT_EQ(::sendmsg(static_cast<int>(socket.get()), &message, 0), 1);
  const IoResult result = far.receive(buffer, handles);
  EXPECT_EQ(result.status, IoStatus::kFailed);
  EXPECT_EQ(result.os_code, EMSGSIZE);
  EXPECT_THAT(handles, IsEmpty());
  EXPECT_EQ(open_handles(), before);

  // Nor where nobody asked for them.
  control->cmsg_len = CMSG_LEN(sizeof(int));
  message.msg_controllen = CMSG_SPACE(sizeof(int));
  ASSERT_EQ(::sendmsg(static_cast<int>(socket.get()), &message, 0), 1);
  EXPECT_EQ(far.read(buffer).bytes, 1u);
  EXPECT_EQ(open_handles(), before);
}

TEST_F(LinuxLocalSocketTest, NoRoomForHandlesIsSaidAndNoneIsLeftOpen) {
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends);
  auto& [near, far] = *ends;
  const std::array<OsHandle, 3> sent{0, 1, 2};
  ASSERT_EQ(near.send(as_bytes("x"), sent).bytes, 1u);
  const std::size_t before = open_handles();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit kept = limit;
  const int next = ::dup(2);  // room for this one only
  ::close(next);
  limit.rlim_cur = static_cast<rlim_t>(next) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::array<std::byte, 8> buffer{};
  std::vector<UniqueHandle> handles;
  const IoResult result = far.receive(buffer, handles);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &kept), 0);
  EXPECT_EQ(result.status, IoStatus::kFailed);
  EXPECT_EQ(result.os_code, EMFILE);
  EXPECT_THAT(handles, IsEmpty());
  EXPECT_EQ(open_handles(), before);
}

TEST_F(LinuxLocalSocketTest, AConnectionBecomesAStreamAndAHandleAConnection) {
  auto ends = LocalConnection::pair();
  ASSERT_TRUE(ends && ends->first.bind(*loop_));
  ends->first.on_readable([] { FAIL() << "it is released"; });
  auto stream = Stream::adopt_owned(std::move(ends->first).release(), true);
  auto again = LocalConnection::adopt_owned(std::move(ends->second).release());
  ASSERT_TRUE(stream && again);
  EXPECT_EQ(again->write(as_bytes("hello")).bytes, 5u);
  ASSERT_TRUE(loop_->run_once(0));
  std::array<std::byte, 8> buffer{};
  EXPECT_EQ(stream->read(buffer).bytes, 5u);

  UniqueHandle file(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(LocalConnection::adopt_owned(std::move(file)));
}

TEST_F(LinuxLocalSocketTest, AHundredClientsAreServed) {
  auto listener = LocalListener::bind(folder_, "control");
  ASSERT_TRUE(listener && listener->bind(*loop_));
  std::vector<LocalConnection> clients, served;
  served.reserve(100);
  std::size_t answered = 0;
  const std::function<void()> accept_all = [&] {
    while (true) {
      auto connection = listener->accept();
      ASSERT_TRUE(connection);
      if (!connection->has_value()) break;
      served.push_back(**std::move(connection));
      LocalConnection& last = served.back();
      ASSERT_TRUE(last.bind(*loop_));
      last.on_readable([&] {
        std::array<std::byte, 8> buffer{};
        EXPECT_EQ(last.read(buffer).bytes, 1u);
        if (++answered == 100) loop_->stop();
      });
    }
    listener->on_connection(accept_all);
  };
  listener->on_connection(accept_all);
  for (int i = 0; i < 100; ++i) {
    auto client = LocalConnection::connect(folder_ + "/control");
    ASSERT_TRUE(client) << to_string(client.error());
    ASSERT_EQ(client->write(as_bytes("x")).status, IoStatus::kDone);
    clients.push_back(*std::move(client));
  }
  ASSERT_TRUE(loop_->run());
  EXPECT_THAT(served, SizeIs(100));
}

}  // namespace
}  // namespace runhv::platform
