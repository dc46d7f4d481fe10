/* The preloaded library: what programs ask of the C library is noted in the run's journal, before it is done.
 *
 * For where the kernel reports nothing: neither to a listener nor to a tracer. The dynamic linker loads this library into
 * every program (LD_PRELOAD, ld.so(8)), before the C library, so that the functions below are called in place of those
 * that bear the same names there. Each looks, writes a line, and calls the other.
 *
 * What follows from this:
 *
 * - Programs that are linked statically, that ask the kernel by themselves (Go), of another architecture or C library, and
 *   those that gain privileges, are not seen. Whoever executes one of them says so in the journal (`preload_programs.c`).
 * - What the C library does by itself is not seen: reading the system's configuration, name lookups, locales. Libraries
 *   are opened by the linker; those outside of the system's folders are noted at the start and at the end of a process.
 * - It costs no switch of processes. Only what must wait for the watcher asks it: a content that is about to be lost, a
 *   change while the snapshot of the code is due, a word that might be a secret, a connection.
 * - Whatever happens here, the program's call is made: with the same arguments, and `errno` as it was.
 */

#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS

#include "preload.h"

#include <alloca.h>
#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef __GLIBC__
#error "the preloaded library is made for the GNU C library"
#endif

#define EXPORT __attribute__((visibility("default")))

enum { VERSION = 1, LARGE = 1 << 15 };

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);
int pivot_root(const char *new, const char *old);

#define NAMES(X)                                                                                                               \
    X(open) X(open64) X(openat) X(openat64) X(__open_2) X(__open64_2) X(__openat_2) X(__openat64_2) X(creat) X(creat64)        \
    X(fopen) X(fopen64) X(freopen) X(freopen64) X(opendir) X(scandir) X(scandir64) X(scandirat) X(scandirat64) X(mkstemp)      \
    X(mkstemp64) X(mkostemp) X(mkostemp64) X(mkstemps) X(mkstemps64) X(mkostemps) X(mkostemps64) X(mkdtemp) X(tmpfile)         \
    X(tmpfile64) X(rename) X(renameat) X(renameat2) X(link) X(linkat) X(symlink) X(symlinkat) X(unlink) X(unlinkat) X(remove)  \
    X(rmdir) X(mkdir) X(mkdirat) X(truncate) X(truncate64) X(execve) X(execvpe) X(fexecve) X(execveat) X(posix_spawn)          \
    X(posix_spawnp) X(posix_spawn_file_actions_addopen) X(connect) X(chroot) X(open_by_handle_at)

enum name {
#define NUMBER(name) NAME_##name,
    NAMES(NUMBER) COUNT
};

static const char *const names[] = {
#define TEXT(name) #name,
    NAMES(TEXT) "syscall"};

static void *found_next[COUNT + 1];

static void *next_of(size_t number) {
    void *found = __atomic_load_n(&found_next[number], __ATOMIC_RELAXED);
    if (!found) {
        found = dlsym(RTLD_NEXT, names[number]);
        __atomic_store_n(&found_next[number], found, __ATOMIC_RELAXED);
    }
    return found;
}

#define NEXT(name) ((__typeof__(&name))next_of(NAME_##name))

/* -- birth ------------------------------------------------------------------------------------------------------------ */

enum { UNBORN, BEING_BORN, WATCHING, IDLE };

static atomic_int state;

