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

#include "preload_next.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>

enum { VERSION = 1 };

static const char *const names[] = {
#define TEXT(name) #name,
    NAMES(TEXT) "syscall"};

static void *found_next[COUNT + 1];

void *next_of(size_t number) {
    void *found = __atomic_load_n(&found_next[number], __ATOMIC_RELAXED);
    if (!found) {
        found = dlsym(RTLD_NEXT, names[number]);
        __atomic_store_n(&found_next[number], found, __ATOMIC_RELAXED);
    }
    return found;
}

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

/* Others that are loaded with us may call before we are started. */
bool watching(void) {
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

EXPORT int chroot(const char *path) {
    if (watching())
        see_odd(CHROOT);
    return NEXT(chroot)(path);
}

EXPORT int mount(const char *source, const char *target, const char *kind, unsigned long flags, const void *data) {
    if (watching())
        see_mount(flags);
    return NEXT(mount)(source, target, kind, flags, data);
}

EXPORT int move_mount(int from, const char *source, int to, const char *target, unsigned flags) {
    if (watching())
        see_odd(MOUNTED);
    return NEXT(move_mount)(from, source, to, target, flags);
}

EXPORT int setns(int descriptor, int kind) {
    if (watching())
        see_odd(SETNS);
    return NEXT(setns)(descriptor, kind);
}

EXPORT int open_by_handle_at(int mount, struct file_handle *handle, int flags) {
    if (watching())
        see_odd(BY_HANDLE);
    return NEXT(open_by_handle_at)(mount, handle, flags);
}
