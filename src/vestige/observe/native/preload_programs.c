/* What is executed, for the preloaded library: whether it will be seen, and what it must find in its environment.
 *
 * A program that loads us tells of its own execution, first of all. For all others, whoever executes them does: they are
 * told by their ELF file, as the kernel and the linker read it.
 */

#include "preload.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/statfs.h>

#define LIBRARY_VARIABLE "LD_PRELOAD="
#define FOLDER_VARIABLE "VESTIGE_PRELOAD="
#define SANITIZER_VARIABLE "ASAN_OPTIONS="
#define SANITIZER_OPTION "verify_asan_link_order=0"

enum { HEAD = 1024, INTERPRETERS = 5, HEADERS = 32, NEEDED = 256 };

char library_path[PATH_MAX];

/* -- what a file is --------------------------------------------------------------------------------------------------- */

static bool read_at(int file, void *into, size_t length, uint64_t offset) {
    return raw(SYS_pread64, file, into, length, offset) == (long)length;
}

/* The dynamic linker of this process: one that is another belongs to another C library. */
static uint64_t own_linker(void) {
    const ElfW(Phdr) *header = (const ElfW(Phdr) *)getauxval(AT_PHDR), *end = header + getauxval(AT_PHNUM);
    const char *name = NULL;
    uintptr_t base = 0;
    for (const ElfW(Phdr) *at = header; at < end; at++)
        if (at->p_type == PT_PHDR)
            base = (uintptr_t)header - at->p_vaddr;
    for (const ElfW(Phdr) *at = header; at < end; at++)
        if (at->p_type == PT_INTERP)
            name = (const char *)(base + at->p_vaddr);
    struct stat found;
    return name && look_at(name, &found, 0) ? key_of(&found) : 0;
}

/* Go's linker leaves a note with its name. */
static bool is_go(int file, const ElfW(Phdr) *header) {
    char notes[512];
    size_t length = header->p_filesz < sizeof notes ? header->p_filesz : sizeof notes;
    if (header->p_type != PT_NOTE || !read_at(file, notes, length, header->p_offset))
        return false;
    for (size_t at = 0; at + sizeof(ElfW(Nhdr)) + 4 <= length;) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        at += sizeof note;
        if (note.n_namesz == 4 && memcmp(notes + at, "Go\0", 4) == 0)
            return true;
        if (note.n_namesz > length || note.n_descsz > length)
            return false;
        at += ((note.n_namesz + 3) & ~3U) + ((note.n_descsz + 3) & ~3U);
    }
    return false;
}

/* Whether it needs the library of AddressSanitizer, which wants to be the first one loaded unless told otherwise. */
static bool is_sanitized(int file, const ElfW(Phdr) *headers, size_t count, const ElfW(Phdr) *dynamic) {
    ElfW(Dyn) entries[NEEDED / 8];
    uint64_t strings = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t start = 0; start < dynamic->p_filesz; start += sizeof entries) {
            size_t length = dynamic->p_filesz - start < sizeof entries ? dynamic->p_filesz - start : sizeof entries;
            if (!read_at(file, entries, length, dynamic->p_offset + start))
                return false;
            for (size_t at = 0; at < length / sizeof *entries && entries[at].d_tag != DT_NULL; at++) {
                if (pass == 0 && entries[at].d_tag == DT_STRTAB)
                    strings = entries[at].d_un.d_ptr;
                char name[32];
                if (pass == 1 && entries[at].d_tag == DT_NEEDED &&
                    read_at(file, name, sizeof name, strings + entries[at].d_un.d_val) &&
                    (starts(name, "libasan.so") || starts(name, "libclang_rt.asan")))
                    return true;
            }
            if (pass == 0 && strings) {
                for (size_t at = 0; at < count; at++)
                    if (headers[at].p_type == PT_LOAD && strings - headers[at].p_vaddr < headers[at].p_filesz) {
                        strings += headers[at].p_offset - headers[at].p_vaddr;
                        break;
                    }
                break;
            }
        }
    return false;
}

static int examine_elf(int file, const unsigned char *head, const struct stat *found, const char **why) {
    const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)head;
    static const unsigned char own_class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
#if defined(__x86_64__)
    static const int own_machine = EM_X86_64;
#else
    static const int own_machine = EM_AARCH64;