static int look_at_library(struct dl_phdr_info *library, size_t size, void *given) {
    static const char *const system[] = {"/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"};
    (void)size;
    (void)given;
    const char *name = library->dlpi_name;
    if (!name || !strchr(name, '/')) /* the program, or what the kernel puts in */
        return 0;
    for (size_t at = 0; at < sizeof system / sizeof *system; at++)
        if (starts(name, system[at]))
            return 0;
    if (strcmp(name, library_path) != 0)
        see_open(AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    return 0;
}

static void forked(void) {
    struct work *work = claim();
    if (!work)
        return;
    introduce(work);
    send_lines(work);
    release(work);
}

static void be_born(void) {
    int error = errno, unborn = UNBORN;
    if (!atomic_compare_exchange_strong(&state, &unborn, BEING_BORN))
        return;
    const char *folder = getenv("VESTIGE_PRELOAD");
    size_t length = folder ? strlen(folder) : 0;
    Dl_info self;
    bool taken = false;
    if (length && length < sizeof run_folder - 32 && dladdr((void *)be_born, &self) && strlen(self.dli_fname) < sizeof library_path) {
        memcpy(run_folder, folder, length + 1);
        strcpy(library_path, self.dli_fname);
        taken = take_part();
    }
    if (taken)
        for (size_t number = 0; number <= COUNT; number++)
            next_of(number);
    atomic_store(&state, taken ? WATCHING : IDLE);
    if (taken)
        pthread_atfork(NULL, NULL, forked);
    errno = error;
}

__attribute__((constructor)) static void start(int argc, char **argv, char **environment) {
    (void)environment;
    be_born();
    if (atomic_load(&state) != WATCHING)
        return;
    if (atomic_exchange(&page->waits, 0))
        ask('b', "", 0);
    see_start(argc, argv);
    dl_iterate_phdr(look_at_library, NULL);
}

__attribute__((destructor)) static void end(void) {
    if (atomic_load(&state) == WATCHING)
        dl_iterate_phdr(look_at_library, NULL);
}

/* Whether a call is to be noted. Others that are loaded with us may call before we are started. */
static bool watching(void) {
    int now = atomic_load_explicit(&state, memory_order_relaxed);
    if (now == UNBORN) {
        be_born();
        now = atomic_load(&state);
    }
    return now == WATCHING;
}

/* -- for Python ------------------------------------------------------------------------------------------------------- */

EXPORT int vestige_version(void) { return VERSION; }

EXPORT size_t vestige_page_size(void) { return sizeof(struct page); }

/* What is said of a program that the first process is to execute; as `enum verdict`. */
EXPORT int vestige_examine(const char *path, const char **why) { return examine(path, why); }

/* -- opening ---------------------------------------------------------------------------------------------------------- */

static int opened_now(int folder, const char *path, int flags, mode_t mode) {
    long result = raw(SYS_openat, folder, path, flags, mode);
    if (result >= 0)
        return (int)result;
    errno = (int)-result;
    return -1;
}

static inline mode_t mode_of(int flags, va_list rest) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(rest, int) : 0;
}

#define MODE(flags)                                                                                                            \
    va_list rest;                                                                                                              \
    va_start(rest, flags);                                                                                                     \
    mode_t mode = mode_of(flags, rest);                                                                                        \
    va_end(rest)

/* While we look for the others' functions, somebody's malloc may open files. */
#define IS_EARLY (atomic_load_explicit(&state, memory_order_relaxed) == BEING_BORN)

#define OPEN(name)                                                                                                             \
    EXPORT int name(const char *path, int flags, ...) {                                                                        \
        MODE(flags);                                                                                                           \
        if (watching())                                                                                                    \
            see_open(AT_FDCWD, path, flags);                                                                                   \
        return IS_EARLY ? opened_now(AT_FDCWD, path, flags, mode) : NEXT(name)(path, flags, mode);                             \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                           \
    EXPORT int name(int folder, const char *path, int flags, ...) {                                                            \
        MODE(flags);                                                                                                           \
        if (watching())                                                                                                    \
            see_open(folder, path, flags);                                                                                     \
        return IS_EARLY ? opened_now(folder, path, flags, mode) : NEXT(name)(folder, path, flags, mode);                       \
    }
OPENAT(openat)
OPENAT(openat64)

#define OPEN_2(name)                                                                                                           \
    EXPORT int name(const char *path, int flags) {                                                                             \
        if (watching())                                                                                                    \
            see_open(AT_FDCWD, path, flags);                                                                                   \
        return NEXT(name)(path, flags);                                                                                        \
    }
OPEN_2(__open_2)
OPEN_2(__open64_2)

#define OPENAT_2(name)                                                                                                         \
    EXPORT int name(int folder, const char *path, int flags) {                                                                 \
        if (watching())                                                                                                    \
            see_open(folder, path, flags);                                                                                     \
        return NEXT(name)(folder, path, flags);                                                                                \
    }
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

#define CREAT(name)                                                                                                            \
    EXPORT int name(const char *path, mode_t mode) {                                                                           \
        if (watching())                                                                                                    \
            see_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC);                                                            \
        return NEXT(name)(path, mode);                                                                                         \
    }
