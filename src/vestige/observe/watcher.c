/* The hot path of the watcher: it answers what most calls are, and leaves the rest to Python.
 *
 * `watcher.py` is the reference, and says what each call means. What is here does the same for the common cases with
 * several threads: a file opened for reading or created, a program executed, a name moved or removed whose content nobody
 * loses. Everything else (a content that is about to be lost, a word that might be a secret, a change while the snapshot
 * is due, calls that are rare) is put into a queue, from which Python takes it; the caller waits as long.
 *
 * There is no Python in here: the library is loaded by ctypes, so one build serves every version of Python.
 *
 * Nothing is allocated for an event. A message is received into a slot of memory that is shared with the recorder, and
 * its line goes into a buffer there: whoever stands in for a watcher that was killed answers what was received and not
 * answered, and writes out what was noted and not written.
 */

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
    MKDIRAT, IGNORED,
};

/* -- what is remembered between two messages -------------------------------------------------------------------------- */

/* A set or table of 64-bit keys. Keys are hashes: at a million names, one chance in thirty million that two are one. */
struct table {
    uint64_t *keys;
    uint64_t *values;
    size_t used, room;
};

struct process {
    uint32_t number;  /* of the process that a thread belongs to */
    uint32_t serial;  /* another one for each process, though numbers are given out again */
    uint64_t first, last;  /* microseconds since boot at which it was seen */
};

enum set { ABSENT, READ, TOUCHED, CREATED, SETS };

/* What the recorder shares with us; see `record.watch.Ground`. */
struct shared {
    uint64_t written;  /* bytes that the journal had when it was flushed last */
    uint32_t pending;  /* bytes in `lines` that are not in the journal yet */
    uint32_t slots;
};

struct watcher {
    int listener, journal, wake;
    bool snapshot_due;
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
    uint64_t unreadable, lost, seen_calls;

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

static uint64_t mixed(uint64_t x) {
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93ULL;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93ULL;
    x ^= x >> 32;
    return x;
}

static uint64_t hash_of(const char *text, size_t length, uint64_t seed) {
    uint64_t state = mixed(seed ^ (length * 0x9E3779B97F4A7C15ULL)), word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        state = mixed(state ^ word) + 0x9E3779B97F4A7C15ULL;
    }
    word = 0;
    memcpy(&word, text, length);
    state = mixed(state ^ word);
    return state ? state : 1; /* 0 marks an empty place */
}

static uint64_t hash_of_pair(uint64_t one, uint64_t other) {
    uint64_t state = mixed(mixed(one + 0x9E3779B97F4A7C15ULL) ^ other);
    return state ? state : 1;
}

static uint64_t *find(const struct table *table, uint64_t key) {
    if (!table->room)
        return NULL;
    for (size_t at = key & (table->room - 1);; at = (at + 1) & (table->room - 1)) {
        if (table->keys[at] == key)
            return &table->values[at];
        if (!table->keys[at])
            return NULL;
    }
}

static bool grow(struct table *table) {
    size_t room = table->room ? table->room * 2 : 1024;
    uint64_t *keys = calloc(room, sizeof *keys), *values = malloc(room * sizeof *values);
    if (!keys || !values) {
        free(keys);
        free(values);
        return false;
    }
    for (size_t old = 0; old < table->room; old++) {
        if (!table->keys[old])
            continue;
        size_t at = table->keys[old] & (room - 1);
        while (keys[at])
            at = (at + 1) & (room - 1);
        keys[at] = table->keys[old];
        values[at] = table->values[old];
    }
    free(table->keys);
    free(table->values);
    table->keys = keys;
    table->values = values;
    table->room = room;
    return true;
}

/* Without memory nothing is remembered, and more is noted than need be. */
static void put(struct table *table, uint64_t key, uint64_t value) {
    uint64_t *place = find(table, key);
    if (place) {
        *place = value;
        return;
    }
    if (table->used * 2 >= table->room && !grow(table) && table->used + 1 >= table->room)
        return;
    size_t at = key & (table->room - 1);
    while (table->keys[at])
        at = (at + 1) & (table->room - 1);
    table->keys[at] = key;
    table->values[at] = value;
    table->used++;
}

static bool has(const struct table *table, uint64_t key) {
    uint64_t *place = find(table, key);
    return place && *place;
}

static uint64_t key_of(const struct stat *found) { return hash_of_pair(found->st_dev, found->st_ino); }

/* -- one message's work ----------------------------------------------------------------------------------------------- */

struct path {
    char text[LONGEST];
    size_t length;
};

/* What a thread needs, so that nothing is allocated. */
struct work {
    struct watcher *watcher;
    struct path one, other;
    char folder[PATH_MAX];
    char line[LINE];
    size_t end;
    bool overflown;
    char words[ARGUMENTS + PAGE];
    size_t word_at[WORDS + 1], word_count;
};

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void unreadable(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    watcher->unreadable++;
    pthread_mutex_unlock(&watcher->lock);
}

static ssize_t memory(uint32_t thread, uint64_t address, void *into, size_t length) {
    struct iovec local = {into, length}, remote = {(void *)(uintptr_t)address, length};
    return process_vm_readv((pid_t)thread, &local, 1, &remote, 1, 0);
}

