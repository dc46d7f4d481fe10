/* What the parts of the preloaded library share. */

#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "table.h"
#include "text.h"

/* System calls without the C library: they are not seen by ourselves, set no errno, and are no points of cancellation. */
#if defined(__x86_64__)
static inline long raw_call(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long raw_call(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "the preloaded library is not made for this architecture"
#endif

#define RAW_7(number, a, b, c, d, e, f, ...) raw_call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define raw(...) RAW_7(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#ifndef O_TMPFILE
#define O_TMPFILE 020200000
#endif
#define TMPFILE 020000000 /* the bit of its own; the other one says O_DIRECTORY */

enum { LONGEST = 2 * PATH_MAX + 16, LINE = 1 << 18, WORDS = 1 << 17, STRINGS = 1 << 15, ROOM = 1 << 17, WORKS = 8 };

/* What all processes of a run share with each other and with the watcher: a file in the run's folder, mapped by each.
 * `observe.preload` makes it. What does not fit into its table is not remembered, and more is noted than need be. */
struct entry {
    _Atomic uint64_t key, value;
};

struct page {
    uint64_t mark;       /* of this layout */
    atomic_uint due;     /* the snapshot of the code is due: changes to the project wait for it */
    atomic_uint deaf;    /* nobody answers: nothing is asked any more */
    atomic_uint torn;    /* the journal ends within a line */
    atomic_uint full;    /* not every file that was read could be remembered */
    atomic_uint mindful; /* there are secrets that the watcher alone knows: it is asked about every command line */
    atomic_uint waits;   /* the first program does, until the watcher has what it inherits */
    uint32_t own, marks, telling; /* where in `strings` they begin; first comes the project's root */
    _Atomic uint64_t generation, everything; /* of the last change, and of the last that may have moved any path */
    _Atomic uint64_t lost; /* lines */
    char strings[STRINGS];
    struct entry entries[ROOM];
};

enum { MARK = 0x31646C7056 };

/* What is remembered of a path or a file. */
enum kind { ABSENT = 1, READ, TOUCHED, CREATED, CHANGED, KNOWN, EXECUTING, TOLD, BEYOND };

/* What one call needs, so that nothing is allocated and no stack is needed: some stacks are small. */
struct work {
    atomic_bool busy;
    bool temporary, beyond; /* the last path that was made absolute is longer than any call takes */
    uint32_t process; /* whose call it is: between vfork(2) and exec(3) another one's than the memory */
    struct line line;
    char one[LONGEST], other[LONGEST], folder[PATH_MAX + 1]; /* what is touched often lies together */
    char bytes[LINE];
    char words[WORDS];
};

/* A path, made absolute, that lies in `work` or is the caller's; and how it is looked up: as the caller does, who may be
 * where the way from the root is closed to it. */
struct path {
    const char *text;
    size_t length;
    const char *name;
    int folder;
};

static inline bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }
static inline uint64_t key_of(const struct stat *found) { return hash_of_pair(found->st_dev, found->st_ino); }
static inline uint64_t path_key(const struct path *path) { return hash_of(path->text, path->length, 0); }
static inline bool look_at(const char *path, struct stat *found, int flags) {
    return raw(SYS_newfstatat, AT_FDCWD, path, found, flags) == 0;
}
static inline long look_up(const struct path *path, struct stat *found, int flags) {
    return raw(SYS_newfstatat, path->folder, path->name, found, flags);
}

#define HIDDEN __attribute__((visibility("hidden")))

/* preload_run.c: what belongs to the run, and to this process of it */
extern HIDDEN struct page *page;
extern HIDDEN char run_folder[PATH_MAX], library_path[PATH_MAX];
bool take_part(void);
bool within_reach(void);
struct work *claim(void);
void release(struct work *work);
bool remembered(enum kind kind, uint64_t key, uint64_t *value);
bool remember(enum kind kind, uint64_t key, uint64_t value);
void forget(enum kind kind, uint64_t key);
bool repeated(uint64_t key, uint64_t path);
void opened(uint64_t key, uint64_t at, uint64_t file);
void changed(const struct path *path, const struct stat *found, bool everything);
void begin(struct work *work, char operation, uint32_t number);
void add_rest(struct work *work, const struct path *path, const struct path *other, int64_t flags, const struct stat *found,
              const char *text);
void finish(struct work *work);
void send_lines(struct work *work);
bool ask(char kind, const char *text, size_t length);
void introduce(struct work *work);

/* preload_calls.c: what calls mean; each notes what is about to be done */
bool absolute(struct work *work, int folder, const char *text, char *into, struct path *path);
void see_open(int folder, const char *path, int64_t flags);
void see_rename(int old_folder, const char *old, int new_folder, const char *new, unsigned flags);
void see_link(int old_folder, const char *old, int new_folder, const char *new);
void see_symlink(const char *target, int folder, const char *path);
void see_unlink(int folder, const char *path, bool directory);
void see_mkdir(int folder, const char *path);
void see_truncate(const char *path);
void see_connect(int descriptor, const struct sockaddr *address, socklen_t length);
void see_made(const char *path, int64_t flags);
void see_odd(const char *what);

/* preload_programs.c: what is executed */
enum verdict { SEEN = 0, UNSEEN = 1, FOREIGN = 2, SANITIZED = 4 };

int examine(const char *path, const char **why);
void see_start(int argc, char **argv);
void see_execution(int folder, const char *path, bool search, char *const *argv, bool spawned, int *verdict);
void see_failure(void);
size_t environment_room(char *const *environment, int verdict);
char **environment_with(void *room, char *const *environment, int verdict);