CREAT(creat)
CREAT(creat64)

static int64_t flags_of(const char *mode) {
    bool both = strchr(mode, '+') != NULL;
    int64_t other = (strchr(mode, 'x') ? O_EXCL : 0) | (strchr(mode, 'e') ? O_CLOEXEC : 0);
    switch (mode[0]) {
    case 'r':
        return (both ? O_RDWR : O_RDONLY) | (other & O_CLOEXEC);
    case 'w':
        return (both ? O_RDWR : O_WRONLY) | O_CREAT | O_TRUNC | other;
    default:
        return (both ? O_RDWR : O_WRONLY) | O_CREAT | O_APPEND | other;
    }
}

#define FOPEN(name)                                                                                                            \
    EXPORT FILE *name(const char *path, const char *mode) {                                                                    \
        if (watching() && mode)                                                                                            \
            see_open(AT_FDCWD, path, flags_of(mode));                                                                          \
        return NEXT(name)(path, mode);                                                                                         \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define FREOPEN(name)                                                                                                          \
    EXPORT FILE *name(const char *path, const char *mode, FILE *stream) {                                                      \
        if (watching() && mode)                                                                                            \
            see_open(AT_FDCWD, path, flags_of(mode));                                                                          \
        return NEXT(name)(path, mode, stream);                                                                                 \
    }
FREOPEN(freopen)
FREOPEN(freopen64)

EXPORT DIR *opendir(const char *path) {
    if (watching())
        see_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    return NEXT(opendir)(path);
}

#define SCANDIR(name, type)                                                                                                    \
    EXPORT int name(const char *path, struct type ***list, int (*filter)(const struct type *),                                 \
                    int (*compare)(const struct type **, const struct type **)) {                                              \
        if (watching())                                                                                                    \
            see_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);                                                                  \
        return NEXT(name)(path, list, filter, compare);                                                                        \
    }
SCANDIR(scandir, dirent)
SCANDIR(scandir64, dirent64)

#define SCANDIRAT(name, type)                                                                                                  \
    EXPORT int name(int folder, const char *path, struct type ***list, int (*filter)(const struct type *),                     \
                    int (*compare)(const struct type **, const struct type **)) {                                              \
        if (watching())                                                                                                    \
            see_open(folder, path, O_RDONLY | O_DIRECTORY);                                                                    \
        return NEXT(name)(folder, path, list, filter, compare);                                                                \
    }
SCANDIRAT(scandirat, dirent)
SCANDIRAT(scandirat64, dirent64)

#define MADE(name, parameters, arguments, flags)                                                                               \
    EXPORT int name parameters {                                                                                               \
        int result = NEXT(name) arguments;                                                                                     \
        if (result >= 0 && watching())                                                                                     \
            see_made(path, O_RDWR | O_CREAT | O_EXCL | (flags));                                                               \
        return result;                                                                                                         \
    }
MADE(mkstemp, (char *path), (path), 0)
MADE(mkstemp64, (char *path), (path), 0)
MADE(mkostemp, (char *path, int flags), (path, flags), flags)
MADE(mkostemp64, (char *path, int flags), (path, flags), flags)
MADE(mkstemps, (char *path, int length), (path, length), 0)
MADE(mkstemps64, (char *path, int length), (path, length), 0)
MADE(mkostemps, (char *path, int length, int flags), (path, length, flags), flags)
MADE(mkostemps64, (char *path, int length, int flags), (path, length, flags), flags)

EXPORT char *mkdtemp(char *path) {
    char *result = NEXT(mkdtemp)(path);
    if (result && watching())
        see_made(path, 0);
    return result;
}

