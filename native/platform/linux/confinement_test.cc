#include "platform/confinement.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "platform/child.h"
#include "platform/shown_files.h"

namespace runhv::platform {
namespace {

namespace fs = std::filesystem;

constexpr int kEndedBySigsys = 128 + SIGSYS;

// It is for good: each test is a child, as runhv-vmm begins.
class ConfinementTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kIsInstrumented) GTEST_SKIP() << "sanitizers need what it takes away";
    const ConfinementSupport support = confinement_support();
    if (support.has.find("seccomp") == std::string::npos) GTEST_SKIP() << support.lacks;
    char name[] = "/tmp/runhv-confinement-XXXXXX";
    folder_ = ::mkdtemp(name);
    std::ofstream(folder_ + "/outside") << "text";
    fs::create_directory(folder_ + "/kept");
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  Duties only_its_folder() const {
    Duties duties;
    duties.files = {{folder_ + "/kept", KeptPath::Access::kReadWrite}};
    return duties;
  }

  // The exit status of a process that does `work` confined. 100 and more: it came to no work.
  static int confined(const Duties& duties, const std::function<int()>& work) {
    const auto child = start_child([&](const Ready& ready) -> Result<int> {
      ready();
      // What the kernel says of an end by SIGSYS is no news here.
      ::prctl(PR_SET_DUMPABLE, 0);
      if (::freopen("/dev/null", "w", stderr) == nullptr) return 103;
      FirstThread first_thread;
      return first_thread.run([&] {
        const auto confinement = Confinement::prepare(duties);
        if (!confinement) return 100;
        if (!confinement->confine_other_threads()) return 101;
        const auto first = first_thread.do_there([&]() -> Result<void> {
          if (confinement->confine_this_thread() == 0) return {};
          return Fail{Error{Code::kHostFailed, "confine", ""}};
        });
        return first ? work() : 102;
      });
    });
    return child ? child->wait() : 104;
  }

  static bool has_landlock() {
    return confinement_support().has.find("Landlock") != std::string::npos;
  }

  std::string folder_;
};

