// Bounded mutation of the two texts that come from outside: config.json and the agent's frames. The
// seed is fixed, so that a failure repeats; sanitizer builds make the most of it.

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>

#include "base/bytes.h"
#include "container/agent_message.h"
#include "container/oci_config.h"
#include "container/start_message.h"
#include "gtest/gtest.h"
#include "platform/file.h"

namespace runhv {
namespace {

constexpr int kRounds = 4000;

std::vector<std::string> corpus(const std::string& name) {
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::directory_iterator(RUNHV_CORPUS "/" + name)) {
    const auto bytes = read_file(entry.path().string(), 1 << 20);
    EXPECT_TRUE(bytes);
    texts.emplace_back(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }
  EXPECT_FALSE(texts.empty());
  std::ranges::sort(texts);
  return texts;
}

class Mutator {
 public:
  // `words`: pieces that the format gives a meaning to.
  explicit Mutator(std::vector<std::string> words) : words_(std::move(words)) {}

  std::string mutate(std::string text) {
    for (std::size_t count = below(4) + 1; count != 0 && !text.empty(); --count) {
      const std::size_t at = below(text.size());
      switch (below(5)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.erase(at, below(8) + 1);
          break;
        case 2:
          text.insert(at, text.substr(below(text.size()), below(64)));
          break;
        case 3:
          text.replace(at, below(8), words_[below(words_.size())]);
          break;
        default:
          text.resize(at);
          break;
      }
    }
    return text;
  }

  std::size_t below(std::size_t bound) { return generator_() % bound; }

 private:
  std::vector<std::string> words_;
  std::mt19937 generator_{7};
};

TEST(Fuzz, ConfigIsReadOrRefusedWithAReason) {
  const auto texts = corpus("config");
  Mutator mutator({"null", "-1", "18446744073709551616", "1e400", "{", "[", "\"\\u0000\"",
                   "\"dev.runhv.memory\":\"0\",", "true", "\xff"});
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = mutator.mutate(texts[mutator.below(texts.size())]);
    const auto config = parse_oci_config(text, "read config");
    if (!config) {
      EXPECT_FALSE(config.error().detail.empty());
      continue;
    }
    EXPECT_FALSE(config->arguments.empty());
    EXPECT_EQ(config->cwd.front(), '/');
    EXPECT_GE(config->memory_bytes, 24u << 20);
    EXPECT_TRUE(encode_start(*config, {}));
  }
}

// The same bytes mean the same, however the connection cuts them.
TEST(Fuzz, AgentMessagesDoNotDependOnHowTheStreamIsCut) {
  const auto texts = corpus("agent");
  Mutator mutator({std::string(4, '\0'), "\xff\xff\xff\xff", std::string("\0\0\1\0", 4),
                   std::string("\4\0\0\0\3\0\0\0\0\0\0\0", 12)});
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = mutator.mutate(texts[mutator.below(texts.size())]);
    AgentMessageParser whole;
    std::vector<AgentMessage> at_once;
    const bool accepted = whole.push(as_bytes(text), at_once).has_value();

    AgentMessageParser cut;
    std::vector<AgentMessage> in_parts;
    bool part_accepted = true;
    for (std::size_t at = 0; at < text.size() && part_accepted;) {
      const std::size_t size = std::min(mutator.below(9) + 1, text.size() - at);
      part_accepted =
          cut.push(as_bytes(std::string_view(text).substr(at, size)), in_parts).has_value();
      at += size;
    }
    EXPECT_EQ(part_accepted, accepted);
    EXPECT_EQ(in_parts.size(), at_once.size());
  }
}

}  // namespace
}  // namespace runhv
