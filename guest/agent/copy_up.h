// Option tmpcopyup: what the image has below a tmpfs mount, copied into it.
#pragma once

namespace runhv::agent {

// Copies the content of directory `from` into directory `to`, and its attributes: files, links,
// nodes, owners, modes, times. Returns 0 or a negative errno. Trees deeper than 64 are
// -ENAMETOOLONG.
long copy_tree(int from, int to);

}  // namespace runhv::agent
