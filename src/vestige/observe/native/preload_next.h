/* The functions of the C library that the preloaded library stands before, and how they are reached. */

#pragma once

/* Both would have us define a function under the name of another. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS

#include "preload.h"

#include <dirent.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#ifndef __GLIBC__
#error "the preloaded library is made for the GNU C library"
#endif

#define EXPORT __attribute__((visibility("default")))

int move_mount(int from, const char *source, int to, const char *target, unsigned flags);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);

#define NAMES(X)                                                                                                               \
    X(open) X(open64) X(openat) X(openat64) X(__open_2) X(__open64_2) X(__openat_2) X(__openat64_2) X(creat) X(creat64)        \
    X(fopen) X(fopen64) X(freopen) X(freopen64) X(opendir) X(scandir) X(scandir64) X(scandirat) X(scandirat64) X(mkstemp)      \
    X(mkstemp64) X(mkostemp) X(mkostemp64) X(mkstemps) X(mkstemps64) X(mkostemps) X(mkostemps64) X(mkdtemp) X(tmpfile)         \
    X(tmpfile64) X(rename) X(renameat) X(renameat2) X(link) X(linkat) X(symlink) X(symlinkat) X(unlink) X(unlinkat) X(remove)  \
    X(rmdir) X(mkdir) X(mkdirat) X(truncate) X(truncate64) X(execve) X(execvpe) X(fexecve) X(execveat) X(posix_spawn)          \
    X(posix_spawnp) X(posix_spawn_file_actions_addopen) X(connect) X(chroot) X(mount) X(move_mount) X(setns) \
    X(open_by_handle_at)

enum name {
#define NUMBER(name) NAME_##name,
    NAMES(NUMBER) COUNT
};

#define NEXT(name) ((__typeof__(&name))next_of(NAME_##name))

/* The function that is called by this name where we are not; COUNT is syscall(2). */
void *next_of(size_t number);

/* What only says how mounts spread moves no file. */
#define SPREADS (MS_REMOUNT | MS_PRIVATE | MS_SLAVE | MS_SHARED | MS_UNBINDABLE)
#define see_mount(flags) ((flags) & SPREADS ? (void)0 : see_odd(MOUNTED))

/* Whether a call is to be noted. */
bool watching(void);

#define CHROOT "called chroot: files may have other names behind it"
#define MOUNTED "mounted something: files may have other names there"
#define SETNS "entered a namespace: files may have other names there"
#define PIVOT_ROOT "called pivot_root: files may have other names behind it"
#define BY_HANDLE "opened a file by its handle: which one is not known"
