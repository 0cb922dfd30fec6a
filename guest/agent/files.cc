#include "files.h"

#include <string.h>

#include "paths.h"
#include "sys.h"

namespace runhv::agent {
namespace {

long write_file(const FileRecord& file) {
  const int out = sys::open(file.path, O_WRONLY | O_CREAT | O_EXCL, file.what.mode & 07777);
  if (out < 0) return out;
  const std::size_t size = strlen(file.content);
  long result = 0;
  for (std::size_t written = 0; written < size && result >= 0;) {
    result = sys::write(out, file.content + written, size - written);
    written += static_cast<std::size_t>(result < 0 ? 0 : result);
  }
  sys::close(out);
  return result < 0 ? result : 0;
}

long make(const FileRecord& file) {
  if (S_ISDIR(file.what.mode)) return sys::mkdir(file.path, file.what.mode & 07777);
  if (S_ISLNK(file.what.mode)) return sys::symlinkat(file.content, AT_FDCWD, file.path);
  return write_file(file);
}

long make_file(const FileRecord& file) {
  long result = make(file);
  if (result == -ENOENT) {
    result = make_parent(file.path);
    if (result == 0) result = make(file);
  }
  if (result != -EEXIST) return result;
  if ((file.what.flags & RUNHV_FILE_IF_MISSING) != 0) return 0;
  result = sys::unlink(file.path);
  return result < 0 ? result : make(file);
}

}  // namespace

bool make_files(const ContainerRequest& container, Failure& failure) {
  return for_each(container.records, RUNHV_REC_FILE, [&](const Record& record) {
    FileRecord file;
    decode(record, file);
    const long result = make_file(file);
    return result == 0 || failure.set(result, "make ", file.path);
  });
}

}  // namespace runhv::agent
