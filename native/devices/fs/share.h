// What a file system device shows: one tree of the host, or one file.
#pragma once

#include "platform/file_node.h"

namespace runhv::devices {

struct Share {
  platform::FileNode top;
  bool read_only = false;
  bool cross_mounts = true;  // what other file systems of the host cover is shown, too
};

}  // namespace runhv::devices
