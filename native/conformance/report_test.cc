#include "conformance/report.h"

#include <cstdio>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"
#include "platform/random_name.h"

namespace runhv::conformance {
namespace {

void nothing() {}

const Case kFirst{"Group", "First", Mark::kDocumented, "the \"header\"", &nothing};
const Case kSecond{"Group", "Second", Mark::kBelieved, "no source", &nothing};

class ReportTest : public ::testing::Test {
 protected:
  void TearDown() override { std::remove(path_.c_str()); }
  std::string text() {
    std::ifstream file(path_);
    std::stringstream words;
    words << file.rdbuf();
    return words.str();
  }
  bool tells(const std::string& words) { return text().find(words) != std::string::npos; }

  const std::string path_ =
      ::testing::TempDir() + "conformance-report-" + platform::random_name<8>() + ".json";
};

TEST_F(ReportTest, Counts) {
  Report report("", "a system", {&kFirst, &kSecond});
  report.begin(0);
  report.end(0, {});
  report.begin(1);
  report.end(1, {.failures = {}, .skipped = "not here"});
  EXPECT_EQ(report.count("passed"), 1u);
  EXPECT_EQ(report.count("skipped"), 1u);
  EXPECT_EQ(report.count("failed"), 0u);
}

TEST_F(ReportTest, IsWholeAtEveryMoment) {
  Report report(path_, "Windows 10.0.1", {&kFirst, &kSecond});
  report.begin(0);
  // As it would be found if the case took the machine with it.
  EXPECT_TRUE(tells("\"outcome\": \"not finished\""));
  EXPECT_TRUE(tells("\"outcome\": \"not run\""));
  EXPECT_TRUE(text().ends_with("\n]}\n"));
  report.hung(0);
  EXPECT_TRUE(tells("\"outcome\": \"hung\""));
  EXPECT_TRUE(report.is_written());
}

TEST_F(ReportTest, TellsWhatFailedAndWhoSaysSo) {
  Report report(path_, "Windows 10.0.1", {&kFirst, &kSecond});
  report.begin(0);
  report.end(0, {.failures = {"a.cc:1: x", "a.cc:2: y"}, .skipped = ""});
  EXPECT_TRUE(tells("\"system\": \"Windows 10.0.1\""));
  EXPECT_TRUE(
      tells("\"mark\": \"documented\", \"source\": \"the \\\"header\\\"\", \"outcome\": "
            "\"failed\", \"detail\": \"a.cc:1: x\\u000aa.cc:2: y\""));
}

TEST_F(ReportTest, ThatCannotBeWrittenIsTold) {
  Report report("/not/there/report.json", "a system", {&kFirst});
  report.begin(0);
  EXPECT_FALSE(report.is_written());
}

}  // namespace
}  // namespace runhv::conformance
