// The verbs of images: one request to the Java side each, described by a table (docs/images.md).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/arguments.h"

namespace runhv::cli {

struct ImageVerb {
  std::string_view name;   // also of the request
  std::string_view usage;  // behind the options
  std::string_view line;   // in the list of all commands
  std::string_view about;
  std::span<const oci::Option> options;  // what one calls FILE or DIR is made absolute
  std::size_t least_arguments, most_arguments;
  bool of_images;  // the arguments are names of images that are there
};

// In the order of the help.
std::span<const ImageVerb> image_verbs();
const ImageVerb* find_image_verb(std::string_view name);

// Of the arguments after the verb. `progress`: somebody looks at stderr.
Result<std::string> image_request(const ImageVerb& verb,
                                  std::span<const std::string_view> arguments,
                                  const std::string& store, bool progress);

}  // namespace runhv::cli
