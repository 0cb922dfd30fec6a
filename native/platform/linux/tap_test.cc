#include "platform/tap.h"

#include <cstring>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

std::string complaint(UniqueHandle handle) {
  const auto tap = Tap::adopt_owned(std::move(handle));
  return tap ? "accepted" : to_string(tap.error());
}

UniqueHandle copy_of(OsHandle handle) { return UniqueHandle(::dup(static_cast<int>(handle))); }

// As Tap::create() makes one, but for these flags.
UniqueHandle interface_of(int flags) {
  UniqueHandle handle(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  ifreq request{};
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(static_cast<int>(handle.get()), TUNSETIFF, &request) != 0) handle.reset();
  return handle;
}

TEST(TapTest, WhatIsNoneIsRefused) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(complaint(UniqueHandle(ends[0])), "take a tap: the descriptor is none");
  EXPECT_EQ(complaint(UniqueHandle()), "take a tap: the descriptor is none");
  ::close(ends[1]);
}

TEST(TapTest, OneOfOurFormIsHandedOnAndNoOther) {
  const auto made = Tap::create("runhv-tap-test");
  if (!made) GTEST_SKIP() << "no tap can be made here: " << to_string(made.error());
  EXPECT_EQ(complaint(copy_of(made->handle())), "accepted");

  const std::string other = "take a tap: its frames are not those of Tap::create()";
  EXPECT_EQ(complaint(interface_of(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)), other);
  EXPECT_EQ(complaint(interface_of(IFF_TAP | IFF_NO_PI)), other);
  EXPECT_EQ(complaint(interface_of(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)), other)
      << "its header has ten bytes until another size is set";
  const int number = static_cast<int>(made->handle());
  ASSERT_EQ(::fcntl(number, F_SETFL, ::fcntl(number, F_GETFL) & ~O_NONBLOCK), 0);
  EXPECT_EQ(complaint(copy_of(made->handle())), other) << "a read of it would wait";
}

}  // namespace
}  // namespace runhv::platform