#define TEMPORARY(name)                                                                                                        \
    EXPORT FILE *name(void) {                                                                                                  \
        if (watching())                                                                                                \
            see_open(AT_FDCWD, P_tmpdir, O_RDWR | O_TMPFILE);                                                                  \
        return NEXT(name)();                                                                                                   \
    }
TEMPORARY(tmpfile)
TEMPORARY(tmpfile64)

/* -- names ------------------------------------------------------------------------------------------------------------ */

EXPORT int rename(const char *old, const char *new) {
    if (watching())
        see_rename(AT_FDCWD, old, AT_FDCWD, new, 0);
    return NEXT(rename)(old, new);
}

EXPORT int renameat(int old_folder, const char *old, int new_folder, const char *new) {
    if (watching())
        see_rename(old_folder, old, new_folder, new, 0);
    return NEXT(renameat)(old_folder, old, new_folder, new);
}

EXPORT int renameat2(int old_folder, const char *old, int new_folder, const char *new, unsigned flags) {
    if (watching())
        see_rename(old_folder, old, new_folder, new, flags);
    return NEXT(renameat2)(old_folder, old, new_folder, new, flags);
}

EXPORT int link(const char *old, const char *new) {
    if (watching())
        see_link(AT_FDCWD, old, AT_FDCWD, new);
    return NEXT(link)(old, new);
}

EXPORT int linkat(int old_folder, const char *old, int new_folder, const char *new, int flags) {
    if (watching())
        see_link(old_folder, old, new_folder, new);
    return NEXT(linkat)(old_folder, old, new_folder, new, flags);
}

EXPORT int symlink(const char *target, const char *path) {
    if (watching())
        see_symlink(target, AT_FDCWD, path);
    return NEXT(symlink)(target, path);
}

EXPORT int symlinkat(const char *target, int folder, const char *path) {
    if (watching())
        see_symlink(target, folder, path);
    return NEXT(symlinkat)(target, folder, path);
}

EXPORT int unlink(const char *path) {
    if (watching())
        see_unlink(AT_FDCWD, path, false);
    return NEXT(unlink)(path);
}

EXPORT int unlinkat(int folder, const char *path, int flags) {
    if (watching())
        see_unlink(folder, path, (flags & AT_REMOVEDIR) != 0);
    return NEXT(unlinkat)(folder, path, flags);
}

EXPORT int remove(const char *path) {
    struct stat found;
    if (watching())
        see_unlink(AT_FDCWD, path, look_at(path, &found, AT_SYMLINK_NOFOLLOW) && S_ISDIR(found.st_mode));
    return NEXT(remove)(path);
}

EXPORT int rmdir(const char *path) {
    if (watching())
        see_unlink(AT_FDCWD, path, true);
    return NEXT(rmdir)(path);
}

EXPORT int mkdir(const char *path, mode_t mode) {
    if (watching())
        see_mkdir(AT_FDCWD, path);
    return NEXT(mkdir)(path, mode);
}

EXPORT int mkdirat(int folder, const char *path, mode_t mode) {
    if (watching())
        see_mkdir(folder, path);
    return NEXT(mkdirat)(folder, path, mode);
}

EXPORT int truncate(const char *path, off_t length) {
    if (watching())
        see_truncate(path);
    return NEXT(truncate)(path, length);
}

EXPORT int truncate64(const char *path, off64_t length) {
    if (watching())
        see_truncate(path);
    return NEXT(truncate64)(path, length);
}

EXPORT int connect(int descriptor, __CONST_SOCKADDR_ARG address, socklen_t length) {
    if (watching())
        see_connect(descriptor, address.__sockaddr__, length);
    return NEXT(connect)(descriptor, address, length);
}

#define CHROOT "called chroot: files may have other names behind it"
#define PIVOT_ROOT "called pivot_root: files may have other names behind it"
#define BY_HANDLE "opened a file by its handle: which one is not known"

EXPORT int chroot(const char *path) {
    if (watching())
        see_odd(CHROOT);
    return NEXT(chroot)(path);
}

EXPORT int open_by_handle_at(int mount, struct file_handle *handle, int flags) {
    if (watching())
        see_odd(BY_HANDLE);
    return NEXT(open_by_handle_at)(mount, handle, flags);
}

