#include "winhv_linux/dirty_pages.h"

#include <algorithm>
#include <bit>

namespace runhv::winhv_linux {
namespace {

constexpr unsigned kPageShift = 12;
constexpr std::uint64_t kPagesPerWord = 64;

// The bits of the word that begins with page `word_begin` that lie in pages [begin, end), which
// meets it.
std::uint64_t bits_within(std::uint64_t word_begin, std::uint64_t begin, std::uint64_t end) {
  std::uint64_t bits = ~std::uint64_t{0};
  if (begin > word_begin) bits &= ~std::uint64_t{0} << (begin - word_begin);
  const std::uint64_t left = end - word_begin;
  if (left < kPagesPerWord) bits &= (std::uint64_t{1} << left) - 1;
  return bits;
}

}  // namespace

void DirtyPages::mark(std::uint64_t gpa, std::uint64_t size) {
  const std::uint64_t begin = gpa >> kPageShift;
  const std::uint64_t end = ((gpa + size - 1) >> kPageShift) + 1;
  const std::lock_guard lock(mutex_);
  for (std::uint64_t word = begin / kPagesPerWord; word * kPagesPerWord < end; ++word) {
    words_[word] |= bits_within(word * kPagesPerWord, begin, end);
  }
}

void DirtyPages::take(std::uint64_t gpa, std::uint64_t size, std::span<std::uint64_t> bitmap) {
  const std::uint64_t begin = gpa >> kPageShift;
  const std::uint64_t end = (gpa + size) >> kPageShift;
  std::ranges::fill(bitmap, 0);
  const std::lock_guard lock(mutex_);
  auto at = words_.lower_bound(begin / kPagesPerWord);
  while (at != words_.end() && at->first * kPagesPerWord < end) {
    const std::uint64_t word_begin = at->first * kPagesPerWord;
    std::uint64_t taken = at->second & bits_within(word_begin, begin, end);
    at->second &= ~taken;
    while (taken != 0 && !bitmap.empty()) {
      const auto page = word_begin + static_cast<unsigned>(std::countr_zero(taken)) - begin;
      bitmap[page / kPagesPerWord] |= std::uint64_t{1} << page % kPagesPerWord;
      taken &= taken - 1;
    }
    at = at->second == 0 ? words_.erase(at) : std::next(at);
  }
}

}  // namespace runhv::winhv_linux
