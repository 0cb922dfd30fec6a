// The verbs about containers that are there.
#pragma once

#include "oci/verbs.h"

namespace runhv::oci {

Result<int> list_verb(const Call& call);
Result<int> state_verb(const Call& call);
Result<int> kill_verb(const Call& call);
Result<int> delete_verb(const Call& call);
Result<int> ps_verb(const Call& call);
Result<int> pause_verb(const Call& call);
Result<int> resume_verb(const Call& call);
Result<int> events_verb(const Call& call);
Result<int> update_verb(const Call& call);

// The file at `path`, or stdin where it is "-": at most what one process object may have.
Result<std::string> read_input(const std::string& operation, const std::string& path);

}  // namespace runhv::oci
