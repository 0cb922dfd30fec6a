#include "home.h"

#include <string>

#include "gtest/gtest.h"

namespace runhv::agent {
namespace {

std::string home(std::string_view file, std::uint32_t uid) {
  HomeSearch search(uid);
  // By single bytes: a line may come in any number of parts.
  for (const char& c : file) {
    if (!search.take(std::string_view(&c, 1))) break;
  }
  return std::string(search.end());
}

TEST(Home, IsOfTheFirstLineOfTheUser) {
  const std::string file =
      "root:x:0:0:root:/root:/bin/sh\n# none\nweb:x:33:33::/srv:\nalso:x:33:1::/other:\n"
      "last:x:4294967294:0::/last:/bin/sh";
  EXPECT_EQ(home(file, 0), "/root");
  EXPECT_EQ(home(file, 33), "/srv");
  EXPECT_EQ(home(file, 4294967294u), "/last");
  EXPECT_EQ(home(file, 3), "");
}

TEST(Home, WhatIsNoLineOfPasswdIsNone) {
  EXPECT_EQ(home("", 0), "");
  EXPECT_EQ(home("a:b:0:c:d:no/absolute/path:s\n", 0), "");
  EXPECT_EQ(home("a:b:0:c:d:/without a shell's colon\n", 0), "");
  EXPECT_EQ(home("a:b:00:c:d:/:s\n", 0), "");
  EXPECT_EQ(home(std::string(5000, 'a') + ":x:0:0::/long:s\na:x:0:0::/short:s\n", 0), "/short");
  EXPECT_EQ(home(std::string(kMaxPasswdBytes, '\n') + "a:x:0:0::/late:s\n", 0), "");
}

}  // namespace
}  // namespace runhv::agent
