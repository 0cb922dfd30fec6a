// Asks the Java side to turn an image into a bundle (docs/prepare.md).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/run_options.h"
#include "platform/process.h"

namespace runhv::cli {

struct PreparePlaces {
  std::string store;   // of root file systems
  std::string bundle;  // to be made
  bool progress;       // somebody looks at stderr
};

// `image` with its path made absolute; a name in a registry stays as it is.
Result<std::string> absolute_image(std::string_view image);

// The request is JSON, so an error where one of its texts is not UTF-8.
Result<std::string> prepare_request(const RunOptions& options, const std::string& image,
                                    const PreparePlaces& places);

// The text `member` of an answer of the Java side, or the error that the answer carries.
// `operation` is what failed where there is no answer: then what the process said on stderr, the
// JVM's own words, is why.
Result<std::string> read_answer(const platform::Captured& answer, const char* member,
                                const std::string& operation);

// The folder of this user's root file systems and kernels.
Result<std::string> store_directory();

std::string absolute_path(std::string_view path);

}  // namespace runhv::cli
