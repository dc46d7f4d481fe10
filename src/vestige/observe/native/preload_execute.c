/* The preloaded library before what executes programs, and before syscall(2): the next program must find us, too. */

#include "preload_next.h"

#include <alloca.h>
#include <stdarg.h>
#include <sys/mman.h>

enum { LARGE = 1 << 15 };

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
    case SYS_mount:
        see_mount((unsigned long)d);
        break;
#ifdef SYS_move_mount
    case SYS_move_mount:
        see_odd(MOUNTED);
        break;
#endif
    case SYS_setns:
        see_odd(SETNS);
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