/* A string of the caller's, at most two pages of it; its length, or -1. */
static ssize_t text_of(uint32_t thread, uint64_t address, char *into) {
    size_t length = 0;
    for (int page = 0; page < 2; page++) {
        size_t wanted = PAGE - (address & (PAGE - 1));
        ssize_t got = memory(thread, address, into + length, wanted);
        if (got <= 0)
            break;
        char *zero = memchr(into + length, 0, (size_t)got);
        if (zero)
            return zero - into;
        length += (size_t)got;
        address += (size_t)got;
    }
    into[length] = 0;
    return length ? (ssize_t)length : -1;
}

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static bool link_of(char *into, size_t room, const char *format, ...) {
    char name[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    ssize_t length = readlink(name, into, room - 1);
    if (length < 0)
        return false;
    into[length] = 0;
    return true;
}

/* A path of the caller's, made absolute. False where it cannot be known. */
static bool read_path(struct work *work, struct path *path, uint32_t thread, uint64_t address, uint64_t folder) {
    char text[2 * PAGE + 1];
    ssize_t length = text_of(thread, address, text);
    if (length < 0) {
        if (address)
            unreadable(work->watcher);
        return false;
    }
    if (text[0] == '/') {
        memcpy(path->text, text, (size_t)length + 1);
        path->length = (size_t)length;
        return true;
    }
    int32_t descriptor = (int32_t)folder;
    bool known = descriptor == AT_FDCWD ? link_of(work->folder, sizeof work->folder, "/proc/%u/cwd", thread)
                                        : link_of(work->folder, sizeof work->folder, "/proc/%u/fd/%d", thread, descriptor);
    if (!known) {
        unreadable(work->watcher);
        return false;
    }
    const char *rest = text;
    while (rest[0] == '.' && rest[1] == '/')
        for (rest += 2; *rest == '/'; rest++) {}
    if (!*text)
        path->length = (size_t)snprintf(path->text, LONGEST, "%s", work->folder);
    else
        path->length = (size_t)snprintf(path->text, LONGEST, "%s/%s", strcmp(work->folder, "/") ? work->folder : "", rest);
    return path->length < LONGEST;
}

/* -- lines of the journal: `observe.interface` has their table --------------------------------------------------------- */

static void add(struct work *work, const char *bytes, size_t length) {
    if (work->end + length >= LINE) {
        work->overflown = true;
        return;
    }
    memcpy(work->line + work->end, bytes, length);
    work->end += length;
}

static void add_text(struct work *work, const char *text) { add(work, text, strlen(text)); }

static void add_number(struct work *work, int64_t number) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        digits[--at] = '-';
    add(work, digits + at, sizeof digits - at);
}

/* The length of a character of UTF-8 and its number; of what is none, minus the bytes that belong together. */
static int character(const unsigned char *text, size_t left, uint32_t *number) {
    unsigned char first = text[0];
    if (first < 0x80) {
        *number = first;
        return 1;
    }
    int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4)
        return -1;
    *number = first & (0x7F >> length);
    for (int at = 1; at < length; at++) {
        unsigned char low = 0x80, high = 0xBF;
        if (at == 1) {
            low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
            high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
        }
        if ((size_t)at >= left || text[at] < low || text[at] > high)
            return -at;
        *number = *number << 6 | (text[at] & 0x3F);
    }
    return length;
}

static bool is_utf8(const char *text, size_t length) {
    uint32_t number;
    for (size_t at = 0; at < length;) {
        int size = character((const unsigned char *)text + at, length - at, &number);
        if (size < 0)
            return false;
        at += (size_t)size;
    }
    return true;
}

static void add_escaped(struct work *work, const char *text, size_t length) {
    char escape[16];
    for (size_t at = 0; at < length;) {
        size_t plain = at;
        while (plain < length && text[plain] >= ' ' && text[plain] < 0x7F && text[plain] != '"' && text[plain] != '\\')
            plain++;
        add(work, text + at, plain - at);
        at = plain;
        if (at >= length)
            return;
        uint32_t number;
        int size = character((const unsigned char *)text + at, length - at, &number);
        if (size < 0) {
            number = 0xFFFD;
            size = -size;
        }
        if (number == '"' || number == '\\')
            snprintf(escape, sizeof escape, "\\%c", (char)number);
        else if (number < 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x", number);
        else
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD7C0 + (number >> 10), 0xDC00 + (number & 0x3FF));
        add_text(work, escape);
        at += (size_t)size;
    }
}

static void add_path(struct work *work, const char *path, size_t length) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/";
    add(work, "\"", 1);
    if (!is_utf8(path, length)) {
        add(work, "%", 1);
        for (size_t at = 0; at < length; at++) {
            char escape[4];
            if (path[at] && strchr(plain, path[at]))
                add(work, path + at, 1);
            else {
                snprintf(escape, sizeof escape, "%%%02X", (unsigned char)path[at]);
                add_text(work, escape);
            }
        }
    } else if (path[0] == '%') {
        add(work, "%", 1);
        for (size_t at = 0; at < length; at++)
            if (path[at] == '%')
                add_text(work, "%25");
            else
                add_escaped(work, path + at, 1);
    } else
        add_escaped(work, path, length);
    add(work, "\"", 1);
}

static void add_stat(struct work *work, const struct stat *found) {
    add(work, "[", 1);
    add_number(work, found->st_size);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_mtim.tv_sec * 1000000000 + found->st_mtim.tv_nsec);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_ctim.tv_sec * 1000000000 + found->st_ctim.tv_nsec);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_ino);
    add(work, ",", 1);
    add_number(work, (int64_t)found->st_dev);
    add(work, "]", 1);
}

/* Python's thread has something to do. */
static void wake(struct watcher *watcher) {
    uint64_t one = 1;
    if (write(watcher->wake, &one, sizeof one) < 0) {}
}

/* The journal is brought to the file. A disk that is full loses lines, never the program. Holding the lock. */
static void flush(struct watcher *watcher) {
    size_t at = 0, length = watcher->shared->pending;
    while (at < length) {
        ssize_t written = write(watcher->journal, watcher->lines + at, length - at);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            for (; at < length; at++)
                watcher->lost += watcher->lines[at] == '\n';
            break;
        }
        at += (size_t)written;
    }
    struct stat found;
    watcher->shared->pending = 0;
    if (length && fstat(watcher->journal, &found) == 0)
        watcher->shared->written = (uint64_t)found.st_size;
}

/* Holding the lock. */
static void append(struct watcher *watcher, const char *line, size_t length) {
    if (watcher->shared->pending + length > watcher->lines_room)
        flush(watcher);
    if (length > watcher->lines_room) {
        watcher->lost++;
        return;
    }
    if (!atomic_exchange(&watcher->active, true))
        wake(watcher);
    memcpy(watcher->lines + watcher->shared->pending, line, length);
    atomic_thread_fence(memory_order_release);
    watcher->shared->pending += (uint32_t)length;
}

static void begin(struct work *work, char operation, uint32_t process) {
    work->end = 0;
    work->overflown = false;
    char head[6] = {'[', '"', operation, '"', ',', 0};
    add(work, head, 5);
    add_number(work, (int64_t)now());
    add(work, ",", 1);
    add_number(work, process);
    add(work, ",", 1);
}

