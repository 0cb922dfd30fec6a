#include "platform/windows/utf16.h"

#include "gtest/gtest.h"

namespace runhv::platform {
namespace {

TEST(Utf16, GoesThereAndBack) {
  for (const char* text : {"", "abc", "\xc3\xa9\xe2\x82\xac", "\xf0\x9f\x90\xb3"}) {
    EXPECT_EQ(to_utf8(to_utf16(text)), text);
  }
  EXPECT_EQ(to_utf16("\xf0\x9f\x90\xb3"), L"\xD83D\xDC33");
}

TEST(Utf16, WhatIsNoTextIsMarked) {
  EXPECT_NE(to_utf16("a\xff"
                     "b")
                .find(L'\xFFFD'),
            std::wstring::npos);
  EXPECT_EQ(to_utf8(L"\xD83D"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace runhv::platform
