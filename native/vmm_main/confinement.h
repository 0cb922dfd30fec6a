// What the process of one container may still do, once its guest runs (docs/security-model.md).
#pragma once

#include <string>

#include "container/bundle.h"
#include "platform/confinement.h"

namespace runhv::vmm_main {

struct ConfinedContainer {
  const container::Bundle& bundle;
  std::string folder;        // its own, in that of the user's containers
  bool created = false;      // by `runhv create`
  bool own_network = false;  // VmmOptions::own_network
};

platform::Duties duties_of(const ConfinedContainer& container);

}  // namespace runhv::vmm_main
