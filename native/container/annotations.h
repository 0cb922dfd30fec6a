// The annotations of a bundle; those of runhv ("dev.runhv.…") are known by name.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "container/json_reader.h"

namespace runhv::container {

struct Annotation {
  std::string value;
  JsonNode node;
};

// Valid as long as the reader of the document.
class Annotations {
 public:
  // Complains about one of ours that is not known: a typing mistake must not pass.
  explicit Annotations(const JsonNode& section);

  // `key` without "dev.runhv.".
  std::optional<Annotation> find(std::string_view key) const;
  // Complains where the value is none of `allowed`.
  std::string choice(std::string_view key, std::initializer_list<std::string_view> allowed,
                     std::string_view otherwise) const;

  // All, ours and others'.
  std::map<std::string, std::string> values() const;

 private:
  std::map<std::string, Annotation, std::less<>> all_;
};

}  // namespace runhv::container
