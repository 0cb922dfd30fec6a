#include "container/json_writer.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace runhv::container {
namespace {

TEST(JsonWriter, WritesOneLine) {
  JsonWriter json;
  json.object([&] {
    json.member("text", "a \"b\"\n");
    json.member("most", UINT64_MAX);
    json.member("least", INT64_MIN);
    json.member("yes", true);
    json.member("none", std::optional<std::uint64_t>());
    json.member("some", std::optional<std::uint64_t>(7));
    json.member("list", std::vector<std::string>{"x", "y"});
    json.object("empty", [] {});
    json.array("objects", [&] {
      for (const char* name : {"a", "b"}) json.object([&] { json.member(name, 1); });
    });
  });
  EXPECT_EQ(json.text(),
            R"({"text":"a \"b\"\n","most":18446744073709551615,"least":-9223372036854775808,)"
            R"("yes":true,"none":null,"some":7,"list":["x","y"],"empty":{},)"
            R"("objects":[{"a":1},{"b":1}]})");
}

TEST(JsonWriter, WritesALineForEachMember) {
  IndentedJsonWriter json;
  json.object([&] {
    json.member("text", "a");
    json.object("deeper", [&] { json.member("list", std::vector<std::string>{"x"}); });
  });
  EXPECT_EQ(json.text(), R"({
  "text": "a",
  "deeper": {
    "list": [
      "x"
    ]
  }
})");
}

TEST(JsonWriter, EscapesWhatIsNoUtf8InTextsAndNames) {
  JsonWriter json;
  json.object([&] { json.member("\xff", "caf\xe9 caf\xc3\xa9"); });
  EXPECT_EQ(json.text(), "{\"\\\\xff\":\"caf\\\\xe9 caf\xc3\xa9\"}");
  EXPECT_EQ(json_string("a\"\xe9"), R"("a\"\\xe9")");
}

}  // namespace
}  // namespace runhv::container
