/* Makes one call of the C library, named by the first word, with paths behind it. Ends with 0 where it succeeded. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int __open_2(const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);

extern char **environ;
static const char *a, *b;

static void on_signal(int number) {
    (void)number;
    close(open(a, O_RDONLY));
}

static void *in_thread(void *given) {
    (void)given;
    return (void *)(long)(open(a, O_RDONLY) < 0);
}

static int with_small_stack(void) {
    pthread_t thread;
    pthread_attr_t set;
    void *failed;
    pthread_attr_init(&set);
    if (pthread_attr_setstacksize(&set, PTHREAD_STACK_MIN) || pthread_create(&thread, &set, in_thread, NULL))
        return 1;
    pthread_join(thread, &failed);
    return failed != NULL;
}

static int waited(pid_t child) {
    int status;
    return waitpid(child, &status, 0) != child || status;
}

static int spawned(int search, const char *output) {
    pid_t child;
    posix_spawn_file_actions_t actions;
    char *words[] = {(char *)b, (char *)a, NULL};
    posix_spawn_file_actions_init(&actions);
    if (output)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    return (search ? posix_spawnp : posix_spawn)(&child, b, &actions, NULL, words, environ) || waited(child);
}

static int after_vfork(void) {
    pid_t child = vfork();
    if (!child) {
        execl(b, b, a, (char *)NULL);
        _exit(1);
    }
    return waited(child);
}

static int two_names(int (*one)(const char *, const char *)) { return one(a, b); }

int main(int count, char **words) {
    const char *call = words[1];
    char *none[] = {NULL}, *next[] = {(char *)(count > 3 ? words[3] : ""), (char *)(count > 2 ? words[2] : ""), NULL}, name[4096];
    struct dirent **list;
    a = words[2];
    b = count > 3 ? words[3] : NULL;
    int folder = open(".", O_PATH);
#define CALL(name) else if (!strcmp(call, name))
    if (!strcmp(call, "open"))
        return open(a, O_RDONLY) < 0;
    CALL("open64") return open64(a, O_RDONLY) < 0;
    CALL("openat") return openat(folder, a, O_RDONLY) < 0;
    CALL("openat64") return openat64(folder, a, O_RDONLY) < 0;
    CALL("__open_2") return __open_2(a, O_RDONLY) < 0;
    CALL("__openat64_2") return __openat64_2(folder, a, O_RDONLY) < 0;
    CALL("fopen") return !fopen(a, "r");
    CALL("fopen64") return !fopen64(a, "rb");
    CALL("freopen") return !freopen(a, "r", stdin);
    CALL("syscall(open)") return syscall(SYS_openat, AT_FDCWD, a, O_RDONLY) < 0;
    CALL("openat2") {
        struct open_how how = {.flags = O_RDONLY};
        return syscall(SYS_openat2, AT_FDCWD, a, &how, sizeof how) < 0 && errno != ENOSYS;
    }
    CALL("stdin") return open("/dev/stdin", O_RDONLY) < 0;
    CALL("opendir") return !opendir(a);
    CALL("scandir") return scandir(a, &list, NULL, alphasort) < 0;
    CALL("creat") return creat(a, 0644) < 0;
    CALL("creat64") return creat64(a, 0644) < 0;
    CALL("open(w)") return open(a, O_WRONLY | O_CREAT, 0644) < 0;
    CALL("fopen(w)") return !fopen(a, "w");
    CALL("fopen(a)") return !fopen(a, "a");
    CALL("mkstemp") return mkstemp(strcpy(name, a)) < 0 || rename(name, b);
    CALL("mkdtemp") return !mkdtemp(strcpy(name, a)) || rename(name, b);
    CALL("tmpfile") return !tmpfile();
    CALL("rename") return two_names(rename);
    CALL("renameat") return renameat(folder, a, folder, b);
    CALL("renameat2") return renameat2(folder, a, folder, b, RENAME_NOREPLACE);
    CALL("link") return two_names(link);
    CALL("linkat") return linkat(folder, a, folder, b, 0);
    CALL("symlink") return two_names(symlink);
    CALL("symlinkat") return symlinkat(a, folder, b);
    CALL("unlink") return unlink(a);
    CALL("unlinkat") return unlinkat(folder, a, 0);
    CALL("remove") return remove(a);
    CALL("rmdir") return rmdir(a);
    CALL("mkdir") return mkdir(a, 0755);
    CALL("mkdirat") return mkdirat(folder, a, 0755);
    CALL("truncate") return truncate(a, 1);
    CALL("truncate64") return truncate64(a, 1);
    CALL("execl") return execl(b, b, a, (char *)NULL);
    CALL("execlp") return execlp(b, b, a, (char *)NULL);
    CALL("execle") return execle(b, b, a, (char *)NULL, none);
    CALL("execv") return execv(b, next);
    CALL("execvp") return execvp(b, next);
    CALL("execve") return execve(b, next, none);
    CALL("execvpe") return execvpe(b, next, none);
    CALL("execveat") return execveat(folder, b, next, none, 0);
    CALL("fexecve") return fexecve(open(b, O_PATH | O_CLOEXEC), next, none);
    CALL("syscall(execve)") return (int)syscall(SYS_execve, b, next, none);
    CALL("posix_spawn") return spawned(0, NULL);
    CALL("posix_spawnp") return spawned(1, NULL);
    CALL("posix_spawn_addopen") return spawned(0, words[4]);
    CALL("vfork") return after_vfork();
    CALL("system") return system(a);
    CALL("small stack") return with_small_stack();
    CALL("signal handler") {
        signal(SIGUSR1, on_signal);
        return raise(SIGUSR1);
    }
    CALL("close all") {
        closefrom(3);
        for (int number = 3; number < 1024; number++)
            close(number);
        while (open(a, O_RDONLY) >= 0) {}
        return errno != EMFILE || open(b, O_RDONLY) >= 0 || errno != EMFILE;
    }
    CALL("size limit") {
        struct rlimit limit = {1, 1};
        return setrlimit(RLIMIT_FSIZE, &limit) || open(a, O_RDONLY) < 0;
    }
    CALL("errno") {
        errno = E2BIG;
        int file = open(a, O_RDONLY);
        return file < 0 || errno != E2BIG || open("absent", O_RDONLY) >= 0 || errno != ENOENT;
    }
    CALL("null") {
        const char *volatile nothing = NULL;
        return open(nothing, O_RDONLY) >= 0 || errno != EFAULT || rename(nothing, nothing) == 0 || errno != EFAULT;
    }
    CALL("killed") {
        close(open(a, O_RDONLY));
        close(creat(b, 0644));
        raise(SIGKILL);
    }
    CALL("vanish") {
        close(open(a, O_RDONLY));
        _exit(0);
    }
    CALL("io_uring") return syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != ENOSYS;
    CALL("chroot") return chroot(a);
    return 2;
}
