/* What calls mean to the preloaded library: as `watcher.py` has it, seen from inside. Each notes what is about to be done. */

#include "preload.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/un.h>

/* -- paths ------------------------------------------------------------------------------------------------------------ */

static long link_of(const char *name, char *into, size_t room) {
    long length = raw(SYS_readlinkat, AT_FDCWD, name, into, room - 1);
    into[length < 0 ? 0 : length] = 0;
    return length;
}

/* `/dev/fd/3`, `/dev/stdin`, `/proc/self/cwd/x` as the file that it is; a pipe and what has no name stay as they are. */
static void follow(struct work *work, char *into, struct path *path) {
    static const char *const standard[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    const char *text = path->text, *rest = NULL;
    struct line name = {.bytes = work->bytes + LINE / 2, .room = 64};
    for (size_t number = 0; number < 3; number++)
        if (strcmp(text, standard[number]) == 0) {
            add_text(&name, "/proc/self/fd/");
            add_number(&name, (int64_t)number);
            rest = "";
        }
    size_t head = starts(text, "/dev/fd/")            ? 8
                  : starts(text, "/proc/self/fd/")    ? 14
                  : starts(text, "/proc/self/cwd")    ? 14
                  : starts(text, "/proc/self/root")   ? 15
                  : starts(text, "/proc/thread-self/") ? 18
                                                      : 0;
    if (!rest && !head)
        return;
    if (!rest) {
        rest = strchr(text + head, '/');
        if (starts(text + head, "fd/") && rest)
            rest = strchr(rest + 1, '/');
        rest = rest ? rest : text + path->length;
        if (starts(text, "/dev/fd/")) {
            add_text(&name, "/proc/self/fd/");
            add(&name, text + head, (size_t)(rest - text) - head);
        } else
            add(&name, text, (size_t)(rest - text));
    }
    name.bytes[name.end] = 0;
    long length = name.overflown ? -1 : link_of(name.bytes, work->folder, sizeof work->folder);
    if (length <= 0 || work->folder[0] != '/' || (!*rest && length > 10 && !strcmp(work->folder + length - 10, " (deleted)")))
        return;
    size_t more = strlen(rest);
    if ((size_t)length + more >= LONGEST)
        return;
    memmove(into + length, rest, more + 1);
    memcpy(into, work->folder, (size_t)length);
    *path = (struct path){into, (size_t)length + more, into, AT_FDCWD};
}

/* A path made absolute, in `into` where it is not. False where it cannot be known. */
bool absolute(struct work *work, int folder, const char *text, char *into, struct path *path) {
    size_t length = text ? strlen(text) : PATH_MAX;
    work->beyond = false;
    if (length >= PATH_MAX)
        return false; /* the kernel refuses it */
    *path = (struct path){text, length, text, AT_FDCWD};
    if (text[0] != '/') {
        struct line name = {.bytes = into, .room = LONGEST};
        long base;
        if (folder == AT_FDCWD) {
            base = raw(SYS_getcwd, into, PATH_MAX);
            work->beyond = base == -ERANGE || base == -ENAMETOOLONG;
            base--;
        } else {
            add_text(&name, "/proc/self/fd/");
            add_number(&name, folder);
            into[name.end] = 0;
            base = link_of(into, work->folder, sizeof work->folder);
            work->beyond = base == -ENAMETOOLONG;
            if (base > 0)
                memcpy(into, work->folder, (size_t)base);
        }
        if (base <= 0 || into[0] != '/')
            return false;
        name.end = base == 1 ? 0 : (size_t)base;
        const char *given = text;
        for (; text[0] == '.' && text[1] == '/'; text++)
            for (text++; text[1] == '/'; text++) {}
        if (*text) {
            add(&name, "/", 1);
            add_text(&name, text);
        }
        work->beyond = name.overflown || name.end >= PATH_MAX;
        if (work->beyond)
            return false;
        into[name.end] = 0;
        *path = *given ? (struct path){into, name.end, given, folder} : (struct path){into, name.end, into, AT_FDCWD};
    }
    if (path->text[1] == 'd' || path->text[1] == 'p')
        follow(work, into, path);
    return true;
}

static bool pseudo(const struct path *path) {
    return (starts(path->text, "/proc/") || starts(path->text, "/sys/") || starts(path->text, "/dev/")) &&
           !starts(path->text, "/dev/shm/");
}

static bool is_own(const struct path *path) {
    for (const char *own = page->strings + page->own; *own; own += strlen(own) + 1)
        if (starts(path->text, own))
            return true;
    return false;
}

/* -- before a change -------------------------------------------------------------------------------------------------- */

static void note(struct work *work, char operation, const struct path *path, const struct path *other, int64_t flags,
                 const struct stat *found, const char *text) {
    introduce(work);
    begin(work, operation, work->process);
    add_rest(work, path, other, flags, found, text);
    finish(work);
    send_lines(work);
}

static void say(struct work *work, const char *what);

/* A path made absolute; where it is too long for that, the journal says so, once of each program. */
static bool reach(struct work *work, int folder, const char *text, char *into, struct path *path) {
    if (absolute(work, folder, text, into, path))
        return true;
    char name[17] = "";
    raw(SYS_prctl, PR_GET_NAME, name);
    uint64_t key = hash_of(name, strlen(name), 0);
    if (work->beyond && !remembered(BEYOND, key, NULL) && remember(BEYOND, key, 1))
        say(work, "used a path of more than 4,096 bytes, and perhaps more: no call leads to what it names");
    return false;
}

/* What the watcher must do before this change; where nobody does it any more, the journal says so, once. */
static void request(struct work *work, char kind, const struct path *path) {
    if (!ask(kind, path->text, path->length) && !remembered(TOLD, 1, NULL) && remember(TOLD, 1, 1))
        note(work, 'g', NULL, NULL, 0, NULL,
             "the watcher did not answer: what files held before the run changed them was not taken from then on");
}

/* Wait until the snapshot of the code is taken. */
static void hold(struct work *work, const struct path *path) {
    if (atomic_load(&page->due) && starts(path->text, page->strings) && !is_own(path))
        request(work, 'n', path);
}

/* Have a content taken that is about to be lost: the watcher hashes and copies it, and waits for the snapshot before.
 * `kind`: of what a link leads to, or of the name itself. What is large, was never read by the run, and is replaced as a
 * whole, is not taken. */
static void save(struct work *work, char kind, const struct path *path, const struct stat *found, bool needed) {
    uint64_t file = key_of(found);
    if (!S_ISREG(found->st_mode) || is_own(path) || remembered(TOUCHED, file, NULL)) {
        hold(work, path);
        return;
    }
    bool was_read = atomic_load(&page->full) || remembered(READ, file, NULL);
    if (remembered(CREATED, path_key(path), NULL) || (found->st_size > 1 << 20 && !needed && !was_read))
        hold(work, path);
    else
        request(work, kind, path);
    remember(TOUCHED, file, 1);
}

/* -- calls ------------------------------------------------------------------------------------------------------------ */

static void open_to_read(struct work *work, const struct path *path, int64_t flags) {
    uint64_t name = path_key(path), key = hash_of_pair(name, work->process);
    if (repeated(key, name))
        return;
    struct stat found;
    uint64_t at = atomic_load(&page->generation);
    long result = look_up(path, &found, 0);
    if (result != 0) {
        if ((result == -ENOENT || result == -ENOTDIR) && !remembered(ABSENT, name, NULL)) {
            remember(ABSENT, name, 1);
            note(work, 'a', path, NULL, 0, NULL, NULL);
        }
        return;
    }
    if (S_ISREG(found.st_mode)) {
        remember(READ, key_of(&found), 1);
        opened(key, at, key_of(&found));
        note(work, 'r', path, NULL, flags, &found, NULL);
    } else if (S_ISDIR(found.st_mode)) {
        uint64_t before = hash_of_pair(key, 'd'); /* an import system lists a folder first, and perhaps its program then */
        bool again = repeated(before, name);
        opened(again ? key : before, at, 0);
        note(work, 'd', path, NULL, again, NULL, NULL);
    }
}

/* To where a link leads, if it leads to nothing yet: there the call makes a file. Whether it is a link at all. */
static bool lead(struct work *work, struct path *path) {
    enum { LINKS = 40 };
    bool is_link = false;
    for (int left = LINKS; left > 0; left--) {
        long length = raw(SYS_readlinkat, path->folder, path->name, work->folder, sizeof work->folder - 1);
        size_t head = length > 0 && work->folder[0] != '/' ? (size_t)(strrchr(path->text, '/') + 1 - path->text) : 0;
        if (length <= 0 || head + (size_t)length >= PATH_MAX)
            break;
        memmove(work->one, path->text, head);
        memcpy(work->one + head, work->folder, (size_t)length);
        work->one[head + (size_t)length] = 0;
        *path = (struct path){work->one, head + (size_t)length, work->one, AT_FDCWD};
        is_link = true;
    }
    return is_link;
}

static void open_path(struct work *work, const struct path *path, int64_t flags) {
    if (flags & O_PATH || pseudo(path))
        return;
    if (!(flags & (O_ACCMODE | O_CREAT | O_TRUNC))) {
        open_to_read(work, path, flags);
        return;
    }
    if ((flags & TMPFILE) && (flags & O_DIRECTORY)) {
        note(work, 'w', path, NULL, flags, NULL, NULL);
        return;
    }
    struct stat found;
    long result = look_up(path, &found, 0);
    if (result != 0) {
        struct path made = *path;
        if (!(flags & O_CREAT) || (lead(work, &made) && flags & (O_EXCL | O_NOFOLLOW)))
            return;
        hold(work, &made);
        remember(CREATED, path_key(&made), 1);
        changed(&made, NULL, false);
        note(work, 'w', &made, NULL, flags, NULL, NULL);
        return;
    }
    if (!S_ISREG(found.st_mode) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return;
    if (!(flags & (O_ACCMODE | O_TRUNC))) {
        open_to_read(work, path, flags & ~(int64_t)O_CREAT);
        return;
    }
    save(work, 's', path, &found, !(flags & O_TRUNC));
    changed(path, &found, false);
    note(work, 'w', path, NULL, flags, &found, NULL);
}

void see_open(int folder, const char *text, int64_t flags) {
    struct path path;
    struct work *work = claim();
    if (!work)
        return;
    if (reach(work, folder, text, work->one, &path))
        open_path(work, &path, flags);
    release(work);
}

void see_rename(int old_folder, const char *old_text, int new_folder, const char *new_text, unsigned flags) {
    enum { FREE = 1, BOTH = 2 };
    struct path old, new;
    struct stat source, replaced;
    struct work *work = claim();
    if (!work)
        return;
    if (!reach(work, old_folder, old_text, work->one, &old) || !reach(work, new_folder, new_text, work->other, &new) ||
        look_up(&old, &source, AT_SYMLINK_NOFOLLOW) != 0)
        goto done;
    bool replaces = look_up(&new, &replaced, AT_SYMLINK_NOFOLLOW) == 0;
    if (replaces && flags & FREE)
        goto done;
    hold(work, &old);
    if (replaces && !(flags & BOTH)) {
        if (key_of(&replaced) == key_of(&source))
            goto done; /* two names of one file: rename(2) does nothing */
        save(work, 'l', &new, &replaced, false);
    } else
        hold(work, &new);
    if (remembered(CREATED, path_key(&old), NULL))
        remember(TOUCHED, key_of(&source), 1);
    remember(CREATED, path_key(&new), 1);
    bool folder = S_ISDIR(source.st_mode);
    changed(&old, &source, folder || flags & BOTH);
    changed(&new, replaces ? &replaced : NULL, false);
    introduce(work);
    begin(work, 'm', work->process);
    add_rest(work, &old, &new, (flags & BOTH ? 1 : 0) | (folder ? 2 : 0), &source, NULL);
    if (replaces) {
        add_text(&work->line, ",\"");
        add_stat(&work->line, &replaced);
        add(&work->line, "\"", 1);
    }
    finish(work);
    send_lines(work);
done:
    release(work);
}

void see_link(int old_folder, const char *old_text, int new_folder, const char *new_text) {
    struct path old, new;
    struct stat found;
    struct work *work = claim();
    if (!work)
        return;
    if (reach(work, old_folder, old_text, work->one, &old) && reach(work, new_folder, new_text, work->other, &new)) {
        bool known = !starts(old.text, "/proc/") && look_up(&old, &found, AT_SYMLINK_NOFOLLOW) == 0;
        remember(CREATED, path_key(&new), 1);
        changed(&old, known ? &found : NULL, false);
        changed(&new, NULL, false);
        note(work, 'l', &old, &new, 0, known ? &found : NULL, NULL);
    }
    release(work);
}

void see_symlink(const char *target, int folder, const char *text) {
    struct path path, leads = {.text = target, .length = target ? strlen(target) : 0};
    struct stat found;
    struct work *work = claim();
    if (!work)
        return;
    if (target && reach(work, folder, text, work->one, &path) && look_up(&path, &found, AT_SYMLINK_NOFOLLOW) != 0) {
        changed(&path, NULL, false);
        note(work, 's', &path, &leads, 0, NULL, NULL);
    }
    release(work);
}

void see_unlink(int folder, const char *text, bool directory) {
    struct path path;
    struct stat found;
    struct work *work = claim();
    if (!work)
        return;
    if (reach(work, folder, text, work->one, &path) && look_up(&path, &found, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!directory && (atomic_load(&page->full) || remembered(READ, key_of(&found), NULL)))
            save(work, 'l', &path, &found, true);
        else
            hold(work, &path);
        changed(&path, &found, false);
        note(work, 'u', &path, NULL, directory, &found, NULL);
    }
    release(work);
}

void see_mkdir(int folder, const char *text) {
    struct path path;
    struct stat found;
    struct work *work = claim();
    if (!work)
        return;
    if (reach(work, folder, text, work->one, &path) && look_up(&path, &found, AT_SYMLINK_NOFOLLOW) != 0)
        note(work, 'k', &path, NULL, 0, NULL, NULL);
    release(work);
}

void see_truncate(const char *text) {
    struct path path;
    struct stat found;
    struct work *work = claim();
    if (!work)
        return;
    if (reach(work, AT_FDCWD, text, work->one, &path) && look_up(&path, &found, 0) == 0) {
        save(work, 's', &path, &found, true);
        changed(&path, &found, false);
        note(work, 't', &path, NULL, 0, &found, NULL);
    }
    release(work);
}

/* A file whose name was not known before it was made: `mkstemp` and its like. 0: it is a folder. */
void see_made(const char *text, int64_t flags) {
    struct path path;
    struct work *work = claim();
    if (!work)
        return;
    if (reach(work, AT_FDCWD, text, work->one, &path)) {
        if (flags) {
            remember(CREATED, path_key(&path), 1);
            changed(&path, NULL, false);
        }
        note(work, flags ? 'w' : 'k', &path, NULL, flags, NULL, NULL);
    }
    release(work);
}

/* The endpoint as it is written, where the watcher does not say it. */
static bool add_endpoint(struct line *line, const struct sockaddr *address, socklen_t length) {
    char host[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_UNIX) {
        const char *name = ((const struct sockaddr_un *)address)->sun_path;
        size_t most = length - offsetof(struct sockaddr_un, sun_path);
        add_text(line, *name ? "unix:" : "unix:@");
        add(line, name + !*name, strnlen(name + !*name, most - !*name));
    } else if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *internet = (const struct sockaddr_in *)address;
        add_text(line, "ip:");
        add_text(line, inet_ntop(AF_INET, &internet->sin_addr, host, sizeof host) ? host : "");
        add_text(line, ":");
        add_number(line, ntohs(internet->sin_port));
    } else if (address->sa_family == AF_INET6 && length >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
        const struct sockaddr_in6 *internet = (const struct sockaddr_in6 *)address;
        add_text(line, "ip:[");
        add_text(line, inet_ntop(AF_INET6, &internet->sin6_addr, host, sizeof host) ? host : "");
        add_text(line, "]:");
        add_number(line, ntohs(internet->sin6_port));
    } else
        return false;
    return true;
}

/* Whether it is the run itself that listens there is for the watcher to find out. */
void see_connect(int descriptor, const struct sockaddr *address, socklen_t length) {
    sa_family_t family = address && length > offsetof(struct sockaddr_un, sun_path) ? address->sa_family : AF_UNSPEC;
    if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
        return;
    struct work *work = claim();
    if (!work)
        return;
    uint32_t head[2] = {work->process, (uint32_t)descriptor};
    size_t known = length < sizeof(struct sockaddr_un) ? length : sizeof(struct sockaddr_un);
    memcpy(work->words, head, sizeof head);
    memcpy(work->words + sizeof head, address, known);
    introduce(work);
    send_lines(work);
    if (!ask('c', work->words, sizeof head + known)) {
        struct line line = {.bytes = work->one, .room = sizeof work->one - 1};
        bool named = add_endpoint(&line, address, (socklen_t)known);
        line.bytes[line.end] = 0;
        if (named)
            note(work, 'c', NULL, NULL, 0, NULL, line.bytes);
    }
    release(work);
}

/* A gap of this program. */
static void say(struct work *work, const char *what) {
    struct line line = {.bytes = work->one, .room = sizeof work->one - 1};
    char name[17] = "";
    raw(SYS_prctl, PR_GET_NAME, name);
    add_text(&line, name);
    add_text(&line, " ");
    add_text(&line, what);
    line.bytes[line.end] = 0;
    note(work, 'g', NULL, NULL, 0, NULL, line.bytes);
}

/* A call after which not all is seen, or not under its own name. */
void see_odd(const char *what) {
    struct work *work = claim();
    if (!work)
        return;
    say(work, what);
    release(work);
}
