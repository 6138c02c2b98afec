/* Random operations on names below a directory, by several processes in turns, the same for the same seed; tells each result. What is
   told must be the same on any file system, however programs reach it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPEN 6
#define PLACE 50

static uint64_t state;
static char top[PATH_MAX];
static char first[PATH_MAX + 4096], second[PATH_MAX + 4096];
/* Directories that are open, and what is where the process is. */
static int directories[OPEN];

static uint64_t draw(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static const char *short_of(const char *name) {
    size_t len = strlen(top);
    return strlen(name) > 200 && strncmp(name, top, len) ? "long" : name + (strncmp(name, top, len) ? 0 : len);
}

static void told(int number, const char *what, long result, const char *more) {
    const char *name = short_of(first);
    if (result < 0)
        printf("%d %s %s: %s %s\n", number, what, name, strerrorname_np(errno), more);
    else
        printf("%d %s %s: %ld %s\n", number, what, name, result, more);
}

/* A path of some words, now and then an odd one; `*at` is where it begins. */
static const char *path(char *room, int *at) {
    static const char *words[] = {"a", "b", "c", "d", "a", "b", "f", "g", "link", "up", "loop", "far", ".", "..", "none"};
    static const char *odd[] = {"", "/", ".", "..", "./", "a/", "f/", "link/", "none/", "//a//b//", "/proc/self", "a/../b", "up/.."};
    *at = draw(3) ? AT_FDCWD : directories[draw(OPEN)];
    char *end = room;
    if (draw(12) == 0) return strcpy(room, odd[draw(13)]);
    if (draw(60) == 0) {
        memset(room, 'x', 256);
        strcpy(room + 255 + draw(2), draw(2) ? "" : "/a");
        return room;
    }
    if (draw(200) == 0) {
        for (int at = 0; at < 4096; at += 2) memcpy(room + at, "a/", 2);
        room[4094 + draw(3)] = 0;
        return room;
    }
    if (draw(3) == 0) end += sprintf(end, "%s/", top);
    int count = 1 + draw(4), ups = 0;
    for (int word = 0; word < count; word++) {
        const char *next = words[draw(15)];
        /* Not all the way up, where the trees that are compared are no more. */
        if (!strcmp(next, "..") && ups++ > 1) next = ".";
        end += sprintf(end, "%s%s", word ? (draw(20) ? "/" : "//") : "", next);
    }
    if (draw(15) == 0) strcpy(end, "/");
    return room;
}

static void shown(char *room, const struct stat *seen) {
    int is_file = S_ISREG(seen->st_mode), is_link = S_ISLNK(seen->st_mode);
    sprintf(room, "%o %ld %u %u %ld", seen->st_mode, is_file ? (long)seen->st_nlink : 0, seen->st_uid, seen->st_gid,
            is_file || is_link ? (long)seen->st_size : 0);
}

/* Whether all ways of asking tell the same: of the numbers and times that no two file systems have alike. */
static void agree(int at, const char *name, const struct stat *seen, int flags) {
    struct statx also;
    int file = openat(at, name, O_PATH | O_CLOEXEC | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
    struct stat by_file;
    if (file < 0) return;
    if (fstat(file, &by_file) < 0 || statx(at, name, flags, STATX_BASIC_STATS, &also) < 0) {
        printf("only one way tells of %s: %s\n", name, strerrorname_np(errno));
        exit(1);
    }
    struct statx by_kernel;
    if (statx(file, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &by_kernel) < 0) exit(1);
    close(file);
    if (memcmp(seen, &by_file, sizeof by_file) != 0 || memcmp(&also, &by_kernel, sizeof also) != 0) {
        printf("two ways tell otherwise of %s: numbers %lx %lx, times %ld.%09ld %ld.%09ld, masks %x %x\n", name, seen->st_ino,
               by_file.st_ino, seen->st_mtim.tv_sec, seen->st_mtim.tv_nsec, by_file.st_mtim.tv_sec, by_file.st_mtim.tv_nsec,
               also.stx_mask, by_kernel.stx_mask);
        exit(1);
    }
}

static int is_within(int directory) {
    char link[64], where[PATH_MAX];
    sprintf(link, "/proc/self/fd/%d", directory);
    ssize_t len = readlink(link, where, sizeof where);
    return len >= (ssize_t)strlen(top) && memcmp(where, top, strlen(top)) == 0;
}

static void step(int number) {
    char more[PATH_MAX + 200] = "";
    struct stat seen;
    int at, to;
    const char *name = path(first, &at);
    long got;
    switch (draw(30)) {
    case 0: case 1: case 2: case 3: case 4: {
        int flags = draw(2) ? AT_SYMLINK_NOFOLLOW : 0;
        got = at == AT_FDCWD && draw(2) ? (flags ? lstat(name, &seen) : stat(name, &seen)) : fstatat(at, name, &seen, flags);
        if (got == 0) shown(more, &seen), agree(at, name, &seen, flags);
        told(number, "stat", got, more);
        break;
    }
    case 5: case 6: {
        struct statx there;
        got = statx(at, name, draw(2) ? AT_SYMLINK_NOFOLLOW : 0, STATX_BASIC_STATS, &there);
        if (got == 0) sprintf(more, "%o %u", there.stx_mode, there.stx_mask & STATX_BASIC_STATS);
        told(number, "statx", got, more);
        break;
    }
    case 7: case 8: case 9:
        got = at == AT_FDCWD && draw(2) ? access(name, draw(8)) : faccessat(at, name, draw(9), draw(4) ? 0 : AT_EACCESS);
        told(number, "access", got, more);
        break;
    case 10: case 11: {
        size_t room = draw(4) ? sizeof more - 1 : draw(4);
        got = readlinkat(at, name, more, room);
        more[got < 0 ? 0 : got] = 0;
        told(number, "readlink", got, strstr(name, "proc") ? "" : strstr(more, top) ? "there" : more);
        break;
    }
    case 12: case 13: case 14: got = at == AT_FDCWD && draw(2) ? unlink(name) : unlinkat(at, name, 0); told(number, "unlink", got, more); break;
    case 15: case 16: got = at == AT_FDCWD && draw(2) ? rmdir(name) : unlinkat(at, name, AT_REMOVEDIR); told(number, "rmdir", got, more); break;
    case 17: case 18: case 19: case 20:
        got = at == AT_FDCWD && draw(2) ? mkdir(name, draw(010000)) : mkdirat(at, name, draw(010000));
        told(number, "mkdir", got, more);
        break;
    case 21: case 22: case 23: {
        const char *new_name = path(second, &to);
        static const unsigned flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, 77};
        unsigned how = flags[draw(6)];
        got = how ? renameat2(at, name, to, new_name, how) : renameat(at, name, to, new_name);
        /* Which file systems others are of tells nothing. */
        if (got < 0 && (!strcmp(name, "/") || !strcmp(new_name, "/"))) errno = EXDEV;
        told(number, "rename", got, short_of(second));
        break;
    }
    case 24: case 25: {
        int file = openat(at, name, O_CREAT | O_WRONLY | (draw(2) ? O_EXCL : O_TRUNC), draw(01000));
        if (file >= 0) {
            dprintf(file, "%d", number);
            if (fstat(file, &seen) == 0) shown(more, &seen);
            close(file);
        }
        told(number, "create", file < 0 ? -1 : 0, more);
        break;
    }
    case 26: {
        static const char *to_words[] = {"a", "../a", "b/c", "..", "loop", "./", "none", "../../x/f", top};
        const char *value = to_words[draw(9)];
        told(number, "symlink", symlinkat(value, at, name), more);
        break;
    }
    case 27:
        got = linkat(at, name, AT_FDCWD, path(second, &to), 0);
        if (got < 0 && errno == EXDEV) errno = EPERM;
        told(number, "link", got, more);
        break;
    case 28: {
        int place = draw(OPEN);
        int opened = openat(at, name, O_RDONLY | O_DIRECTORY);
        if (strstr(name, "proc")) break;
        if (opened >= 0 && is_within(opened)) {
            if (dup2(opened, directories[place]) < 0) abort();
            close(opened);
            if (draw(3) == 0) fchdir(directories[place]);
        } else if (opened >= 0) {
            close(opened);
        }
        told(number, "open", opened < 0 ? -1 : 0, more);
        if (!getcwd(more, sizeof more)) told(number, "getcwd", -1, "");
        else told(number, "getcwd", 0, strncmp(more, top, strlen(top)) ? "elsewhere" : more + strlen(top));
        break;
    }
    case 29:
        if (draw(3) == 0) told(number, "chdir", chdir(top), more);
        else if (at == AT_FDCWD && draw(2)) {
            got = chdir(name);
            told(number, "chdir", got, more);
            if (got == 0 && (!getcwd(more, sizeof more) || strncmp(more, top, strlen(top)))) chdir(top);
        }
        else told(number, "umask", umask(draw(0100)), more);
        break;
    }
}

static void list(const char *name, int depth) {
    struct dirent **entries;
    int count = scandir(name, &entries, NULL, alphasort);
    for (int index = 0; index < count; index++) {
        const char *entry = entries[index]->d_name;
        if (!strcmp(entry, ".") || !strcmp(entry, "..")) continue;
        char *below;
        struct stat seen;
        char text[200];
        if (asprintf(&below, "%s/%s", name, entry) < 0 || lstat(below, &seen) < 0) abort();
        shown(text, &seen);
        printf("%*s%s %s\n", depth * 2, "", entry, text);
        if (S_ISDIR(seen.st_mode)) list(below, depth + 1);
        free(below);
    }
}

int main(int count, char **words) {
    if (count != 5 || !realpath(words[1], top) || chdir(top) != 0) return 2;
    uint64_t seed = strtoull(words[2], NULL, 10);
    int steps = atoi(words[3]), processes = atoi(words[4]);
    umask(022);
    for (int place = 0; place < OPEN; place++) {
        directories[place] = PLACE + place;
        int opened = open(top, O_RDONLY | O_DIRECTORY);
        if (dup2(opened, directories[place]) < 0) return 2;
        close(opened);
    }
    /* A turn each: what one does the others see. */
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    int ring[16][2];
    for (int process = 0; process < processes; process++)
        if (pipe(ring[process]) < 0) return 2;
    fflush(stdout);
    int children[16];
    for (int process = 0; process < processes; process++) {
        children[process] = fork();
        if (children[process] < 0) return 2;
        if (children[process] > 0) continue;
        state = (seed * 16 + process) * 0x9e3779b97f4a7c15u + 1;
        char byte = 0;
        for (int number = process; number < steps; number += processes) {
            if (number > 0 && read(ring[process][0], &byte, 1) != 1) _exit(3);
            step(number);
            fflush(stdout);
            if (write(ring[(process + 1) % processes][1], "x", 1) != 1) _exit(3);
        }
        exit(0);
    }
    int status, failed = 0;
    for (int process = 0; process < processes; process++)
        if (waitpid(children[process], &status, 0) < 0 || status != 0) failed = 1;
    if (failed) return 1;
    list(top, 0);
    return 0;
}