#endif
    if (elf->e_ident[EI_CLASS] != own_class || elf->e_machine != own_machine) {
        *why = " is of another architecture: which files it opens, or the programs that it starts, is not known";
        return UNSEEN | FOREIGN;
    }
    ElfW(Phdr) headers[HEADERS];
    size_t count = elf->e_phnum < HEADERS ? elf->e_phnum : HEADERS;
    if (elf->e_phentsize != sizeof *headers || !read_at(file, headers, count * sizeof *headers, elf->e_phoff))
        return SEEN;
    const ElfW(Phdr) *linker = NULL, *dynamic = NULL;
    bool go = false;
    for (const ElfW(Phdr) *at = headers; at < headers + count; at++) {
        linker = at->p_type == PT_INTERP ? at : linker;
        dynamic = at->p_type == PT_DYNAMIC ? at : dynamic;
        go |= is_go(file, at);
    }
    uint64_t own = own_linker();
    if (!linker) {
        if (own == key_of(found))
            return SEEN; /* the dynamic linker itself, called to start a program */
        *why = " is linked statically: which files it opens is not known";
        return UNSEEN;
    }
    char name[PATH_MAX / 4];
    struct stat other;
    size_t length = linker->p_filesz < sizeof name ? linker->p_filesz : sizeof name - 1;
    if (own && read_at(file, name, length, linker->p_offset) && !(name[length] = 0) && look_at(name, &other, 0) &&
        key_of(&other) != own) {
        *why = " uses another C library: which files it opens, or the programs that it starts, is not known";
        return UNSEEN | FOREIGN;
    }
    if (go)
        *why = " is a Go program, which asks the kernel without the C library: which files it opens is not known";
    return dynamic && is_sanitized(file, headers, count, dynamic) ? SANITIZED : SEEN;
}

