// Runs a fuzz target as a test: its corpus, then mutations of it. The seed is fixed, so that a
// failure repeats.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "platform/clock.h"
#include "platform/file.h"
#include "testing/files.h"
#include "testing/fuzz.h"
#include "testing/guest.h"

namespace runhv::testing {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kMaxInputBytes = 4096;
constexpr int kRounds = 20'000;
constexpr std::uint64_t kBudgetNs = RUNHV_FUZZ_SECONDS * 1'000'000'000ull;

std::vector<Bytes> corpus() {
  std::vector<std::filesystem::path> names;
  for (const auto& entry : std::filesystem::directory_iterator(RUNHV_FUZZ_CORPUS)) {
    names.push_back(entry.path());
  }
  std::ranges::sort(names);
  std::vector<Bytes> inputs;
  for (const auto& name : names) {
    auto bytes = platform::read_file(name.string(), 1 << 20);
    EXPECT_TRUE(bytes) << name;
    if (bytes) inputs.push_back(*std::move(bytes));
  }
  return inputs;
}

// A target that finds a fault ends the process: what it was given is in a file then.
class Recorder {
 public:
  void run(const Bytes& input) {
    ASSERT_TRUE(write_file(path_, input));
    fuzz(input);
  }
  ~Recorder() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_ = ::testing::TempDir() + RUNHV_FUZZ_NAME "-" +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name() +
                            ".input";
};

class Mutator {
 public:
  Bytes mutate(const std::vector<Bytes>& from) {
    Bytes bytes = from[below(from.size())];
    for (std::size_t count = below(6) + 1; count != 0; --count) change(bytes, from);
    bytes.resize(std::min(bytes.size(), kMaxInputBytes));
    return bytes;
  }

 private:
  std::size_t below(std::size_t limit) { return random_.below(limit); }

  void change(Bytes& bytes, const std::vector<Bytes>& from) {
    const std::size_t at = below(bytes.size() + 1);
    const auto position = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<std::byte>(below(256));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] ^= static_cast<std::byte>(1u << below(8));
        break;
      case 2:
        bytes.erase(position,
                    position + static_cast<std::ptrdiff_t>(std::min(below(16), bytes.size() - at)));
        break;
      case 3: {
        Bytes fresh(below(32) + 1);
        for (std::byte& byte : fresh) byte = static_cast<std::byte>(below(256));
        bytes.insert(position, fresh.begin(), fresh.end());
        break;
      }
      case 4: {  // a piece of itself again
        const std::size_t first = below(bytes.size() + 1);
        const std::size_t size = std::min(below(64), bytes.size() - first);
        const Bytes piece(bytes.begin() + static_cast<std::ptrdiff_t>(first),
                          bytes.begin() + static_cast<std::ptrdiff_t>(first + size));
        bytes.insert(position, piece.begin(), piece.end());
        break;
      }
      default: {  // goes on as another one does
        const Bytes& other = from[below(from.size())];
        const std::size_t tail = below(other.size() + 1);
        bytes.resize(at);
        bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(tail), other.end());
        break;
      }
    }
  }

  testing::SeededRandom random_{7};
};

TEST(Fuzz, Corpus) {
  Recorder recorder;
  const auto inputs = corpus();
  ASSERT_FALSE(inputs.empty()) << RUNHV_FUZZ_CORPUS;
  for (const Bytes& input : inputs) ASSERT_NO_FATAL_FAILURE(recorder.run(input));
  recorder.run({});
}

// At most kRounds, and no longer than the budget: how many a sanitized build comes to is its
// matter, which they are is not.
TEST(Fuzz, Mutations) {
  Recorder recorder;
  const auto inputs = corpus();
  ASSERT_FALSE(inputs.empty()) << RUNHV_FUZZ_CORPUS;
  std::printf("the input of the round that fails: %s\n", recorder.path().c_str());
  Mutator mutator;
  const std::uint64_t end_ns = platform::monotonic_ns() + kBudgetNs;
  int round = 0;
  for (; round < kRounds && platform::monotonic_ns() < end_ns; ++round) {
    ASSERT_NO_FATAL_FAILURE(recorder.run(mutator.mutate(inputs)));
  }
  std::printf("%d rounds\n", round);
  EXPECT_GT(round, 0);
}

}  // namespace
}  // namespace runhv::testing
