// One function for each request of FUSE, called as its opcode. Each reads the request's arguments,
// checks them, makes the calls of the host, and appends to the answer, which counts where it
// returns 0; else an errno of Linux. Threads: any, at once.
#pragma once

#include "devices/fs/fuse_session.h"

namespace runhv::devices::fuse {

// fuse_init.cc
int init(Session& session, Request& request);
int destroy(Session& session);

// fuse_names.cc
int lookup(Session& session, Request& request);
int forget(Session& session, Request& request);
int batch_forget(Session& session, Request& request);
int readlink(Session& session, Request& request);
int symlink(Session& session, Request& request);
int mknod(Session& session, Request& request);
int mkdir(Session& session, Request& request);
int unlink(Session& session, Request& request);
int rmdir(Session& session, Request& request);
int rename(Session& session, Request& request);
int rename2(Session& session, Request& request);
int link(Session& session, Request& request);

// fuse_attributes.cc
int getattr(Session& session, Request& request);
int setattr(Session& session, Request& request);
int statx(Session& session, Request& request);
int statfs(Session& session, Request& request);

// fuse_xattr.cc
int setxattr(Session& session, Request& request);
int getxattr(Session& session, Request& request);
int listxattr(Session& session, Request& request);
int removexattr(Session& session, Request& request);

// fuse_files.cc
int open(Session& session, Request& request);
int create(Session& session, Request& request);
int tmpfile(Session& session, Request& request);
int read(Session& session, Request& request);
int write(Session& session, Request& request);
int release(Session& session, Request& request);  // of a directory, too
int flush(Session& session, Request& request);
int fsync(Session& session, Request& request);  // of a directory, too
int syncfs(Session& session);
int fallocate(Session& session, Request& request);
int lseek(Session& session, Request& request);
int copy_file_range(Session& session, Request& request);

// fuse_window.cc
int setupmapping(Session& session, Request& request);
int removemapping(Session& session, Request& request);

// fuse_directories.cc
int opendir(Session& session, Request& request);
int readdir(Session& session, Request& request);
int readdirplus(Session& session, Request& request);

}  // namespace runhv::devices::fuse
