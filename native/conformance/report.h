// The report of a conformance run: a JSON file that is whole at every moment, so that a case that
// brings the program or the machine down is the one that the file says was not finished.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "conformance/case.h"

namespace runhv::conformance {

class Report {
 public:
  // `path`: a file that is written anew; empty: none.
  Report(std::string path, std::string system, std::vector<const Case*> selected);

  void begin(std::size_t index);
  void end(std::size_t index, const Outcome& outcome);
  void hung(std::size_t index);

  std::size_t count(const char* outcome) const;
  // False: the file could not be written, once at least.
  bool is_written() const { return written_; }

 private:
  struct Line {
    const Case* one;
    const char* outcome = "not run";  // passed, failed, skipped, not finished, hung
    std::string detail;
  };
  void write();

  const std::string path_;
  const std::string system_;
  std::vector<Line> lines_;
  bool written_ = true;
};

const char* words(Mark mark);  // documented, reported, believed

}  // namespace runhv::conformance
