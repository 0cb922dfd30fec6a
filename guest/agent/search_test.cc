#include "search.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace runhv::agent {
namespace {

struct Files {
  std::map<std::string, long> errors;  // absent = ENOENT
  std::vector<std::string> tried;

  long search(std::string_view name, std::string_view path) {
    return search_program(name, path, [this](const char* candidate) {
      tried.emplace_back(candidate);
      const auto found = errors.find(candidate);
      return found == errors.end() ? -ENOENT : found->second;
    });
  }
};

TEST(SearchTest, TriesEachFolderInOrder) {
  Files files;
  EXPECT_EQ(files.search("sh", "/usr/bin:/bin"), -ENOENT);
  EXPECT_EQ(files.tried, (std::vector<std::string>{"/usr/bin/sh", "/bin/sh"}));
}

TEST(SearchTest, EmptyElementIsTheWorkingDirectory) {
  Files files;
  EXPECT_EQ(files.search("sh", ":/bin:"), -ENOENT);
  EXPECT_EQ(files.tried, (std::vector<std::string>{"sh", "/bin/sh", "sh"}));
}

TEST(SearchTest, NameWithSlashIsTriedAsItIs) {
  Files files;
  EXPECT_EQ(files.search("./run", "/bin"), -ENOENT);
  EXPECT_EQ(files.search("/opt/run", "/bin"), -ENOENT);
  EXPECT_EQ(files.tried, (std::vector<std::string>{"./run", "/opt/run"}));
}

TEST(SearchTest, EmptyNameIsNotFound) {
  Files files;
  EXPECT_EQ(files.search("", "/bin"), -ENOENT);
  EXPECT_TRUE(files.tried.empty());
}

TEST(SearchTest, DeniedIsToldOnlyWhenNothingElseRuns) {
  Files files;
  files.errors = {{"/a/x", -EACCES}};
  EXPECT_EQ(files.search("x", "/a:/b"), -EACCES);
  EXPECT_EQ(files.tried.size(), 2u);
}

TEST(SearchTest, FileThatIsNoProgramEndsTheSearch) {
  Files files;
  files.errors = {{"/a/x", -ENOEXEC}};
  EXPECT_EQ(files.search("x", "/a:/b"), -ENOEXEC);
  EXPECT_EQ(files.tried.size(), 1u);
}

TEST(SearchTest, PathsLongerThanTheKernelTakesAreSkipped) {
  Files files;
  EXPECT_EQ(files.search("x", std::string(5000, 'a') + ":/b"), -ENOENT);
  EXPECT_EQ(files.tried, (std::vector<std::string>{"/b/x"}));
  EXPECT_EQ(files.search(std::string(5000, '/'), "/b"), -ENAMETOOLONG);
}

TEST(SearchTest, VariableIsFoundByItsWholeName) {
  char first[] = "PATHS=/wrong";
  char second[] = "PATH=/right";
  char* const environment[] = {first, second, nullptr};
  EXPECT_STREQ(find_variable(environment, "PATH"), "/right");
  EXPECT_EQ(find_variable(environment, "PAT"), nullptr);
}

TEST(SearchTest, StatusTellsNotFoundFromNotRunnable) {
  EXPECT_EQ(exit_status_of(-ENOENT), 127u);
  EXPECT_EQ(exit_status_of(-ENOTDIR), 127u);
  EXPECT_EQ(exit_status_of(-EACCES), 126u);
  EXPECT_EQ(exit_status_of(-ENOEXEC), 126u);
}

}  // namespace
}  // namespace runhv::agent
