/* What a process can tell of itself, apart from numbers that are others each time. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void descriptors(void) {
    int numbers[4096], count = 0;
    DIR *folder = opendir("/proc/self/fd");
    for (struct dirent *one; (one = readdir(folder)) && count < 4096;)
        if (one->d_name[0] != '.' && atoi(one->d_name) != dirfd(folder)) numbers[count++] = atoi(one->d_name);
    closedir(folder);
    qsort(numbers, count, sizeof *numbers, by_number);
    for (int i = 0; i < count; i++) {
        struct stat found = {0};
        char name[64], path[4096] = "";
        snprintf(name, sizeof name, "/proc/self/fd/%d", numbers[i]);
        fstat(numbers[i], &found);
        ssize_t size = readlink(name, path, sizeof path - 1);
        path[size < 0 ? 0 : size] = 0;
        int named = S_ISREG(found.st_mode) || S_ISDIR(found.st_mode) || S_ISCHR(found.st_mode);
        if (!strncmp(path, "/dev/pts/", 9)) named = 0; /* another terminal, but a terminal */
        printf("descriptor %d: %o %s flags %o %o terminal %d\n", numbers[i], found.st_mode & S_IFMT, named ? path : "",
               fcntl(numbers[i], F_GETFD), fcntl(numbers[i], F_GETFL), isatty(numbers[i]));
    }
}

static void signals(void) {
    sigset_t blocked, waiting;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    sigpending(&waiting);
    for (int number = 1; number < 65; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action)) continue;
        printf("signal %d: %s%s%s flags %x\n", number,
               action.sa_handler == SIG_IGN ? "ignored" : action.sa_handler == SIG_DFL ? "default" : "caught",
               sigismember(&blocked, number) ? " blocked" : "", sigismember(&waiting, number) ? " waiting" : "",
               action.sa_flags);
    }
    stack_t stack;
    sigaltstack(NULL, &stack);
    printf("alternate stack %x\n", stack.ss_flags);
}

static void limits(void) {
    for (int number = 0; number < RLIM_NLIMITS; number++) {
        struct rlimit limit;
        if (!getrlimit(number, &limit)) printf("limit %d: %lu %lu\n", number, limit.rlim_cur, limit.rlim_max);
    }
}

static void show(const char *path, const char *const *wanted) {
    char line[65536];
    FILE *file = fopen(path, "r");
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        int shown = !wanted;
        for (const char *const *one = wanted; one && *one; one++) shown |= !strncmp(line, *one, strlen(*one));
        if (shown) printf("%s: %s", path, line);
    }
    fclose(file);
}

int main(int argc, char **argv) {
    static const char *const wanted[] = {"Name", "Umask", "Uid", "Gid", "FDSize", "Groups", "Threads", "SigPnd", "ShdPnd",
        "SigBlk", "SigIgn", "SigCgt", "Cap", "Speculation", "Cpus_allowed", "Mems_allowed", "CoreDumping", "THP", "Kthread",
        "untag_mask", "TracerPid", NULL};
    descriptors();
    signals();
    limits();
    for (int i = 0; i < argc; i++) printf("word %d: %s\n", i, argv[i]);
    for (char **one = environ; *one; one++)
        if (strncmp(*one, "VESTIGE_", 8)) printf("variable: %s\n", *one);
    show("/proc/self/status", wanted);
    show("/proc/self/oom_score_adj", NULL);
    show("/proc/self/coredump_filter", NULL);
    show("/proc/self/timerslack_ns", NULL);
    show("/proc/self/cgroup", NULL);
    show("/proc/self/loginuid", NULL);
    show("/proc/self/setgroups", NULL);
    show("/proc/self/autogroup", (const char *const[]){"nothing of it, but that it can be read", NULL});
    printf("nice %d, scheduler %d, input and output %ld\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0),
           syscall(SYS_ioprio_get, 1, 0));
    int death = -1, subreaper = -1;
    prctl(PR_GET_PDEATHSIG, &death);
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    printf("death signal %d, subreaper %d, dumpable %d, capabilities kept %d, secure bits %d, slack %d, personality %x\n", death,
           subreaper, prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS), prctl(PR_GET_SECUREBITS), prctl(PR_GET_TIMERSLACK),
           personality(0xffffffff));
    for (int which = 0; which < 3; which++) {
        struct itimerval timer;
        getitimer(which, &timer);
        printf("timer %d: %d\n", which, timer.it_value.tv_sec || timer.it_value.tv_usec);
    }
    char folder[4096];
    printf("folder %s, secure %lu, executed as %s\n", getcwd(folder, sizeof folder) ? folder : strerror(errno), getauxval(AT_SECURE),
           (const char *)getauxval(AT_EXECFN));
    printf("leads its group %d, its session %d\n", getpgrp() == getpid(), getsid(0) == getpid());
    int terminal = open("/dev/tty", O_RDWR);
    if (terminal < 0) printf("no terminal: %s\n", strerror(errno));
    else printf("terminal, in the %s\n", tcgetpgrp(terminal) == getpgrp() ? "foreground" : "background");
    return 0;
}
