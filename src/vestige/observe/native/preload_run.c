/* The run's side of the preloaded library: the page that its processes share, the journal, and the watcher's ear.
 *
 * The library lives in programs that are not ours, at any moment: in signal handlers, between vfork and exec, in threads
 * with small stacks. So nothing here allocates or takes a lock, and the C library is asked for nothing that might. What a
 * process remembers lies in memory of its own, which the kernel blanks in a fork. The journal is a file opened for
 * appending, one write a line: what was written stays, however the program ends. Programs close descriptors that are not
 * theirs, so before each line it is looked at whether ours is still the journal.
 */

#include "preload.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>

struct seen {
    _Atomic uint64_t key, at, file;
};

enum { LEVELS = 3, PROBES = 16, PATIENCE = 2 };

static const size_t rooms[LEVELS] = {256, 4096, 65536};

/* What a process has to itself. */
struct own {
    struct seen small[256], middle[4096], large[65536];
    struct work works[WORKS];
};

struct page *page;
char run_folder[PATH_MAX];
static struct own *own;
static char page_path[PATH_MAX + 16], journal_path[PATH_MAX + 16];
static uint64_t journal_file;
static atomic_int journal = -1;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void *map(size_t length, int protection, int flags, int descriptor) {
    long found = raw(SYS_mmap, 0, length, protection, flags, descriptor, 0);
    return found < 0 && found > -4096 ? NULL : (void *)found;
}

