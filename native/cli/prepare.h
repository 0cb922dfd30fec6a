// Asks the Java side to turn an image into a bundle (docs/prepare.md).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/run_options.h"

namespace runhv {

struct PreparePlaces {
  std::string store;   // of root file systems
  std::string bundle;  // to be made
  bool progress;       // somebody looks at stderr
};

// `image` made absolute; an error where its kind is unknown.
Result<std::string> absolute_image(std::string_view image);

// The request is JSON, so an error where one of its texts is not UTF-8.
Result<std::string> prepare_request(const RunOptions& options, const std::string& image,
                                    const PreparePlaces& places);

// The path of the bundle from the answer, or the error that it carries.
Result<std::string> read_prepare_answer(std::string_view answer, int process_status);

// The folder of root file systems for this user.
Result<std::string> store_directory();

}  // namespace runhv