/* -- programs --------------------------------------------------------------------------------------------------------- */

/* Room for an environment that the next program keeps until it is executed: on the stack, unless it is large. */
#define ROOM_FOR(size) ((size) < LARGE ? alloca(size) : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))

#define WITH_US(environment, verdict)                                                                                          \
    do {                                                                                                                       \
        size_t size = environment_room(environment, verdict);                                                                  \
        void *room = size ? ROOM_FOR(size) : MAP_FAILED;                                                                       \
        if (room != MAP_FAILED)                                                                                                \
            environment = environment_with(room, environment, verdict);                                                        \
    } while (0)

static int failed(int result) {
    int error = errno;
    see_failure();
    errno = error;
    return result;
}

static int execute(const char *path, bool search, char *const *argv, char *const *environment) {
    if (watching()) {
        int verdict, error = errno;
        see_execution(AT_FDCWD, path, search, argv, false, &verdict);
        WITH_US(environment, verdict);
        errno = error;
        return failed((search ? NEXT(execvpe) : NEXT(execve))(path, argv, environment));
    }
    return (search ? NEXT(execvpe) : NEXT(execve))(path, argv, environment);
}

EXPORT int execve(const char *path, char *const argv[], char *const environment[]) {
    return execute(path, false, argv, environment);
}

EXPORT int execv(const char *path, char *const argv[]) { return execute(path, false, argv, environ); }

EXPORT int execvp(const char *name, char *const argv[]) { return execute(name, true, argv, environ); }

EXPORT int execvpe(const char *name, char *const argv[], char *const environment[]) {
    return execute(name, true, argv, environment);
}

static size_t count_of(va_list rest) {
    size_t count = 1;
    while (va_arg(rest, char *))
        count++;
    return count;
}

#define WORDS_FROM(first)                                                                                                      \
    va_list rest;                                                                                                              \
    va_start(rest, first);                                                                                                     \
    size_t count = count_of(rest);                                                                                             \
    va_end(rest);                                                                                                              \
    char **words = alloca((count + 1) * sizeof *words);                                                                        \
    va_start(rest, first);                                                                                                     \
    words[0] = (char *)first;                                                                                                  \
    for (size_t at = 1; at <= count; at++)                                                                                     \
    words[at] = va_arg(rest, char *)

EXPORT int execl(const char *path, const char *first, ...) {
    WORDS_FROM(first);
    va_end(rest);
    return execute(path, false, words, environ);
}

EXPORT int execlp(const char *name, const char *first, ...) {
    WORDS_FROM(first);
    va_end(rest);
    return execute(name, true, words, environ);
}

EXPORT int execle(const char *path, const char *first, ...) {
    WORDS_FROM(first);
    char *const *environment = va_arg(rest, char *const *);
    va_end(rest);
    return execute(path, false, words, environment);
}

EXPORT int execveat(int folder, const char *path, char *const argv[], char *const environment[], int flags) {
    if (watching()) {
        int verdict;
        char name[32] = "/proc/self/fd/";
        struct line line = {.bytes = name, .room = sizeof name - 1, .end = strlen(name)};
        add_number(&line, folder);
        see_execution(folder, *path ? path : name, false, argv, false, &verdict);
        WITH_US(environment, verdict);
        return failed(NEXT(execveat)(folder, path, argv, environment, flags));
    }
    return NEXT(execveat)(folder, path, argv, environment, flags);
}

EXPORT int fexecve(int descriptor, char *const argv[], char *const environment[]) {
    if (watching()) {
        int verdict;
        char name[32] = "/proc/self/fd/";
        struct line line = {.bytes = name, .room = sizeof name - 1, .end = strlen(name)};
        add_number(&line, descriptor);
        see_execution(AT_FDCWD, name, false, argv, false, &verdict);
        WITH_US(environment, verdict);
        return failed(NEXT(fexecve)(descriptor, argv, environment));
    }
    return NEXT(fexecve)(descriptor, argv, environment);
}