/* Whether this process belongs to a run; `run_folder` says to which. */
bool take_part(void) {
    size_t length = strlen(run_folder);
    memcpy(page_path, run_folder, length);
    memcpy(page_path + length, "/preload", 9);
    memcpy(journal_path, run_folder, length);
    memcpy(journal_path + length, "/events.jsonl", 14);
    long descriptor = raw(SYS_openat, AT_FDCWD, page_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if (descriptor < 0)
        return false;
    struct stat found;
    if (raw(SYS_fstat, descriptor, &found) == 0 && (size_t)found.st_size == sizeof(struct page))
        page = map(sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, (int)descriptor);
    raw(SYS_close, descriptor);
    if (!page)
        return false;
    own = map(sizeof *own, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (page->mark != MARK || !own || !look_at(journal_path, &found, 0)) {
        page = NULL;
        return false;
    }
    raw(SYS_madvise, own, sizeof *own, MADV_WIPEONFORK);
    journal_file = key_of(&found);
    return true;
}

/* Whether the next program could do so, too: not as another user, nor behind another root. */
bool within_reach(void) {
    struct stat found;
    uid_t user = (uid_t)raw(SYS_geteuid);
    if (!look_at(page_path, &found, AT_SYMLINK_NOFOLLOW) || (user && user != found.st_uid))
        return false; /* whatever it may do by its capabilities: the next program does not have them */
    long own_page = raw(SYS_openat, AT_FDCWD, page_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    long library = own_page < 0 ? own_page : raw(SYS_openat, AT_FDCWD, library_path, O_RDONLY | O_CLOEXEC, 0);
    if (own_page >= 0)
        raw(SYS_close, own_page);
    if (library >= 0)
        raw(SYS_close, library);
    return library >= 0 || library == -EMFILE || library == -ENFILE;
}

/* Room for one call. */
struct work *claim(void) {
    struct work *work = NULL;
    for (size_t at = 0; at < WORKS && !work; at++)
        if (!atomic_exchange(&own->works[at].busy, true))
            work = &own->works[at];
    if (!work && (work = map(sizeof *work, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1)))
        work->temporary = true;
    if (work)
        work->process = (uint32_t)raw(SYS_getpid);
    else
        atomic_fetch_add(&page->lost, 1);
    return work;
}

void release(struct work *work) {
    if (work->temporary)
        raw(SYS_munmap, work, sizeof *work);
    else
        atomic_store(&work->busy, false);
}

/* -- what the run remembers ------------------------------------------------------------------------------------------- */

static uint64_t mixed_key(enum kind kind, uint64_t key) {
    uint64_t found = mixed(key + kind * 0x9E3779B97F4A7C15ULL);
    return found ? found : 1;
}

static struct entry *entry_of(enum kind kind, uint64_t key, bool make) {
    uint64_t wanted = mixed_key(kind, key);
    for (size_t probe = 0; probe < 4 * PROBES; probe++) {
        struct entry *entry = &page->entries[(wanted + probe) & (ROOM - 1)];
        uint64_t there = atomic_load_explicit(&entry->key, memory_order_acquire);
        if (!there && !make)
            return NULL;
        if (!there && atomic_compare_exchange_strong(&entry->key, &there, wanted))
            return entry;
        if (there == wanted)
            return entry;
    }
    return NULL;
}

bool remembered(enum kind kind, uint64_t key, uint64_t *value) {
    struct entry *entry = entry_of(kind, key, false);
    uint64_t found = entry ? atomic_load(&entry->value) : 0;
    if (value)
        *value = found;
    return found != 0;
}

/* False where there is no room for it. */
bool remember(enum kind kind, uint64_t key, uint64_t value) {
    struct entry *entry = entry_of(kind, key, true);
    if (entry)
        atomic_store(&entry->value, value);
    else if (kind == READ)
        atomic_store(&page->full, 1);
    return entry != NULL;
}

void forget(enum kind kind, uint64_t key) {
    struct entry *entry = entry_of(kind, key, false);
    if (entry)
        atomic_store(&entry->value, 0);
}

static struct seen *seen_of(uint64_t key, bool make) {
    struct seen *levels[LEVELS] = {own->small, own->middle, own->large};
    for (size_t level = 0; level < LEVELS; level++)
        for (size_t probe = 0; probe < PROBES; probe++) {
            struct seen *seen = &levels[level][(key + probe) & (rooms[level] - 1)];
            uint64_t there = atomic_load_explicit(&seen->key, memory_order_acquire);
            if (there == key)
                return seen;
            if (there)
                continue;
            if (!make)
                return NULL;
            if (atomic_compare_exchange_strong(&seen->key, &there, key) || there == key)
                return seen;
        }
    return NULL;
}

/* Whether this process has had a path open for reading before, and nobody has changed it since. */
bool repeated(uint64_t key, uint64_t path) {
    struct seen *seen = seen_of(key, false);
    uint64_t at = seen ? atomic_load(&seen->at) : 0, since;
    if (!at || at <= atomic_load(&page->everything))
        return false;
    if (at == atomic_load(&page->generation) + 1)
        return true;
    if (remembered(CHANGED, path, &since) && at <= since)
        return false;
    uint64_t file = atomic_load(&seen->file);
    return !file || !remembered(CHANGED, file, &since) || at > since;
}

/* `at`: the generation when it was looked at. */
void opened(uint64_t key, uint64_t at, uint64_t file) {
    struct seen *seen = seen_of(key, true);
    if (!seen)
        return;
    atomic_store(&seen->file, file);
    atomic_store(&seen->at, at + 1);
}

/* What was seen of a path or file before this moment may be otherwise from now on. */
void changed(const struct path *path, const struct stat *found, bool everything) {
    uint64_t generation = atomic_fetch_add(&page->generation, 1) + 1;
    everything |= !remember(CHANGED, path_key(path), generation);
    everything |= found && !remember(CHANGED, key_of(found), generation);
    if (everything)
        atomic_store(&page->everything, generation);
}

/* -- the journal ------------------------------------------------------------------------------------------------------ */

static bool is_journal(int descriptor, struct stat *found) {
    return descriptor >= 0 && raw(SYS_fstat, descriptor, found) == 0 && key_of(found) == journal_file;
}

/* The journal's descriptor, with a number that programs do not use; -1 where there is none to be had. */
static int journal_now(struct stat *found) {
    static const int numbers[] = {900, 400, 200, 60, 20};
    int known = atomic_load(&journal);
    if (is_journal(known, found))
        return known;
    int low = (int)raw(SYS_openat, AT_FDCWD, journal_path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0), high = -1;
    for (size_t at = 0; low >= 0 && high < 0 && at < sizeof numbers / sizeof *numbers; at++)
        high = (int)raw(SYS_fcntl, low, F_DUPFD_CLOEXEC, numbers[at]);
    if (high >= 0)
        raw(SYS_close, low);
    else
        high = low;
    if (!is_journal(high, found)) {
        if (high >= 0)
            raw(SYS_close, high);
        return -1;
    }
    if (!atomic_compare_exchange_strong(&journal, &known, high) && known != high && is_journal(known, found)) {
        raw(SYS_close, high); /* another thread was faster */
        return known;
    }
    atomic_store(&journal, high);
    return high;
}

void begin(struct work *work, char operation, uint32_t number) {
    struct line *line = &work->line;
    if (!line->bytes)
        *line = (struct line){.bytes = work->bytes, .room = sizeof work->bytes};
    char head[5] = {'[', '"', operation, '"', ','};
    add(line, head, sizeof head);
    add_number(line, (int64_t)now());
    add(line, ",", 1);
    add_number(line, number);
    add(line, ",", 1);
}

/* The fields after the process; `other`, `found` and `text` may be NULL. */
void add_rest(struct work *work, const struct path *path, const struct path *other, int64_t flags, const struct stat *found,
              const char *text) {
    struct line *line = &work->line;
    if (path)
        add_path(line, path->text, path->length);
    else
        add_text(line, "null");
    if (other || flags || found || text) {
        add(line, ",", 1);
        if (other)
            add_path(line, other->text, other->length);
        else
            add_text(line, "null");
        add(line, ",", 1);
        add_number(line, flags);
    }
    if (found || text) {
        add(line, ",", 1);
        if (found)
            add_stat(line, found);
        else
            add_text(line, "null");
    }
    if (text) {
        add_text(line, ",\"");
        add_escaped(line, text, strlen(text));
        add(line, "\"", 1);
    }
}

void finish(struct work *work) { add(&work->line, "]\n", 2); }

/* Bring the lines that were begun and finished to the journal. */
void send_lines(struct work *work) {
    struct line *line = &work->line;
    const char *bytes = line->bytes;
    size_t length = line->end;
    bool overflown = line->overflown;
    line->end = 0;
    line->overflown = false;
    if (!length || overflown) {
        atomic_fetch_add(&page->lost, overflown);
        return;
    }
    struct stat found;
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    int descriptor = journal_now(&found);
    raw(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit);
    /* Beyond the limit a signal would end the program; the watcher has none. */
    if (descriptor < 0 || (limit.rlim_cur != RLIM_INFINITY && (uint64_t)found.st_size + (1 << 20) + length > limit.rlim_cur)) {
        if (!ask('j', bytes, length))
            atomic_fetch_add(&page->lost, 1);
        return;
    }
    if (atomic_load_explicit(&page->torn, memory_order_relaxed) && atomic_exchange(&page->torn, 0))
        raw(SYS_write, descriptor, "\n", 1);
    long written;
    do
        written = raw(SYS_write, descriptor, bytes, length);
    while (written == -EINTR);
    if (written == (long)length)
        return;
    atomic_fetch_add(&page->lost, 1); /* a full disk loses lines, never the program */
    if (written > 0)
        atomic_store(&page->torn, 1);
}

/* A `p`, when a process is seen first. Another one may have borne its number. */
void introduce(struct work *work) {
    uint32_t number = work->process;
    uint64_t key = hash_of_pair(number, 'p');
    struct seen *seen = seen_of(key, true);
    if (seen && atomic_exchange(&seen->at, 1))
        return;
    bool again = remembered(KNOWN, number, NULL) && !remembered(EXECUTING, number, NULL);
    static const struct path mark = {.text = "again", .length = 5};
    char name[17] = "";
    raw(SYS_prctl, PR_GET_NAME, name);
    remember(KNOWN, number, 1);
    forget(EXECUTING, number);
    begin(work, 'p', number);
    add_rest(work, NULL, again ? &mark : NULL, raw(SYS_getppid), NULL, name);
    finish(work);
}

/* -- the watcher ------------------------------------------------------------------------------------------------------ */

static void set_patience(int end, uint64_t until) {
    uint64_t time = now(), left = until > time ? until - time : 1;
    struct timeval wait = {(time_t)(left / 1000000), (suseconds_t)(left % 1000000)};
    raw(SYS_setsockopt, end, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    raw(SYS_setsockopt, end, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

static bool connected(int end, uint64_t until) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct line name = {.bytes = address.sun_path, .room = sizeof address.sun_path};
    /* A name of a socket has room for 108 bytes, a folder's name may have more. */
    int folder = (int)raw(SYS_openat, AT_FDCWD, run_folder, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    add_text(&name, "/proc/self/fd/");
    add_number(&name, folder);
    add_text(&name, "/ask");
    long result = -EBADF;
    while (folder >= 0 && (result = raw(SYS_connect, end, &address, sizeof address)) == -EINTR && now() < until)
        set_patience(end, until);
    raw(SYS_close, folder);
    return result == 0;
}

static bool answered(int end, char kind, const char *text, size_t length, uint64_t until) {
    struct iovec { const void *base; size_t length; } parts[] = {{&kind, 1}, {text, length}};
    struct { void *name; unsigned named; struct iovec *parts; size_t count; void *more; size_t mores; int flags; } message = {
        .parts = parts, .count = 2};
    long result;
    while ((result = raw(SYS_sendmsg, end, &message, MSG_NOSIGNAL)) == -EINTR && now() < until)
        set_patience(end, until);
    char answer;
    while (result > 0 && (result = raw(SYS_recvfrom, end, &answer, 1, 0)) == -EINTR && now() < until)
        set_patience(end, until);
    return result == 1;
}

/* Hand something to the watcher, and wait until it has done it: at most two seconds, and never again in this run. */
bool ask(char kind, const char *text, size_t length) {
    if (atomic_load(&page->deaf))
        return false;
    uint64_t until = now() + PATIENCE * 1000000;
    int end = (int)raw(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (end < 0)
        return false;
    set_patience(end, until);
    bool done = connected(end, until) && answered(end, kind, text, length, until);
    raw(SYS_close, end);
    if (!done)
        atomic_store(&page->deaf, 1);
    return done;
}
