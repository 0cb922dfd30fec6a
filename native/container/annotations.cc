#include "container/annotations.h"

#include <algorithm>
#include <iterator>

namespace runhv::container {
namespace {

constexpr std::string_view kPrefix = "dev.runhv.";
constexpr std::string_view kKnown[] = {"memory",        "cpus",    "scratch", "rootfs.type",
                                       "rootfs.layers", "engine",  "stdin",   "etc",
                                       "stop-signal",   "volumes", "image",   "kernel.modules"};

}  // namespace

Annotations::Annotations(const JsonNode& section) {
  for (const auto& [name, node] : section.members()) {
    all_.insert_or_assign(name, Annotation{node.string(), node});
    if (!name.starts_with(kPrefix)) continue;
    if (std::ranges::find(kKnown, std::string_view(name).substr(kPrefix.size())) !=
        std::end(kKnown)) {
      continue;
    }
    std::string known;
    for (const std::string_view key : kKnown) {
      if (!known.empty()) known += ',';
      known += key;
    }
    node.complain("unknown annotation; known are dev.runhv.{" + known + "}");
  }
}

std::optional<Annotation> Annotations::find(std::string_view key) const {
  const auto found = all_.find(std::string(kPrefix).append(key));
  if (found == all_.end()) return std::nullopt;
  return found->second;
}

std::string Annotations::choice(std::string_view key,
                                std::initializer_list<std::string_view> allowed,
                                std::string_view otherwise) const {
  const auto annotation = find(key);
  if (!annotation) return std::string(otherwise);
  if (std::ranges::find(allowed, annotation->value) == allowed.end()) {
    std::string names;
    for (const std::string_view name : allowed) {
      if (!names.empty()) names += ", ";
      names += name;
    }
    annotation->node.complain("expected one of: " + names);
  }
  return annotation->value;
}

std::map<std::string, std::string> Annotations::values() const {
  std::map<std::string, std::string> values;
  for (const auto& [name, annotation] : all_) values.emplace(name, annotation.value);
  return values;
}

}  // namespace runhv::container
