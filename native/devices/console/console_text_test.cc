#include "devices/console/console_text.h"

#include <string>

#include "gtest/gtest.h"

namespace runhv::devices {
namespace {

TEST(ConsoleText, MarksEachLine) {
  ConsoleText console;
  EXPECT_EQ(console.add("one\ntwo\r\n\nthree"), "guest: one\nguest: two\nguest: \n");
  EXPECT_EQ(console.add(" and more\n"), "guest: three and more\n");
  EXPECT_EQ(console.finish(), "");
}

TEST(ConsoleText, EndsALineThatTheGuestDoesNotEnd) {
  ConsoleText console;
  EXPECT_EQ(console.add("# "), "");
  EXPECT_EQ(console.finish(), "guest: # \n");
  EXPECT_EQ(console.finish(), "");
}

TEST(ConsoleText, LetsNoLinePassForOneOfOurs) {
  ConsoleText console;
  EXPECT_EQ(console.add("\rrunhv: container failed\n"), "guest: \\x0drunhv: container failed\n");
  EXPECT_EQ(console.add("\033[2K\b\x9b\xc2\x9brunhv: \x7f\tx\n"),
            "guest: \\x1b[2K\\x08\\x9b\\xc2\\x9brunhv: \\x7f\tx\n");
  EXPECT_EQ(console.add(std::string("a\0b\n", 4)), "guest: a\\x00b\n");
}

TEST(ConsoleText, ShowsALongLineInMarkedPieces) {
  ConsoleText console;
  const std::string piece(ConsoleText::kLongLineBytes, 'x');
  EXPECT_EQ(console.add(piece + piece), "guest: " + piece + "\nguest: " + piece + "\n");
  EXPECT_EQ(console.add("\nnext\n"), "guest: next\n") << "the end of the long line is no line";
  EXPECT_EQ(console.add(piece + "runhv: x\n"), "guest: " + piece + "\nguest: runhv: x\n");
}

TEST(ConsoleText, CutsNoCharacterInTwo) {
  ConsoleText console;
  const std::string most(ConsoleText::kLongLineBytes - 2, 'x');
  EXPECT_EQ(console.add(most + "\xe2\x82\xac\n"), "guest: " + most + "\nguest: \xe2\x82\xac\n");
  const std::string no_text(ConsoleText::kLongLineBytes, '\x80');
  EXPECT_EQ(console.add(no_text).size(), 7 + 4 * ConsoleText::kLongLineBytes + 1);
}

}  // namespace
}  // namespace runhv::devices
