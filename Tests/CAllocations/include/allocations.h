/// Blocks that this thread has asked the C library for so far; always 0 where the library can't be asked.
long ca_allocations(void);
