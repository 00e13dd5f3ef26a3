#ifndef BACKTRAIL_PAGES_H
#define BACKTRAIL_PAGES_H

#include <stddef.h>
#include <stdint.h>

/// Makes a file of `size` bytes in `folder` that has no name, so that it goes with its last descriptor, and reserves all its space.
/// Where the file system takes it, the descriptor passes over the page cache (O_DIRECT), and `is_direct` becomes 1.
/// Returns the descriptor, or −errno.
int ck_make_page_file(const char *folder, int64_t size, int *is_direct);

/// Makes the descriptor go through the page cache. Returns 0, or −errno.
int ck_use_page_cache(int descriptor);

/// Writes the bytes from `offset` on to the disk and drops them from the page cache, where the system can. Returns 0, or −errno where
/// the disk did not take them.
int ck_drop_from_cache(int descriptor, int64_t offset, int64_t count);

/// Gives the memory at `from` to `to`, which has none; `from` keeps its addresses and their protection. Both are private, anonymous
/// memory. Returns 0, or −errno where the system can't.
int ck_move_memory(void *from, void *to, size_t size);

#endif
