/* Put before a shell by the dynamic linker: what the shell executes because somebody typed it is executed under `vestige run`.

   The shell itself is not changed. It reads, expands, redirects, joins pipes and looks after its jobs as always; only when a
   child of it is about to become a program, the program is `vestige run` and the command its arguments. So what is recorded is
   what would be if `vestige run` had been typed before each command, whatever way the shell came to execute it.

   What to put before a command is in the variable VESTIGE_SHELL_WORDS, behind the number of the process that is to be the
   shell, separated by the character 31. It is taken out of the environment before the shell looks at it, as is our name in
   LD_PRELOAD: programs do not see us. A command is recorded where
   the environment that the shell hands to it says VESTIGE_SHELL=1 (see `launch/shells/`). */

#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern char **environ;

enum { MOST_WORDS = 16, ROOM = 8192, MOST_ARGUMENTS = 1 << 16 };

static char words_room[ROOM];
static char *words[MOST_WORDS];
static size_t count;

/* Where the environment holds a variable; NULL where it does not. Shells bring functions of their own for this, which are not
   ready when we are called. */
static char **place_of(char **environment, const char *name) {
    size_t length = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return environment;
    return NULL;
}

static const char *variable(char *const *environment, const char *name) {
    char **place = place_of((char **)environment, name);
    return place == NULL ? NULL : *place + strlen(name) + 1;
}

static void take_out(char **place) {
    for (; place != NULL && *place != NULL; place++)
        place[0] = place[1];
}

/* Take our own name, the first, out of the list in LD_PRELOAD. */
static void leave_preload(char **environment) {
    char **place = place_of(environment, "LD_PRELOAD");
    char *rest = place == NULL ? NULL : strchr(*place, ':');
    if (rest == NULL) {
        take_out(place);
        return;
    }
    size_t length = strlen("LD_PRELOAD=");
    memcpy(rest + 1 - length, "LD_PRELOAD=", length);
    *place = rest + 1 - length;
}

__attribute__((constructor)) static void begin(int argc, char **argv, char **environment) {
    (void)argc, (void)argv;
    char **place = place_of(environment, "VESTIGE_SHELL_WORDS");
    if (place == NULL)
        return;
    const char *value = *place + strlen("VESTIGE_SHELL_WORDS=");
    bool fits = strlen(value) < sizeof words_room;
    if (fits)
        strcpy(words_room, value);
    take_out(place);
    leave_preload(environment);
    char *rest = words_room;
    if (!fits || atol(strsep(&rest, "\x1f")) != (long)getpid())
        return; /* the shell did not load us, being linked statically: this is a program that it has started */
    for (char *word; count < MOST_WORDS && rest != NULL && (word = strsep(&rest, "\x1f")) != NULL;)
        words[count++] = word;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Whether the kernel will execute it: what it refuses (a text without `#!`, a folder) is the shell's to deal with. */
static bool is_program(const char *path) {
    struct stat found;
    char begins[4];
    if (stat(path, &found) != 0 || !S_ISREG(found.st_mode) || access(path, X_OK) != 0)
        return false;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return errno == EACCES; /* it may be executed, not read */
    ssize_t size = read(descriptor, begins, sizeof begins);
    close(descriptor);
    return (size >= 2 && memcmp(begins, "#!", 2) == 0) || (size == 4 && memcmp(begins, "\177ELF", 4) == 0);
}

static bool is_wanted(const char *path, char *const *argv, char *const *environment) {
    const char *said = variable(environment, "VESTIGE_SHELL");
    if (count == 0 || argv == NULL || argv[0] == NULL || said == NULL || strcmp(said, "1") != 0)
        return false;
    return strcmp(last_part(path), "vestige") != 0 && is_program(path);
}

static int really(const char *path, char *const *argv, char *const *environment) {
    return (int)syscall(SYS_execve, path, argv, environment);
}

static int execute(const char *path, char *const *argv, char *const *environment) {
    int error = errno;
    size_t arguments = 0;
    while (argv != NULL && argv[arguments] != NULL)
        arguments++;
    if (arguments > MOST_ARGUMENTS || !is_wanted(path, argv, environment)) {
        errno = error;
        return really(path, argv, environment);
    }
    char **all = alloca((count + arguments + 1) * sizeof *all);
    memcpy(all, words, count * sizeof *all);
    memcpy(all + count, argv, (arguments + 1) * sizeof *all);
    if (strchr(argv[0], '/') != NULL || strcmp(last_part(path), argv[0]) != 0)
        all[count] = (char *)path; /* the shell has found it elsewhere than on the way of PATH */
    really(words[0], all, environment);
    errno = error;
    return really(path, argv, environment); /* Vestige has gone away, or there are too many words: the command all the same */
}

EXPORT int execve(const char *path, char *const argv[], char *const environment[]) { return execute(path, argv, environment); }

EXPORT int execv(const char *path, char *const argv[]) { return execute(path, argv, environ); }
