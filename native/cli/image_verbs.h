// The verbs of images: one request to the Java side each, described by a table (docs/images.md).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/arguments.h"

namespace runhv::cli {

// What stands for a FILE that is not named.
enum class Pipe {
  kNone,
  kStdin,
  kStdout,
  kText,  // stdout, and that may be a terminal
};

struct ImageVerb {
  std::string_view name;   // also of the request
  std::string_view usage;  // behind the options
  std::string_view line;   // in the list of all commands
  std::string_view about;
  std::span<const oci::Option> options;  // what one calls FILE or DIR is made absolute
  std::size_t least_arguments, most_arguments;
  bool of_images;  // the arguments are names of images that are there
  Pipe pipe = Pipe::kNone;
  std::string_view file = {};  // the option that names the FILE; empty: the first argument does
};

// In the order of the help.
std::span<const ImageVerb> image_verbs();
const ImageVerb* find_image_verb(std::string_view name);

struct ImageRequest {
  std::string text;
  bool piped;  // `spool` stands for stdin or stdout
};

// Of the arguments after the verb. `spool`: a path, of a verb with a pipe. `progress`: somebody
// looks at stderr.
Result<ImageRequest> image_request(const ImageVerb& verb,
                                   std::span<const std::string_view> arguments,
                                   const std::string& store, const std::string& spool,
                                   bool progress);

}  // namespace runhv::cli