/* Holding the lock. */
static void finish(struct work *work) {
    add(work, "]\n", 2);
    if (work->overflown)
        work->watcher->lost++;
    else
        append(work->watcher, work->line, work->end);
}

/* A line of the usual form; `other`, `found` and `text` may be NULL. Holding the lock. */
static void note(struct work *work, char operation, uint32_t process, const struct path *path, const struct path *other,
                 int64_t flags, const struct stat *found, const char *text) {
    begin(work, operation, process);
    if (path)
        add_path(work, path->text, path->length);
    else
        add_text(work, "null");
    if (other || flags || found || text) {
        add(work, ",", 1);
        if (other)
            add_path(work, other->text, other->length);
        else
            add_text(work, "null");
        add(work, ",", 1);
        add_number(work, flags);
    }
    if (found || text) {
        add(work, ",", 1);
        if (found)
            add_stat(work, found);
        else
            add_text(work, "null");
    }
    if (text) {
        add_text(work, ",\"");
        add_escaped(work, text, strlen(text));
        add(work, "\"", 1);
    }
    finish(work);
}

/* -- processes --------------------------------------------------------------------------------------------------------- */

enum { STALE = 1000000 }; /* microseconds; numbers are not given out again within a second */

static size_t read_file(const char *name, char *into, size_t room) {
    int descriptor = open(name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    ssize_t length = read(descriptor, into, room - 1);
    close(descriptor);
    into[length < 0 ? 0 : length] = 0;
    return length < 0 ? 0 : (size_t)length;
}

/* Whether a number that was not heard of for a while belongs to another process by now: one that started since. */
static bool given_out_again(uint32_t thread, uint64_t first) {
    char name[32], text[512];
    snprintf(name, sizeof name, "/proc/%u/stat", thread);
    if (!read_file(name, text, sizeof text))
        return false;
    char *at = strrchr(text, ')');
    if (!at)
        return false;
    for (int field = 2; field < 22 && at; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return false;
    uint64_t ticks = strtoull(at + 1, NULL, 10);
    return ticks * (1000000 / (uint64_t)sysconf(_SC_CLK_TCK)) > first;
}

struct identity {
    uint32_t process, parent;
    char name[64];
};

/* Of the first thread of a process: its name and its parent. /proc/N/stat costs the kernel half of /proc/N/status. */
static bool identify_leader(uint32_t thread, struct identity *identity) {
    char name[32], text[512];
    if (syscall(SYS_tgkill, thread, thread, 0) != 0 && errno != EPERM)
        return false;
    snprintf(name, sizeof name, "/proc/%u/stat", thread);
    if (!read_file(name, text, sizeof text))
        return false;
    char *start = strchr(text, '('), *end = strrchr(text, ')');
    if (!start || !end)
        return false;
    *end = 0;
    snprintf(identity->name, sizeof identity->name, "%s", start + 1);
    identity->parent = (uint32_t)strtoul(end + 4, NULL, 10); /* ") S " */
    return true;
}

static void identify(uint32_t thread, struct identity *identity) {
    char name[32], text[1024];
    *identity = (struct identity){.process = thread};
    if (identify_leader(thread, identity))
        return;
    snprintf(name, sizeof name, "/proc/%u/status", thread);
    read_file(name, text, sizeof text);
    for (char *line = text, *end; line && *line; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        if (end)
            *end = 0;
        if (starts(line, "Name:\t"))
            snprintf(identity->name, sizeof identity->name, "%s", line + 6);
        else if (starts(line, "Tgid:\t"))
            identity->process = (uint32_t)strtoul(line + 6, NULL, 10);
        else if (starts(line, "PPid:\t")) {
            identity->parent = (uint32_t)strtoul(line + 6, NULL, 10);
            return;
        }
    }
}

static struct process *known(struct watcher *watcher, uint32_t thread) {
    uint64_t *at = find(&watcher->threads, mixed(thread) | 1);
    return at && *at ? &watcher->processes[*at - 1] : NULL;
}

static struct process *remember(struct watcher *watcher, uint32_t thread, uint32_t number, uint64_t time) {
    struct process *process = known(watcher, thread);
    if (!process) {
        if (watcher->processes_used == watcher->processes_room) {
            size_t room = watcher->processes_room ? watcher->processes_room * 2 : 256;
            struct process *more = realloc(watcher->processes, room * sizeof *more);
            if (!more)
                return NULL;
            watcher->processes = more;
            watcher->processes_room = room;
        }
        process = &watcher->processes[watcher->processes_used++];
        put(&watcher->threads, mixed(thread) | 1, watcher->processes_used);
    }
    *process = (struct process){number, ++watcher->serials, time, time};
    return process;
}

static void introduce(struct work *work, uint32_t thread, bool again, struct process *into) {
    struct watcher *watcher = work->watcher;
    struct identity identity;
    uint64_t time = now();
    identify(thread, &identity);
    pthread_mutex_lock(&watcher->lock);
    struct process *process = remember(watcher, thread, identity.process, time);
    *into = process ? *process : (struct process){identity.process, 0, time, time};
    struct process *leader = identity.process == thread ? NULL : known(watcher, identity.process);
    if (leader) {
        if (process)
            process->serial = into->serial = leader->serial;
        pthread_mutex_unlock(&watcher->lock);
        return;
    }
    if (identity.process != thread) {
        process = remember(watcher, identity.process, identity.process, time);
        if (process)
            into->serial = process->serial;
    }
    bool parent_first = identity.parent > 1 && identity.parent != watcher->self && !known(watcher, identity.parent);
    pthread_mutex_unlock(&watcher->lock);
    if (parent_first) {
        struct process parent; /* so that every process stands below those that are known */
        introduce(work, identity.parent, false, &parent);
    }
    struct path mark = {.text = "again", .length = 5};
    pthread_mutex_lock(&watcher->lock);
    note(work, 'p', into->number, NULL, again ? &mark : NULL, identity.parent, NULL, identity.name);
    pthread_mutex_unlock(&watcher->lock);
}

/* The process that a thread belongs to, noted when it is seen first. `executes`: it becomes another program now. */
static struct process process_of(struct work *work, uint32_t thread, bool executes) {
    struct watcher *watcher = work->watcher;
    struct process process = {0, 0, 0, 0};
    uint64_t time = now();
    pthread_mutex_lock(&watcher->lock);
    struct process *found = known(watcher, thread);
    if (found) {
        process = *found;
        found->last = time;
    }
    pthread_mutex_unlock(&watcher->lock);
    bool again = process.number && time - process.last > STALE && given_out_again(thread, process.first);
    if (!process.number || again || executes) {
        uint32_t serial = again ? 0 : process.serial;
        introduce(work, thread, again, &process);
        if (serial) {
            pthread_mutex_lock(&watcher->lock);
            found = known(watcher, thread);
            if (found)
                found->serial = serial;
            pthread_mutex_unlock(&watcher->lock);
            process.serial = serial;
        }
    }
    return process;
}

/* -- what calls mean --------------------------------------------------------------------------------------------------- */

enum verdict { GO_ON, LEAVE }; /* LEAVE: it is for Python to say */

static bool is_own(const struct watcher *watcher, const struct path *path) {
    for (const char *own = watcher->own; *own; own += strlen(own) + 1)
        if (starts(path->text, own))
            return true;
    return false;
}

static bool holds(const struct watcher *watcher, const struct path *path) {
    return watcher->snapshot_due && strncmp(path->text, watcher->root, watcher->root_length) == 0;
}

static bool pseudo(const struct path *path) {
    return starts(path->text, "/proc/") || starts(path->text, "/sys/") || starts(path->text, "/dev/");
}

/* The names by which a process reaches its own descriptors and folders; Python follows them. */
static bool magic(const struct path *path) {
    return starts(path->text, "/dev/fd/") || starts(path->text, "/dev/std") ||
           (starts(path->text, "/proc/") && (strstr(path->text, "/fd/") || strstr(path->text, "/cwd") || strstr(path->text, "/root")));
}

static uint64_t path_key(const struct path *path) { return hash_of(path->text, path->length, 0); }

/* What was seen of a path or file before this moment may be otherwise from now on. Holding the lock. */
static void change(struct watcher *watcher, const struct path *path, const struct stat *found) {
    uint64_t generation = ++watcher->generation;
    put(&watcher->changed, path_key(path), generation);
    if (found)
        put(&watcher->changed, key_of(found), generation);
}

static uint64_t changed_at(const struct watcher *watcher, uint64_t key) {
    uint64_t *at = find(&watcher->changed, key);
    return at ? *at : 0;
}

/* Whether a process has had this path open for reading before, and nobody has changed it since. Holding the lock. */
static bool repeated(const struct watcher *watcher, uint64_t key, const struct path *path) {
    uint64_t *seen = find(&watcher->seen, key);
    if (!seen)
        return false;
    if (*seen < watcher->everything)
        return false;
    if (watcher->changed.used && *seen < changed_at(watcher, path_key(path)))
        return false;
    uint64_t *inode = find(&watcher->seen, ~key ? ~key : 1);
    return !inode || *seen >= changed_at(watcher, *inode);
}

static enum verdict open_to_read(struct work *work, uint32_t thread, const struct path *path, int64_t flags) {
    struct watcher *watcher = work->watcher;
    if (pseudo(path))
        return magic(path) ? LEAVE : GO_ON;
    struct process process = process_of(work, thread, false);
    uint64_t key = hash_of(path->text, path->length, process.serial);
    pthread_mutex_lock(&watcher->lock);
    bool again = repeated(watcher, key, path);
    pthread_mutex_unlock(&watcher->lock);
    if (again)
        return GO_ON;
    struct stat found;
    if (stat(path->text, &found) != 0) {
        pthread_mutex_lock(&watcher->lock);
        if (starts(path->text, watcher->flush_mark))
            flush(watcher);
        else if (!has(&watcher->sets[ABSENT], path_key(path))) {
            put(&watcher->sets[ABSENT], path_key(path), 1);
            note(work, 'a', process.number, path, NULL, 0, NULL, NULL);
        }
        pthread_mutex_unlock(&watcher->lock);
        return GO_ON;
    }
    if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode))
        return GO_ON;
    pthread_mutex_lock(&watcher->lock);
    put(&watcher->seen, key, watcher->generation);
    if (S_ISREG(found.st_mode)) {
        put(&watcher->seen, ~key ? ~key : 1, key_of(&found));
        put(&watcher->sets[READ], key_of(&found), 1);
        note(work, 'r', process.number, path, NULL, flags, &found, NULL);
    } else
        note(work, 'd', process.number, path, NULL, 0, NULL, NULL);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

/* Whether a content is about to be lost that must be taken first. Marks what the run itself has made. */
static bool must_save(struct watcher *watcher, const struct path *path, const struct stat *found) {
    if (!S_ISREG(found->st_mode) || is_own(watcher, path))
        return false;
    pthread_mutex_lock(&watcher->lock);
    bool done = has(&watcher->sets[TOUCHED], key_of(found));
    if (!done && has(&watcher->sets[CREATED], path_key(path))) {
        put(&watcher->sets[TOUCHED], key_of(found), 1);
        done = true;
    }
    pthread_mutex_unlock(&watcher->lock);
    return !done;
}

static enum verdict open_call(struct work *work, uint32_t thread, const struct path *path, int64_t flags) {
    struct watcher *watcher = work->watcher;
    if (flags & O_PATH)
        return GO_ON;
    if (!(flags & (O_ACCMODE | O_CREAT | O_TRUNC)))
        return open_to_read(work, thread, path, flags);
    if (pseudo(path) && !starts(path->text, "/dev/shm/"))
        return magic(path) ? LEAVE : GO_ON;
    struct stat found;
    bool there = true;
    if ((flags & TMPFILE) && (flags & O_DIRECTORY))
        there = false;
    else if (stat(path->text, &found) != 0) {
        if (errno == ENOENT && !(flags & O_CREAT))
            return GO_ON;
        if (holds(watcher, path))
            return LEAVE;
        there = false;
        pthread_mutex_lock(&watcher->lock);
        put(&watcher->sets[CREATED], path_key(path), 1);
        pthread_mutex_unlock(&watcher->lock);
    }
    if (there) {
        if (!S_ISREG(found.st_mode) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
            return GO_ON;
        if (!(flags & (O_ACCMODE | O_TRUNC)))
            return open_to_read(work, thread, path, flags & ~(int64_t)O_CREAT);
        if (holds(watcher, path) || must_save(watcher, path, &found))
            return LEAVE;
    }
    struct process process = process_of(work, thread, false);
    pthread_mutex_lock(&watcher->lock);
    change(watcher, path, there ? &found : NULL);
    note(work, 'w', process.number, path, NULL, flags, there ? &found : NULL, NULL);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

static enum verdict rename_call(struct work *work, uint32_t thread, const struct path *old, const struct path *new, uint64_t flags) {
    struct watcher *watcher = work->watcher;
    struct stat source, replaced;
    if (lstat(old->text, &source) != 0)
        return GO_ON;
    bool replaces = lstat(new->text, &replaced) == 0;
    if (replaces && flags & RENAME_FREE)
        return GO_ON;
    if (holds(watcher, old) || holds(watcher, new))
        return LEAVE;
    if (replaces && !(flags & RENAME_BOTH)) {
        if (replaced.st_dev == source.st_dev && replaced.st_ino == source.st_ino)
            return GO_ON;
        if (must_save(watcher, new, &replaced))
            return LEAVE;
    }
    struct process process = process_of(work, thread, false);
    bool folder = S_ISDIR(source.st_mode);
    pthread_mutex_lock(&watcher->lock);
    if (has(&watcher->sets[CREATED], path_key(old)))
        put(&watcher->sets[TOUCHED], key_of(&source), 1);
    put(&watcher->sets[CREATED], path_key(new), 1);
    change(watcher, old, &source);
    change(watcher, new, replaces ? &replaced : NULL);
    if (folder || flags & RENAME_BOTH)
        watcher->everything = ++watcher->generation;
    int64_t marks = (flags & RENAME_BOTH ? 1 : 0) | (folder ? 2 : 0);
    begin(work, 'm', process.number);
    add_path(work, old->text, old->length);
    add(work, ",", 1);
    add_path(work, new->text, new->length);
    add(work, ",", 1);
    add_number(work, marks);
    add(work, ",", 1);
    add_stat(work, &source);
    if (replaces) {
        add_text(work, ",\"");
        add_stat(work, &replaced);
        add(work, "\"", 1);
    }
    finish(work);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

static enum verdict unlink_call(struct work *work, uint32_t thread, const struct path *path, bool folder) {
    struct watcher *watcher = work->watcher;
    struct stat found;
    if (lstat(path->text, &found) != 0)
        return GO_ON;
    if (holds(watcher, path))
        return LEAVE;
    if (!folder) {
        pthread_mutex_lock(&watcher->lock);
        bool was_read = has(&watcher->sets[READ], key_of(&found));
        pthread_mutex_unlock(&watcher->lock);
        if (was_read && must_save(watcher, path, &found))
            return LEAVE;
    }
    struct process process = process_of(work, thread, false);
    pthread_mutex_lock(&watcher->lock);
    change(watcher, path, &found);
    note(work, 'u', process.number, path, NULL, folder, &found, NULL);
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

static enum verdict mkdir_call(struct work *work, uint32_t thread, const struct path *path) {
    struct stat found;
    if (lstat(path->text, &found) == 0)
        return GO_ON;
    struct process process = process_of(work, thread, false);
    pthread_mutex_lock(&work->watcher->lock);
    note(work, 'k', process.number, path, NULL, 0, NULL, NULL);
    pthread_mutex_unlock(&work->watcher->lock);
    return GO_ON;
}

/* The caller's argument vector. False where it is longer than we look at, or cannot be read. */
static bool read_words(struct work *work, uint32_t thread, uint64_t address, size_t width) {
    size_t end = 0;
    unsigned char block[512];
    work->word_count = 0;
    while (address) {
        size_t wanted = PAGE - (address & (PAGE - 1));
        ssize_t got = memory(thread, address, block, wanted < sizeof block ? wanted : sizeof block);
        if (got < (ssize_t)width)
            return false;
        for (size_t at = 0; at + width <= (size_t)got; at += width) {
            uint64_t pointer = 0;
            memcpy(&pointer, block + at, width);
            if (!pointer)
                return true;
            if (work->word_count == WORDS || end + 2 * PAGE > ARGUMENTS)
                return false;
            ssize_t length = text_of(thread, pointer, work->words + end);
            if (length < 0 || length >= PAGE)
                return false;
            work->word_at[work->word_count++] = end;
            end += (size_t)length + 1;
        }
        address += (size_t)got / width * width;
    }
    return true;
}

static bool lower_contains(const char *text, const char *strings) {
    for (const char *one = strings; *one; one += strlen(one) + 1)
        if (strcasestr(text, one))
            return true;
    return false;
}

/* A long word of letters and digits that is no path and no option. */
static bool jumbled(const char *word) {
    if (strlen(word) < 20 || strpbrk(word, "/. ") || word[0] == '-')
        return false;
    bool letter = false, digit = false;
    for (; *word; word++) {
        letter |= (*word >= 'a' && *word <= 'z') || (*word >= 'A' && *word <= 'Z') || *word & 0x80;
        digit |= *word >= '0' && *word <= '9';
    }
    return letter && digit;
}

/* Whether redaction must be asked; as `record.secrets.suspicious`. */
static bool suspicious(const struct work *work) {
    const struct watcher *watcher = work->watcher;
    for (size_t number = 0; number < work->word_count; number++) {
        const char *word = work->words + work->word_at[number];
        if (!number) {
            const char *slash = strrchr(word, '/');
            for (const char *one = watcher->telling; *one; one += strlen(one) + 1)
                if (starts(slash ? slash + 1 : word, one))
                    return true;
        }
        if (lower_contains(word, watcher->marks) || jumbled(word))
            return true;
        for (const char *one = watcher->secrets; *one; one += strlen(one) + 1)
            if (strstr(word, one))
                return true;
    }
    return false;
}

static enum verdict execute_call(struct work *work, uint32_t thread, const struct path *path, uint64_t argv, size_t width) {
    struct watcher *watcher = work->watcher;
    struct stat found;
    if (stat(path->text, &found) != 0)
        return GO_ON; /* a search along PATH */
    if (!read_words(work, thread, argv, width) || suspicious(work))
        return LEAVE;
    bool placed = link_of(work->folder, sizeof work->folder, "/proc/%u/cwd", thread);
    struct process process = process_of(work, thread, true);
    pthread_mutex_lock(&watcher->lock);
    begin(work, 'x', process.number);
    add_path(work, path->text, path->length);
    add(work, ",", 1);
    if (placed)
        add_path(work, work->folder, strlen(work->folder));
    else
        add_text(work, "null");
    add_text(work, ",0,");
    add_stat(work, &found);
    /* A JSON text inside a JSON text: its quotation marks and backslashes are escaped once more. */
    add_text(work, ",\"[");
    for (size_t number = 0; number < work->word_count; number++) {
        const char *word = work->words + work->word_at[number];
        size_t start = work->end, length, extra = 0;
        add_escaped(work, word, strlen(word));
        length = work->end - start;
        for (size_t at = start; at < work->end; at++)
            extra += work->line[at] == '\\' || work->line[at] == '"';
        if (work->end + extra + 8 >= LINE) {
            work->overflown = true;
            break;
        }
        size_t from = start + length, to = from + extra + 2 + (number ? 1 : 0);
        work->end = to;
        while (from > start) {
            char c = work->line[--from];
            work->line[--to] = c;
            if (c == '\\' || c == '"')
                work->line[--to] = '\\';
        }
        work->line[--to] = '"';
        work->line[--to] = '\\';
        if (number)
            work->line[--to] = ',';
        add_text(work, "\\\"");
    }
    add_text(work, "]\"");
    finish(work);
    if (found.st_mode & 06000 && watcher->user && watcher->user != found.st_uid) {
        char text[LONGEST + 96];
        snprintf(text, sizeof text, "%s could not gain privileges under observation; use --observe audit", path->text);
        note(work, 'g', process.number, NULL, NULL, 0, NULL, text);
    }
    pthread_mutex_unlock(&watcher->lock);
    return GO_ON;
}

static enum call call_of(const struct watcher *watcher, const struct message *message) {
    for (size_t at = 0; at < ARCHITECTURES; at++)
        if (watcher->architectures[at] == message->architecture)
            return message->number >= 0 && message->number < CALLS ? watcher->calls[at][message->number] : OTHER;
    return OTHER;
}

static enum verdict look(struct work *work, const struct message *message) {
    const uint64_t *a = message->a;
    uint32_t thread = message->thread;
    size_t width = message->architecture == I386 ? 4 : 8;
    uint64_t here = (uint64_t)(int64_t)AT_FDCWD, flags = 0;
    struct path *one = &work->one, *other = &work->other;
#define READ_PATH(path, address, folder) \
    if (!read_path(work, path, thread, address, folder)) \
        return GO_ON
    switch (call_of(work->watcher, message)) {
    case OPEN:
        READ_PATH(one, a[0], here);
        return open_call(work, thread, one, (int64_t)(uint32_t)a[1]);
    case OPENAT:
        READ_PATH(one, a[1], a[0]);
        return open_call(work, thread, one, (int64_t)(uint32_t)a[2]);
    case OPENAT2:
        READ_PATH(one, a[1], a[0]);
        if (memory(thread, a[2], &flags, sizeof flags) != sizeof flags)
            return GO_ON;
        return open_call(work, thread, one, (int64_t)flags);
    case CREAT:
        READ_PATH(one, a[0], here);
        return open_call(work, thread, one, O_CREAT | O_WRONLY | O_TRUNC);
    case EXECVE:
        READ_PATH(one, a[0], here);
        return execute_call(work, thread, one, a[1], width);
    case EXECVEAT:
        READ_PATH(one, a[1], a[0]);
        return execute_call(work, thread, one, a[2], width);
    case RENAME:
        READ_PATH(one, a[0], here);
        READ_PATH(other, a[1], here);
        return rename_call(work, thread, one, other, 0);
    case RENAMEAT:
    case RENAMEAT2:
        READ_PATH(one, a[1], a[0]);
        READ_PATH(other, a[3], a[2]);
        return rename_call(work, thread, one, other, call_of(work->watcher, message) == RENAMEAT2 ? a[4] : 0);
    case UNLINK:
        READ_PATH(one, a[0], here);
        return unlink_call(work, thread, one, false);
    case UNLINKAT:
        READ_PATH(one, a[1], a[0]);
        return unlink_call(work, thread, one, (a[2] & AT_REMOVEDIR) != 0);
    case RMDIR:
        READ_PATH(one, a[0], here);
        return unlink_call(work, thread, one, true);
    case MKDIR:
        READ_PATH(one, a[0], here);
        return mkdir_call(work, thread, one);
    case MKDIRAT:
        READ_PATH(one, a[1], a[0]);
        return mkdir_call(work, thread, one);
    case IGNORED:
        return GO_ON;
    case OTHER:
        return LEAVE;
    }
    return LEAVE;
}

/* -- threads ----------------------------------------------------------------------------------------------------------- */

static void send_answer(struct watcher *watcher, uint64_t id) {
    struct answer answer = {.id = id, .flags = CONTINUE};
    ioctl(watcher->listener, SEND, &answer); /* ENOENT: the caller was killed meanwhile */
}

/* A free slot; waits until there is one. */
static uint32_t take_slot(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    while (!watcher->free_count)
        pthread_cond_wait(&watcher->slot_freed, &watcher->lock);
    uint32_t slot = watcher->free_slots[--watcher->free_count];
    pthread_mutex_unlock(&watcher->lock);
    return slot;
}

static void leave(struct watcher *watcher, uint32_t slot) {
    pthread_mutex_lock(&watcher->lock);
    watcher->queue[(watcher->queue_first + watcher->queue_count++) % watcher->shared->slots] = slot;
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher);
}

/* Wait until this worker is wanted. */
static void park(struct watcher *watcher, uint32_t number) {
    pthread_mutex_lock(&watcher->lock);
    while (number >= atomic_load(&watcher->wanted) && !atomic_load(&watcher->ending))
        pthread_cond_wait(&watcher->called, &watcher->lock);
    pthread_mutex_unlock(&watcher->lock);
}

static void *work_on(void *given) {
    struct worker *worker = given;
    struct watcher *watcher = worker->watcher;
    struct work *work = malloc(sizeof *work);
    if (!work)
        return NULL;
    work->watcher = watcher;
    uint32_t slot = take_slot(watcher);
    while (!atomic_load_explicit(&watcher->ending, memory_order_relaxed)) {
        if (worker->number >= atomic_load_explicit(&watcher->wanted, memory_order_relaxed)) {
            park(watcher, worker->number);
            continue;
        }
        struct message *message = &watcher->slots[slot];
        memset(message, 0, sizeof *message);
        if (ioctl(watcher->listener, RECEIVE, message) != 0) {
            message->id = 0;
            if (errno == ENOENT || errno == EINTR)
                continue;
            break;
        }
        atomic_fetch_add(&worker->handled, 1);
        if (!atomic_load(&watcher->active) && !atomic_exchange(&watcher->active, true))
            wake(watcher);
        if (look(work, message) == LEAVE) {
            leave(watcher, slot);
            slot = take_slot(watcher);
        } else {
            send_answer(watcher, message->id);
            message->id = 0;
        }
        atomic_fetch_add_explicit(&worker->handled, 1, memory_order_relaxed);
    }
    free(work);
    return NULL;
}

/* Every 20 ms while there are messages: write out the journal, and see whether more workers are needed, because those that
 * receive are held up (a slow file system), or cannot keep up and there are processors to spare. `waiting`: a message is. */
static void tick(struct watcher *watcher, bool waiting) {
    uint32_t stuck = 0, busy = 0, wanted = atomic_load(&watcher->wanted);
    for (uint32_t number = 0; number < watcher->worker_count; number++) {
        struct worker *worker = &watcher->workers[number];
        uint32_t handled = atomic_load(&worker->handled);
        stuck += (handled & 1) && handled == worker->handled_before;
        busy += handled != worker->handled_before;
        worker->handled_before = handled;
    }
    watcher->backlog = waiting ? watcher->backlog + 1 : 0;
    watcher->calm = waiting || stuck ? 0 : watcher->calm + 1;
    pthread_mutex_lock(&watcher->lock);
    flush(watcher);
    if (wanted < watcher->worker_count &&
        (stuck >= wanted || (watcher->backlog >= 3 && wanted - stuck < watcher->worker_limit))) {
        atomic_store(&watcher->wanted, wanted + 1);
        watcher->backlog = 0;
        pthread_cond_broadcast(&watcher->called);
    } else if (wanted > 1 && watcher->calm >= 10) {
        atomic_store(&watcher->wanted, wanted - 1);
        watcher->calm = 0;
    }
    if (!busy && !stuck) {
        atomic_store(&watcher->active, false);
        for (uint32_t number = 0; number < watcher->worker_count; number++) /* one may have begun meanwhile */
            if (atomic_load(&watcher->workers[number].handled) != watcher->workers[number].handled_before)
                atomic_store(&watcher->active, true);
    }
    pthread_mutex_unlock(&watcher->lock);
}

static void woken(int number) { (void)number; }

/* -- for Python ---------------------------------------------------------------------------------------------------------- */

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

enum { VERSION = 1, WAKE = SIGURG };

int vestige_version(void) { return VERSION; }

struct watcher *vestige_new(const struct setup *setup) {
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        return NULL;
    watcher->listener = setup->listener;
    watcher->journal = setup->journal;
    watcher->snapshot_due = setup->snapshot_due;
    watcher->self = (uint32_t)getpid();
    watcher->user = geteuid();
    watcher->root = setup->root;
    watcher->root_length = strlen(setup->root);
    watcher->own = setup->own;
    watcher->marks = setup->marks;
    watcher->telling = setup->telling;
    watcher->secrets = setup->secrets;
    watcher->flush_mark = setup->flush_mark;
    memcpy(watcher->architectures, setup->architectures, sizeof watcher->architectures);
    memcpy(watcher->calls, setup->calls, sizeof watcher->calls);
    watcher->shared = setup->shared;
    watcher->shared->slots = setup->slots;
    watcher->slots = (struct message *)((char *)setup->shared + 64);
    watcher->lines = (char *)(watcher->slots + setup->slots);
    watcher->lines_room = (size_t)((char *)setup->shared + setup->shared_size - watcher->lines);
    watcher->free_slots = malloc(setup->slots * sizeof *watcher->free_slots);
    watcher->queue = malloc(setup->slots * sizeof *watcher->queue);
    watcher->workers = calloc((size_t)setup->threads, sizeof *watcher->workers);
    watcher->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct stat found;
    if (!watcher->free_slots || !watcher->queue || !watcher->workers || watcher->wake < 0) {
        free(watcher);
        return NULL;
    }
    if (fstat(watcher->journal, &found) == 0)
        watcher->shared->written = (uint64_t)found.st_size;
    for (uint32_t slot = setup->slots; slot-- > 0;)
        watcher->free_slots[watcher->free_count++] = slot;
    pthread_mutex_init(&watcher->lock, NULL);
    pthread_cond_init(&watcher->slot_freed, NULL);
    pthread_cond_init(&watcher->called, NULL);
    atomic_store(&watcher->wanted, 1);
    ioctl(watcher->listener, SET_FLAGS, SYNC_WAKE_UP); /* Linux 6.6: hand the processor over, since the caller waits */
    return watcher;
}

/* Start the threads; how many there are. They take no signal of the process's. `limit`: of those that work at once because
 * there is much to do; others are for when these are held up. */
int vestige_start(struct watcher *watcher, int threads, int limit) {
    struct sigaction action = {.sa_handler = woken};
    sigset_t all, before;
    pthread_attr_t attributes;
    sigaction(WAKE, &action, NULL);
    sigfillset(&all);
    sigdelset(&all, WAKE);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    watcher->worker_limit = (uint32_t)limit;
    for (int number = 0; number < threads; number++) {
        struct worker *worker = &watcher->workers[watcher->worker_count];
        *worker = (struct worker){.watcher = watcher, .number = watcher->worker_count};
        if (pthread_create(&worker->thread, &attributes, work_on, worker) == 0)
            watcher->worker_count++;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return (int)watcher->worker_count;
}

enum { NOBODY_LEFT = -1, OTHERS = -2, PAUSE = -3, IDLE = 20 };

/* Wait until there is something for Python: the slot of a message (0 and above), descriptors of `others` that are ready
 * (`ready` says which, with their events), nobody left who is filtered, or `milliseconds` (-1: none) gone. */
int vestige_wait(struct watcher *watcher, const int *others, short *ready, int count, int milliseconds) {
    struct pollfd polled[16];
    if (count > 14)
        count = 14;
    for (;;) {
        pthread_mutex_lock(&watcher->lock);
        if (watcher->queue_count) {
            uint32_t slot = watcher->queue[watcher->queue_first];
            watcher->queue_first = (watcher->queue_first + 1) % watcher->shared->slots;
            watcher->queue_count--;
            pthread_mutex_unlock(&watcher->lock);
            return (int)slot;
        }
        pthread_mutex_unlock(&watcher->lock);
        bool active = atomic_load(&watcher->active);
        polled[0] = (struct pollfd){watcher->listener, 0, 0};
        polled[1] = (struct pollfd){watcher->wake, POLLIN, 0};
        for (int at = 0; at < count; at++)
            polled[2 + at] = (struct pollfd){others[at], POLLIN, 0};
        int timeout = milliseconds;
        if (active && (timeout < 0 || timeout > IDLE))
            timeout = IDLE;
        int found = poll(polled, (nfds_t)(2 + count), timeout);
        if (found < 0)
            continue; /* a signal: what it is about is written to one of the others */
        if (polled[1].revents) {
            uint64_t number;
            if (read(watcher->wake, &number, sizeof number) < 0) {}
        }
        bool others_ready = false;
        for (int at = 0; at < count; at++) {
            ready[at] = polled[2 + at].revents;
            others_ready |= ready[at] != 0;
        }
        if (others_ready)
            return OTHERS;
        if (found == 0) {
            struct pollfd listener = {watcher->listener, POLLIN, 0};
            tick(watcher, poll(&listener, 1, 0) > 0 && listener.revents & POLLIN);
            if (milliseconds >= 0)
                return PAUSE;
        } else if (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL))
            return NOBODY_LEFT;
    }
}

void vestige_answer(struct watcher *watcher, uint64_t id) {
    send_answer(watcher, id);
    pthread_mutex_lock(&watcher->lock);
    for (uint32_t slot = 0; slot < watcher->shared->slots; slot++)
        if (watcher->slots[slot].id == id) {
            watcher->slots[slot].id = 0;
            watcher->free_slots[watcher->free_count++] = slot;
            pthread_cond_signal(&watcher->slot_freed);
            break;
        }
    pthread_mutex_unlock(&watcher->lock);
}

void vestige_append(struct watcher *watcher, const char *line, size_t length) {
    pthread_mutex_lock(&watcher->lock);
    append(watcher, line, length);
    pthread_mutex_unlock(&watcher->lock);
}

void vestige_flush(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    flush(watcher);
    pthread_mutex_unlock(&watcher->lock);
}

void vestige_snapshot_taken(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    watcher->snapshot_due = false;
    pthread_mutex_unlock(&watcher->lock);
}

static uint64_t member(const char *path, uint64_t device, uint64_t inode) {
    return path ? hash_of(path, strlen(path), 0) : hash_of_pair(device, inode);
}

int vestige_has(struct watcher *watcher, int set, const char *path, uint64_t device, uint64_t inode) {
    pthread_mutex_lock(&watcher->lock);
    bool found = has(&watcher->sets[set], member(path, device, inode));
    pthread_mutex_unlock(&watcher->lock);
    return found;
}

void vestige_put(struct watcher *watcher, int set, const char *path, uint64_t device, uint64_t inode) {
    pthread_mutex_lock(&watcher->lock);
    put(&watcher->sets[set], member(path, device, inode), 1);
    pthread_mutex_unlock(&watcher->lock);
}

/* As `change`: for what Python has let go on. */
void vestige_changed(struct watcher *watcher, const char *path, uint64_t device, uint64_t inode, int everything) {
    pthread_mutex_lock(&watcher->lock);
    uint64_t generation = ++watcher->generation;
    put(&watcher->changed, hash_of(path, strlen(path), 0), generation);
    if (device || inode)
        put(&watcher->changed, hash_of_pair(device, inode), generation);
    if (everything)
        watcher->everything = generation;
    pthread_mutex_unlock(&watcher->lock);
}

/* The process of a thread; noted if it is new. */
uint32_t vestige_process(struct watcher *watcher, uint32_t thread, int executes) {
    struct work *work = malloc(sizeof *work);
    if (!work)
        return thread;
    work->watcher = watcher;
    struct process process = process_of(work, thread, executes != 0);
    free(work);
    return process.number ? process.number : thread;
}

/* How many events had no path that could be read, and how many lines were lost. */
void vestige_counts(struct watcher *watcher, uint64_t *unreadable_calls, uint64_t *lost) {
    pthread_mutex_lock(&watcher->lock);
    *unreadable_calls = watcher->unreadable;
    *lost = watcher->lost;
    pthread_mutex_unlock(&watcher->lock);
}

enum { PATIENCE = 500 }; /* times 2 ms; who still waits for a file system then is left behind */

/* End the threads, and write out what is left. */
void vestige_end(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    atomic_store(&watcher->ending, true);
    pthread_cond_broadcast(&watcher->called);
    pthread_mutex_unlock(&watcher->lock);
    for (uint32_t number = 0; number < watcher->worker_count; number++) {
        struct timespec soon;
        int tries = 0;
        do {
            pthread_kill(watcher->workers[number].thread, WAKE);
            clock_gettime(CLOCK_REALTIME, &soon);
            soon.tv_nsec += 2000000;
            if (soon.tv_nsec >= 1000000000) {
                soon.tv_sec++;
                soon.tv_nsec -= 1000000000;
            }
        } while (pthread_timedjoin_np(watcher->workers[number].thread, NULL, &soon) == ETIMEDOUT && ++tries < PATIENCE);
    }
    vestige_flush(watcher);
}
