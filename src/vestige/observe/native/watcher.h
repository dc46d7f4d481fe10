/* What the parts of the compiled watcher share. */

#pragma once

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "table.h"
#include "text.h"

#define EXPORT __attribute__((visibility("default")))

/* include/uapi/linux/seccomp.h; written out, since the headers of a system may be older than its kernel. */
struct message {
    uint64_t id;
    uint32_t thread;
    uint32_t flags;
    int32_t number;
    uint32_t architecture;
    uint64_t instruction;
    uint64_t a[6];
};

struct answer {
    uint64_t id;
    int64_t value;
    int32_t error;
    uint32_t flags;
};

#define RECEIVE 0xC0502100UL
#define SEND 0xC0182101UL
#define SET_FLAGS 0x40082104UL
#define SYNC_WAKE_UP 1UL
#define CONTINUE 1U

#define I386 0x40000003U

#ifndef O_TMPFILE
#define O_TMPFILE 020200000
#endif
#define TMPFILE 020000000 /* the bit of its own; the other one says O_DIRECTORY */
#define RENAME_FREE 1U
#define RENAME_BOTH 2U

enum { PAGE = 4096, LONGEST = 3 * PAGE, LINE = 1 << 18, WORDS = 4096, ARGUMENTS = 1 << 17, ARCHITECTURES = 3, CALLS = 512 };

/* What a call is; the numbers are handed over by Python, so that they are written down once. */
enum call {
    OTHER, OPEN, OPENAT, OPENAT2, CREAT, EXECVE, EXECVEAT, RENAME, RENAMEAT, RENAMEAT2, UNLINK, UNLINKAT, RMDIR, MKDIR,
    MKDIRAT, SENDTO, IGNORED,
};

struct process {
    uint32_t number;  /* of the process that a thread belongs to */
    uint32_t serial;  /* another one for each process, though numbers are given out again */
    uint64_t first, last;  /* microseconds since boot at which it was seen */
};

enum set { ABSENT, READ, TOUCHED, CREATED, SETS };

/* What the recorder shares with us; see `observe.shared`. */
struct shared {
    uint64_t written;  /* bytes that the journal had when it was flushed last */
    uint32_t pending;  /* bytes in `lines` that are not in the journal yet */
    uint32_t slots;
};

struct watcher {
    int listener, journal, wake;
    bool snapshot_due;
    bool torn; /* the journal ends within a line, since there was no room */
    atomic_bool parted;
    uint32_t self;
    uid_t user;
    const char *root;
    size_t root_length;
    const char *own;       /* folders that are Vestige's: strings, then an empty one */
    const char *marks;     /* words that secrets go with, in lower case */
    const char *telling;   /* programs that take a password in a short option */
    const char *secrets;   /* values of variables that are secret */
    const char *flush_mark;
    uint32_t architectures[ARCHITECTURES];
    uint8_t calls[ARCHITECTURES][CALLS];

    struct shared *shared;
    struct message *slots;
    char *lines;
    size_t lines_room;

    pthread_mutex_t lock;
    pthread_cond_t slot_freed;
    struct table seen, changed, sets[SETS], threads;
    struct process *processes;
    size_t processes_used, processes_room;
    uint64_t generation, everything; /* of the last change, and of the last that may have moved any path */
    uint32_t serials;
    uint32_t *free_slots, *queue;
    size_t free_count, queue_first, queue_count;
    uint64_t unreadable, lost;

    struct worker *workers;
    uint32_t worker_count, worker_limit;
    pthread_cond_t called;
    atomic_uint wanted; /* how many workers are to receive messages; the others are parked */
    atomic_bool active; /* whether there were messages since the last tick */
    atomic_bool ending;
    uint32_t backlog, calm; /* ticks in a row */
};

/* One thread. As long as one is enough, it is always the same: it finds its caches warm. */
struct worker {
    struct watcher *watcher;
    pthread_t thread;
    uint32_t number;
    atomic_uint handled; /* twice the messages, and one more while it is at one */
    uint32_t handled_before;
};

struct setup {
    int32_t listener, journal;
    int32_t snapshot_due, threads;
    const char *root, *own, *marks, *telling, *secrets, *flush_mark;
    uint32_t architectures[ARCHITECTURES];
    uint8_t calls[ARCHITECTURES][CALLS];
    void *shared;
    uint64_t shared_size;
    uint32_t slots;
};

struct path {
    char text[LONGEST];
    size_t length;
};

/* What a thread needs, so that nothing is allocated. */
struct work {
    struct watcher *watcher;
    struct path one, other;
    char folder[PATH_MAX];
    struct line line;
    char bytes[LINE];
    char words[ARGUMENTS + PAGE];
    size_t word_at[WORDS + 1], word_count;
};

static inline bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static inline uint64_t key_of(const struct stat *found) { return hash_of_pair(found->st_dev, found->st_ino); }

/* caller.c: what the caller of a suspended call has in its memory, and who it is */
uint64_t now(void);
void unreadable(struct watcher *watcher);
ssize_t memory(uint32_t thread, uint64_t address, void *into, size_t length);
ssize_t text_of(uint32_t thread, uint64_t address, char *into);
bool link_of(char *into, size_t room, const char *format, ...);
bool read_path(struct work *work, struct path *path, uint32_t thread, uint64_t address, uint64_t folder);
bool read_words(struct work *work, uint32_t thread, uint64_t address, size_t width);
struct process process_of(struct work *work, uint32_t thread, bool executes);

/* lines.c: the journal */
void flush(struct watcher *watcher);
void append(struct watcher *watcher, const char *line, size_t length);
void begin(struct work *work, char operation, uint32_t process);
void finish(struct work *work);
void note(struct work *work, char operation, uint32_t process, const struct path *path, const struct path *other,
          int64_t flags, const struct stat *found, const char *text);

/* calls.c: what calls mean */
enum verdict { GO_ON, LEAVE }; /* LEAVE: it is for Python to say */

enum verdict look(struct work *work, const struct message *message);

/* watcher.c and notify.c, for ptrace.c */
void vestige_flush(struct watcher *watcher);
void wake(struct watcher *watcher);
