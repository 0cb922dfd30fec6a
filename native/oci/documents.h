// The verbs that print what runhv can do, and what a bundle may begin with.
#pragma once

#include <string>

#include "oci/verbs.h"

namespace runhv::oci {

Result<int> features_verb(const Call& call);
// Writes config.json, which is not there yet.
Result<int> spec_verb(const Call& call);

}  // namespace runhv::oci