#define SPAWN(name, search)                                                                                                    \
    EXPORT int name(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *set,     \
                    char *const argv[], char *const environment[]) {                                                           \
        if (watching()) {                                                                                                  \
            int verdict;                                                                                                       \
            see_execution(AT_FDCWD, path, search, argv, true, &verdict);                                                       \
            WITH_US(environment, verdict);                                                                                     \
        }                                                                                                                      \
        return NEXT(name)(pid, path, actions, set, argv, environment);                                                         \
    }
SPAWN(posix_spawn, false)
SPAWN(posix_spawnp, true)

/* The C library opens it in the new process, where nobody sees it. */
EXPORT int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int descriptor, const char *path, int flags,
                                            mode_t mode) {
    if (watching())
        see_open(AT_FDCWD, path, flags);
    return NEXT(posix_spawn_file_actions_addopen)(actions, descriptor, path, flags, mode);
}

/* -- syscall(2) ------------------------------------------------------------------------------------------------------- */

typedef long call_function(long number, long a, long b, long c, long d, long e, long f);

static void see_call(long number, long a, long b, long c, long d, long e) {
    (void)d;
#define PATH(argument) ((const char *)(argument))
    switch (number) {
#ifdef SYS_open
    case SYS_open:
        see_open(AT_FDCWD, PATH(a), b);
        break;
    case SYS_creat:
        see_open(AT_FDCWD, PATH(a), O_CREAT | O_WRONLY | O_TRUNC);
        break;
    case SYS_rename:
        see_rename(AT_FDCWD, PATH(a), AT_FDCWD, PATH(b), 0);
        break;
    case SYS_link:
        see_link(AT_FDCWD, PATH(a), AT_FDCWD, PATH(b));
        break;
    case SYS_symlink:
        see_symlink(PATH(a), AT_FDCWD, PATH(b));
        break;
    case SYS_unlink:
        see_unlink(AT_FDCWD, PATH(a), false);
        break;
    case SYS_rmdir:
        see_unlink(AT_FDCWD, PATH(a), true);
        break;
    case SYS_mkdir:
        see_mkdir(AT_FDCWD, PATH(a));
        break;
#endif
    case SYS_openat:
        see_open((int)a, PATH(b), c);
        break;
#ifdef SYS_openat2
    case SYS_openat2:
        see_open((int)a, PATH(b), *(const int64_t *)c);
        break;
#endif
    case SYS_renameat:
        see_rename((int)a, PATH(b), (int)c, PATH(d), 0);
        break;
    case SYS_renameat2:
        see_rename((int)a, PATH(b), (int)c, PATH(d), (unsigned)e);
        break;
    case SYS_linkat:
        see_link((int)a, PATH(b), (int)c, PATH(d));
        break;
    case SYS_symlinkat:
        see_symlink(PATH(a), (int)b, PATH(c));
        break;
    case SYS_unlinkat:
        see_unlink((int)a, PATH(b), (c & AT_REMOVEDIR) != 0);
        break;
    case SYS_mkdirat:
        see_mkdir((int)a, PATH(b));
        break;
    case SYS_truncate:
        see_truncate(PATH(a));
        break;
    case SYS_connect:
        see_connect((int)a, (const struct sockaddr *)b, (socklen_t)c);
        break;
    case SYS_chroot:
        see_odd(CHROOT);
        break;
    case SYS_pivot_root:
        see_odd(PIVOT_ROOT);
        break;
    case SYS_open_by_handle_at:
        see_odd(BY_HANDLE);
        break;
    default:
        break;
    }
}

EXPORT long observed_syscall(long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");

EXPORT long observed_syscall(long number, long a, long b, long c, long d, long e, long f) {
#ifdef SYS_io_uring_setup
    if (number == SYS_io_uring_setup && watching()) {
        errno = ENOSYS; /* it would open files unseen; programs do without */
        return -1;
    }
#endif
    if (number == SYS_execve && watching())
        return execute((const char *)a, false, (char *const *)b, (char *const *)c);
    if (watching())
        see_call(number, a, b, c, d, e);
    return ((call_function *)next_of(COUNT))(number, a, b, c, d, e, f);
}
