/* What the caller of a suspended call has in its memory, and which process it is. */

#include "watcher.h"

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

void unreadable(struct watcher *watcher) {
    pthread_mutex_lock(&watcher->lock);
    watcher->unreadable++;
    pthread_mutex_unlock(&watcher->lock);
}

ssize_t memory(uint32_t thread, uint64_t address, void *into, size_t length) {
    struct iovec local = {into, length}, remote = {(void *)(uintptr_t)address, length};
    return process_vm_readv((pid_t)thread, &local, 1, &remote, 1, 0);
}

/* A string of the caller's, at most two pages of it; its length, or -1. */
ssize_t text_of(uint32_t thread, uint64_t address, char *into) {
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

bool link_of(char *into, size_t room, const char *format, ...) {
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

/* A path of the caller's, made absolute. False where it cannot be known: `errno` says why. */
bool read_path(struct work *work, struct path *path, uint32_t thread, uint64_t address, uint64_t folder) {
    char text[2 * PAGE + 1];
    ssize_t length = text_of(thread, address, text);
    if (length < 0)
        return false;
    if (text[0] == '/') {
        memcpy(path->text, text, (size_t)length + 1);
        path->length = (size_t)length;
        return true;
    }
    int32_t descriptor = (int32_t)folder;
    bool known = descriptor == AT_FDCWD ? link_of(work->folder, sizeof work->folder, "/proc/%u/cwd", thread)
                                        : link_of(work->folder, sizeof work->folder, "/proc/%u/fd/%d", thread, descriptor);
    if (!known)
        return false;
    const char *rest = text;
    while (rest[0] == '.' && rest[1] == '/')
        for (rest += 2; *rest == '/'; rest++) {}
    if (!*text)
        path->length = (size_t)snprintf(path->text, LONGEST, "%s", work->folder);
    else
        path->length = (size_t)snprintf(path->text, LONGEST, "%s/%s", strcmp(work->folder, "/") ? work->folder : "", rest);
    if (path->length >= PATH_MAX)
        errno = ENAMETOOLONG;
    return path->length < PATH_MAX;
}

/* The caller's argument vector. False where it is longer than we look at, or cannot be read. */
bool read_words(struct work *work, uint32_t thread, uint64_t address, size_t width) {
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
struct process process_of(struct work *work, uint32_t thread, bool executes) {
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