TEST_F(ConfinementTest, WhatIsNotNeededEndsTheProcess) {
  const pid_t others = ::getppid();
  struct Attempt {
    const char* name;
    std::function<long()> act;
  };
  const std::vector<Attempt> attempts{
      {"run a program", [] { return ::execl("/bin/true", "true", nullptr); }},
      {"make a process", [] { return ::syscall(SYS_fork); }},
      {"make one as vfork does",
       [] { return ::syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0); }},
      {"make one by clone", [] { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
      {"make a thread in a user namespace",
       [] {
         return ::syscall(SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWUSER, 0, 0,
                          0, 0);
       }},
      {"trace", [&] { return ::ptrace(PTRACE_ATTACH, others, nullptr, nullptr); }},
      {"read another process",
       [&] { return ::syscall(SYS_process_vm_readv, others, nullptr, 0, nullptr, 0, 0); }},
      {"signal another process", [&] { return ::kill(others, 0); }},
      {"signal another's thread", [&] { return ::syscall(SYS_tgkill, others, others, 0); }},
      {"connect to the network", [] { return ::socket(AF_INET, SOCK_STREAM, 0); }},
      {"connect to a daemon", [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }},
      {"mount", [] { return ::mount("none", "/mnt", "tmpfs", 0, nullptr); }},
      {"make a namespace", [] { return ::unshare(CLONE_NEWUSER); }},
      {"enter a namespace", [] { return ::setns(0, CLONE_NEWNET); }},
      {"change its root", [] { return ::chroot("/"); }},
      {"change its user", [] { return ::setuid(0); }},
      {"make executable memory",
       [] {
         return reinterpret_cast<long>(
             ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
       }},
      {"make memory executable",
       [] {
         void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
       }},
      {"type into the terminal", [] { return ::ioctl(0, TIOCSTI, "x"); }},
      {"load a BPF program", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
      {"use io_uring", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
      {"use userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0); }},
      {"count performance", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, -1, 0); }},
      {"use keys", [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
      {"load a module", [] { return ::syscall(SYS_init_module, nullptr, 0, ""); }},
      {"open by handle", [] { return ::syscall(SYS_open_by_handle_at, 0, nullptr, 0); }},
      {"change a mode without shares", [] { return ::chmod("/tmp", 0777); }},
      {"share its descriptors no more", [] { return ::unshare(CLONE_FILES); }},
      {"raise another's limit", [&] { return ::prlimit(others, RLIMIT_NOFILE, nullptr, nullptr); }},
      {"become traceable", [] { return ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); }},
      {"use x32's calls", [] { return ::syscall(0x40000000 | SYS_getpid); }},
      {"catch the end", [] {
         std::signal(SIGSYS, SIG_IGN);
         return 0L;
       }}};
  for (const Attempt& attempt : attempts) {
    EXPECT_EQ(confined({}, [&] { return attempt.act() < 0 ? 1 : 2; }), kEndedBySigsys)
        << attempt.name;
  }
}

TEST_F(ConfinementTest, ThreadsFromBeforeAndFromThenOnAreConfined) {
  for (const bool before : {true, false}) {
    const auto child = start_child([&](const Ready& ready) -> Result<int> {
      ready();
      if (::freopen("/dev/null", "w", stderr) == nullptr) return 103;
      FirstThread first_thread;
      return first_thread.run([&] {
        std::atomic<bool> is_confined = false;
        const auto attempt = [&] {
          is_confined.wait(false);
          ::socket(AF_INET, SOCK_STREAM, 0);
        };
        std::thread thread;
        if (before) thread = std::thread(attempt);
        const auto confinement = Confinement::prepare({});
        if (!confinement || !confinement->confine_other_threads()) return 101;
        if (!before) thread = std::thread(attempt);
        is_confined = true;
        is_confined.notify_all();
        thread.join();
        return 0;
      });
    });
    ASSERT_TRUE(child.has_value());
    EXPECT_EQ(child->wait(), kEndedBySigsys) << before;
  }
}

TEST_F(ConfinementTest, WorkThatAProcessHasGoesOn) {
  const int status = confined(only_its_folder(), [&] {
    std::thread([] { std::vector<char> memory(8 << 20, 'x'); }).join();
    const std::string file = folder_ + "/kept/file";
    std::ofstream(file + ".new") << "text";
    if (::rename((file + ".new").c_str(), file.c_str()) != 0) return 1;
    std::string text;
    std::ifstream(file) >> text;
    if (text != "text") return 2;
    return ::unlink(file.c_str()) == 0 ? 0 : 3;
  });
  EXPECT_EQ(status, 0);
}

TEST_F(ConfinementTest, FilesThatWereNotGivenAreOutOfReach) {
  if (!has_landlock()) GTEST_SKIP() << confinement_support().lacks;
  const int status = confined(only_its_folder(), [&] {
    const auto refused = [](int result) { return result < 0 && errno == EACCES; };
    if (!refused(::open((folder_ + "/outside").c_str(), O_RDONLY))) return 1;
    if (!refused(::open((folder_ + "/outside").c_str(), O_WRONLY))) return 2;
    if (!refused(::open((folder_ + "/new").c_str(), O_WRONLY | O_CREAT, 0600))) return 3;
    if (!refused(::unlink((folder_ + "/outside").c_str()))) return 4;
    if (!refused(::open("/proc/self/mem", O_RDWR))) return 5;
    return refused(::open("/etc/hostname", O_RDONLY)) ? 0 : 6;
  });
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(fs::exists(folder_ + "/outside"));
}

TEST_F(ConfinementTest, NamesOfFoldersCanBeKeptAlone) {
  if (!has_landlock()) GTEST_SKIP() << confinement_support().lacks;
  Duties duties;
  duties.files = {{folder_, KeptPath::Access::kFolderNames}};
  const int status = confined(duties, [&] {
    if (::rename((folder_ + "/kept").c_str(), (folder_ + "/moved").c_str()) != 0) return 1;
    if (::rmdir((folder_ + "/moved").c_str()) != 0) return 2;
    return ::open((folder_ + "/outside").c_str(), O_RDONLY) < 0 ? 0 : 3;
  });
  EXPECT_EQ(status, 0);
}

// What the kernel says of this process's rights.
std::uint64_t effective_capabilities() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    if (word == "CapEff:") {
      file >> word;
      return std::strtoull(word.c_str(), nullptr, 16);
    }
  }
  return ~std::uint64_t{0};
}

TEST_F(ConfinementTest, CapabilitiesAreWhatTheDutiesNeed) {
  EXPECT_EQ(confined({}, [] { return effective_capabilities() == 0 ? 0 : 1; }), 0);
  if (::geteuid() != 0) GTEST_SKIP() << "the rest is for root, who has some";
  Duties network;
  network.keeps_network = true;
  EXPECT_EQ(confined(network,
                     [] {
                       const std::uint64_t one = std::uint64_t{1} << CAP_NET_ADMIN;
                       return effective_capabilities() == one ? 0 : 1;
                     }),
            0);
  Duties reading;
  reading.shares = Duties::Shares::kReadOnly;
  EXPECT_EQ(confined(reading,
                     [] {
                       const std::uint64_t one = std::uint64_t{1} << CAP_DAC_READ_SEARCH;
                       return effective_capabilities() == one ? 0 : 1;
                     }),
            0);
  Duties writing;
  writing.shares = Duties::Shares::kWritable;
  EXPECT_EQ(confined(writing,
                     [&] {
                       if ((effective_capabilities() >> CAP_SYS_ADMIN & 1) != 0) return 1;
                       return ::chmod((folder_ + "/outside").c_str(), 0600) == 0 ? 0 : 2;
                     }),
            0);
}

TEST_F(ConfinementTest, SocketsOfANetworkAreNoDaemons) {
  Duties duties;
  duties.keeps_network = true;
  EXPECT_EQ(confined(duties,
                     [] {
                       if (::socket(AF_NETLINK, SOCK_RAW, 0) < 0) return 1;
                       return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? 0
                                                                                             : 2;
                     }),
            0);
  // Of what is said to be a tap.
  EXPECT_EQ(confined(duties,
                     [] {
                       ifreq request{};
                       int bytes = 0;
                       return ::ioctl(0, TUNGETIFF, &request) < 0 &&
                                      ::ioctl(0, TUNGETVNETHDRSZ, &bytes) < 0
                                  ? 0
                                  : 1;
                     }),
            0);
  EXPECT_EQ(confined(duties, [] { return ::setns(0, CLONE_NEWNET) == 0 ? 1 : 2; }), kEndedBySigsys);
  duties.enters_network = true;
  EXPECT_EQ(confined(duties, [] { return ::setns(0, CLONE_NEWNET) < 0 ? 0 : 1; }), 0);
  EXPECT_EQ(confined(duties, [] { return ::setns(0, CLONE_NEWNS) < 0 ? 0 : 1; }), kEndedBySigsys);
}

TEST_F(ConfinementTest, APathThatIsNotThereIsAnErrorThatNamesIt) {
  if (!has_landlock()) GTEST_SKIP() << confinement_support().lacks;
  Duties duties;
  duties.files = {{folder_ + "/no such folder", KeptPath::Access::kRead}};
  const auto confinement = Confinement::prepare(duties);
  ASSERT_FALSE(confinement.has_value());
  EXPECT_EQ(confinement.error().code, Code::kNotFound);
  EXPECT_NE(confinement.error().operation.find("no such folder"), std::string::npos);
}

}  // namespace
}  // namespace runhv::platform