/* Whether the program becomes somebody else, so that the linker ignores what it is told, and forgets it. */
static bool gains_privileges(int file, const struct stat *found) {
    uint32_t user = (uint32_t)raw(SYS_geteuid), group = (uint32_t)raw(SYS_getegid);
    bool gains = (found->st_mode & S_ISUID && found->st_uid != user) ||
                 ((found->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && found->st_gid != group) ||
                 (user && raw(SYS_fgetxattr, file, "security.capability", NULL, 0) > 0);
    struct statfs system;
    return gains && raw(SYS_prctl, PR_GET_NO_NEW_PRIVS) != 1 &&
           (raw(SYS_fstatfs, file, &system) != 0 || !(system.f_flags & 2 /* ST_NOSUID */));
}

/* What will be seen of a program when it is executed; `*why`: what is to be said of it, after its path. */
int examine(const char *path, const char **why) {
    char head[HEAD + 1];
    struct stat found;
    *why = NULL;
    for (int depth = 0; depth < INTERPRETERS; depth++) {
        int file = (int)raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
        if (file < 0)
            return SEEN;
        int verdict = SEEN;
        long length = raw(SYS_fstat, file, &found) == 0 && S_ISREG(found.st_mode) ? raw(SYS_read, file, head, HEAD) : -1;
        bool script = length > 2 && head[0] == '#' && head[1] == '!';
        if (length >= (long)sizeof(ElfW(Ehdr)) && memcmp(head, ELFMAG, SELFMAG) == 0) {
            if (gains_privileges(file, &found)) {
                *why = " gains privileges: which files it opens, or the programs that it starts, is not known";
                verdict = UNSEEN;
            } else
                verdict = examine_elf(file, (unsigned char *)head, &found, why);
        }
        raw(SYS_close, file);
        if (!script)
            return verdict;
        head[length] = 0;
        char *start = head + 2 + strspn(head + 2, " \t");
        start[strcspn(start, " \t\r\n")] = 0;
        memmove(head, start, strlen(start) + 1);
        path = head;
    }
    return SEEN;
}

/* -- what is said of it ----------------------------------------------------------------------------------------------- */

static bool suspicious(char *const *words) {
    const char *strings = page->strings;
    if (atomic_load(&page->mindful))
        return true;
    if (words[0] && telling_program(words[0], strings + page->telling))
        return true;
    for (; *words; words++)
        if (suspicious_word(*words, strings + page->marks, ""))
            return true;
    return false;
}

/* An `x`. Words that might be secret are handed to the watcher, which writes the line; else they are left out. */
static void note_execution(struct work *work, uint32_t number, const struct path *path, int64_t parent, const struct stat *found,
                           char *const *words) {
    struct line *line = &work->line;
    long length = raw(SYS_getcwd, work->folder, sizeof work->folder) - 1;
    struct path folder = {.text = work->folder, .length = length < 0 ? 0 : (size_t)length};
    size_t start = line->end;
    begin(work, 'x', number);
    add_rest(work, path, length > 0 && work->folder[0] == '/' ? &folder : NULL, parent, found, NULL);
    bool secret = suspicious(words);
    if (secret) {
        struct line given = {.bytes = work->words, .room = sizeof work->words};
        size_t head = line->end - start;
        add(&given, line->bytes + start, head);
        for (char *const *word = words; *word && !given.overflown; word++) {
            add(&given, "", 1);
            add_text(&given, *word);
        }
        line->end = start;
        send_lines(work); /* what comes before it */
        if (ask('x', given.bytes, given.end))
            return;
        add(line, given.bytes, head);
    }
    add_text(line, ",\"[");
    for (char *const *word = words; *word && (!secret || word == words); word++) {
        size_t before = line->end;
        if (word - words >= 4096 || before > LINE / 2)
            break;
        add_word(line, secret && suspicious_word(*word, page->strings + page->marks, "") ? "[not recorded]" : *word, word == words);
    }
    if (secret)
        add_word(line, "[not recorded]", false);
    add_text(line, "]\"");
    finish(work);
}

static void note_gap(struct work *work, const struct path *path, const struct stat *found, const char *why) {
    if (!why || remembered(TOLD, key_of(found), NULL) || path->length >= PATH_MAX)
        return;
    remember(TOLD, key_of(found), 1);
    memcpy(work->words, path->text, path->length);
    memcpy(work->words + path->length, why, strlen(why) + 1);
    begin(work, 'g', work->process);
    add_rest(work, NULL, NULL, 0, NULL, work->words);
    finish(work);
    send_lines(work);
}

/* This process has just become another program: by which name, and with which words. */
void see_start(int argc, char **argv) {
    struct path path;
    struct stat found, running;
    const char *name = (const char *)getauxval(AT_EXECFN);
    struct work *work = claim();
    if (!work)
        return;
    introduce(work);
    bool linked = look_at("/proc/self/exe", &running, 0);
    if (!name || starts(name, "/dev/fd/")) { /* fexecve */
        long length = raw(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", work->other, sizeof work->other - 1);
        work->other[length < 0 ? 0 : length] = 0;
        name = work->other;
    }
    if (*name && absolute(work, AT_FDCWD, name, work->one, &path) && look_up(&path, &found, 0) == 0) {
        /* The kernel puts the interpreter of a script, and what stands behind it, before the script. */
        if (linked && key_of(&found) != key_of(&running))
            for (int at = 1; at <= 2 && at < argc; at++)
                if (strcmp(argv[at], name) == 0) {
                    argv += at;
                    break;
                }
        note_execution(work, work->process, &path, 0, &found, argv);
    }
    send_lines(work);
    release(work);
}

/* The file that a name leads to along PATH, as execvp(3) finds it. */
static bool along_path(struct work *work, const char *name, struct path *path) {
    const char *folders = NULL, *end;
    for (char **one = environ; one && *one; one++)
        if (starts(*one, "PATH="))
            folders = *one + 5;
    if (!folders)
        folders = "/bin:/usr/bin";
    for (;; folders = end + 1) {
        end = strchrnul(folders, ':');
        struct line line = {.bytes = work->other, .room = sizeof work->other - 1};
        add(&line, folders, (size_t)(end - folders));
        add_text(&line, end > folders ? "/" : "./");
        add_text(&line, name);
        line.bytes[line.end] = 0;
        if (!line.overflown && raw(SYS_faccessat, AT_FDCWD, work->other, X_OK) == 0 &&
            absolute(work, AT_FDCWD, work->other, work->one, path))
            return true;
        if (!*end)
            return false;
    }
}

/* A program is about to be executed, here or (`spawned`) in a new process. */
void see_execution(int folder, const char *name, bool search, char *const *argv, bool spawned, int *verdict) {
    static char *const nothing[] = {NULL};
    struct path path;
    struct stat found;
    const char *why;
    *verdict = SEEN;
    struct work *work = claim();
    if (!work)
        return;
    bool known = name && search && !strchr(name, '/') ? along_path(work, name, &path) : absolute(work, folder, name, work->one, &path);
    if (known && look_up(&path, &found, 0) == 0 && S_ISREG(found.st_mode)) {
        *verdict = examine(path.text, &why);
        if (!(*verdict & UNSEEN) && !within_reach()) {
            why = " was executed as another user, or behind another root: which files it opens, or the programs that it starts,"
                  " is not known";
            *verdict = UNSEEN | FOREIGN;
        }
        if (!spawned) {
            introduce(work);
            remember(EXECUTING, work->process, 1);
        }
        if (*verdict & UNSEEN) {
            introduce(work);
            note_execution(work, spawned ? 0 : work->process, &path, spawned ? work->process : 0, &found, argv ? argv : nothing);
        }
        send_lines(work);
        note_gap(work, &path, &found, why);
    }
    release(work);
}

/* The execution has failed: this process is still what it was. */
void see_failure(void) { forget(EXECUTING, (uint32_t)raw(SYS_getpid)); }

/* -- what it finds in its environment ---------------------------------------------------------------------------------- */

static const char *value_of(char *const *environment, const char *variable) {
    for (; environment && *environment; environment++)
        if (starts(*environment, variable))
            return *environment + strlen(variable);
    return NULL;
}

/* Whether a list of libraries, parted by colons and blanks, names ours. */
static const char *ours_in(const char *libraries) {
    size_t length = strlen(library_path);
    for (const char *at = libraries; at && (at = strstr(at, library_path)); at += length)
        if ((at == libraries || strchr(": ", at[-1])) && strchr(": ", at[length]))
            return at;
    return NULL;
}

static bool is_complete(char *const *environment, int verdict) {
    const char *folder = value_of(environment, FOLDER_VARIABLE), *options = value_of(environment, SANITIZER_VARIABLE);
    if (folder && strcmp(folder, run_folder) != 0)
        return true; /* of a run inside this one */
    const char *ours = ours_in(value_of(environment, LIBRARY_VARIABLE));
    if (verdict & FOREIGN)
        return !ours;
    return folder && ours && (!(verdict & SANITIZED) || (options && strstr(options, SANITIZER_OPTION)));
}

/* Bytes that `environment_with` needs; 0 where the environment can stay as it is. */
size_t environment_room(char *const *environment, int verdict) {
    if (is_complete(environment, verdict))
        return 0;
    size_t count = 0, length = strlen(run_folder) + strlen(library_path) + 256;
    const char *libraries = value_of(environment, LIBRARY_VARIABLE), *options = value_of(environment, SANITIZER_VARIABLE);
    while (environment && environment[count])
        count++;
    return (count + 4) * sizeof(char *) + length + (libraries ? strlen(libraries) : 0) + (options ? strlen(options) : 0);
}

static char *joined(char **end, const char *variable, const char *before, const char *mark, const char *after) {
    char *start = *end;
    *end = stpcpy(stpcpy(stpcpy(stpcpy(start, variable), before), *before ? mark : ""), after) + 1;
    return start;
}

/* An environment in which the next program finds us, and which run it belongs to; or (of another C library) does not. */
char **environment_with(void *room, char *const *environment, int verdict) {
    char **into = room;
    size_t count = 0;
    while (environment && environment[count])
        count++;
    char *end = (char *)(into + count + 4);
    const char *libraries = value_of(environment, LIBRARY_VARIABLE), *options = value_of(environment, SANITIZER_VARIABLE);
    const char *ours = ours_in(libraries);
    for (size_t at = 0; at < count; at++)
        if (!starts(environment[at], FOLDER_VARIABLE) && !(starts(environment[at], LIBRARY_VARIABLE) && (!ours || verdict & FOREIGN)) &&
            !(starts(environment[at], SANITIZER_VARIABLE) && verdict & SANITIZED))
            *into++ = environment[at];
    *into++ = joined(&end, FOLDER_VARIABLE, "", "", run_folder);
    if (verdict & FOREIGN && ours) {
        size_t head = (size_t)(ours - libraries);
        char *start = end;
        end = stpcpy(end, LIBRARY_VARIABLE);
        memcpy(end, libraries, head);
        end = stpcpy(end + head, ours + strlen(library_path) + (ours[strlen(library_path)] != 0)) + 1;
        if (start[sizeof LIBRARY_VARIABLE - 1])
            *into++ = start;
    } else if (!(verdict & FOREIGN) && !ours)
        *into++ = joined(&end, LIBRARY_VARIABLE, libraries ? libraries : "", ":", library_path);
    if (verdict & SANITIZED)
        *into++ = joined(&end, SANITIZER_VARIABLE, options ? options : "", ":", SANITIZER_OPTION);
    *into = NULL;
    return room;
}
