#include "frame.h"

#include <string.h>

namespace runhv::agent {

void FrameReader::drop_taken() {
  if (taken_ == 0) return;
  end_ -= taken_;
  memmove(buffer_, buffer_ + taken_, end_);
  taken_ = 0;
}

FrameReader::Next FrameReader::next(Frame& out) {
  drop_taken();
  runhv_frame header;
  if (end_ < sizeof header) return Next::kMore;
  memcpy(&header, buffer_, sizeof header);
  if (header.length > RUNHV_MAX_FRAME_TO_AGENT || header.zero != 0) return Next::kBroken;
  if (end_ - sizeof header < header.length) return Next::kMore;
  taken_ = sizeof header + header.length;
  out = {header.type, {buffer_ + sizeof header, header.length}};
  return Next::kFrame;
}

}  // namespace runhv::agent
