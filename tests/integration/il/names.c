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
#include <sys/xattr.h>
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
    /* What is known of a directory that was removed is as of each moment. */
    if (S_ISDIR(seen->st_mode) && seen->st_nlink == 0) { close(file); return; }
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

/* Whether a path leads somewhere below, or nowhere: what is elsewhere is not changed, nor are directories that were removed. */
static int may_change(int at, const char *name) {
    int there = openat(at, name, O_PATH | O_CLOEXEC);
    if (there < 0) return 1;
    struct stat seen;
    int within = is_within(there) && fstat(there, &seen) == 0 && seen.st_nlink > 0;
    close(there);
    return within;
}

static unsigned long sum_of(const struct dirent *entry) {
    unsigned long sum = entry->d_type;
    for (const char *byte = entry->d_name; *byte; byte++) sum = sum * 33 + *byte;
    return sum;
}

/* Lists a directory, here and there again; in no order, so that sums are told. */
static long listed(int at, const char *name, char *more) {
    int by_path = at == AT_FDCWD && draw(2), asks = draw(2);
    unsigned turns = draw(4), place = draw(5);
    DIR *dir;
    if (by_path) dir = opendir(name);
    else {
        int opened = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (opened < 0) return -1;
        dir = fdopendir(opened);
    }
    if (!dir) return -1;
    int there = openat(at, name, O_PATH | O_CLOEXEC), within = is_within(there);
    struct stat seen, also;
    if (asks && (fstat(dirfd(dir), &seen) < 0 || fstat(there, &also) < 0 || seen.st_ino != also.st_ino)) exit(4);
    close(there);
    long count = 0;
    unsigned long sum = 0;
    for (unsigned turn = 0; turn <= turns; turn++) {
        if (turn) rewinddir(dir);
        count = 0, sum = 0;
        for (;;) {
            long before = telldir(dir);
            errno = 0;
            struct dirent *entry = readdir(dir);
            if (!entry) { if (errno) return -1; break; }
            unsigned long first = sum_of(entry);
            if (place == count) {
                seekdir(dir, before);
                entry = readdir(dir);
                if (!entry || sum_of(entry) != first) exit(5);
            }
            count++, sum += first;
        }
        if (readdir(dir)) exit(6);
    }
    if (closedir(dir) < 0) return -1;
    if (!within) return 0;
    sprintf(more, "%lx", sum);
    return count;
}

static void step(int number) {
    char more[PATH_MAX + 200] = "";
    struct stat seen;
    int at, to;
    const char *name = path(first, &at);
    long got;
    switch (draw(44)) {
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
    case 30: case 31: got = listed(at, name, more); told(number, "list", got, more); break;
    case 32: {
        if (!may_change(at, name)) break;
        int mode = draw(010000);
        got = at == AT_FDCWD && draw(2) ? chmod(name, mode) : fchmodat(at, name, mode, 0);
        told(number, "chmod", got, more);
        break;
    }
    case 33: {
        if (!may_change(at, name)) break;
        /* What only root may do is refused to all others alike. */
        int uid = draw(3) - 1, gid = draw(3) - 1, flags = draw(2) ? AT_SYMLINK_NOFOLLOW : 0;
        if (at == AT_FDCWD && draw(2)) got = flags ? lchown(name, uid, gid) : chown(name, uid, gid);
        else got = fchownat(at, name, uid, gid, flags);
        if (fstatat(at, name, &seen, flags) == 0) shown(more, &seen);
        told(number, "chown", got, more);
        break;
    }
    case 34: case 35: {
        if (!may_change(at, name)) break;
        static const long kinds[] = {UTIME_NOW, UTIME_OMIT, 0, 999999999, 1000000000};
        struct timespec times[2] = {{1, kinds[draw(5)]}, {(long)draw(1000000) - 1000, kinds[draw(5)]}};
        int flags = draw(2) ? AT_SYMLINK_NOFOLLOW : 0;
        got = utimensat(at, name, draw(5) ? times : NULL, flags);
        if (got == 0 && fstatat(at, name, &seen, flags) == 0 && seen.st_mtim.tv_sec < 1000000)
            sprintf(more, "%ld.%09ld", seen.st_mtim.tv_sec, seen.st_mtim.tv_nsec);
        told(number, "utimens", got, more);
        break;
    }
    case 36: if (!may_change(AT_FDCWD, name)) break; got = truncate(name, (long)draw(3000) - 2); told(number, "truncate", got, more); break;
    case 37: case 38: case 39: {
        static const char *attributes[] = {"user.a", "user.b", "user.c", "user.d", "system.x", "security.capability", "none"};
        const char *attribute = attributes[draw(7)];
        char value[64] = "";
        size_t room = draw(4) ? sizeof value - 1 : draw(4);
        int how = draw(6), into = draw(2);
        /* Attributes are asked for by paths alone. */
        if (!may_change(AT_FDCWD, name)) break;
        if (how == 0 || how == 1) {
            int flags = (int)draw(4);
            got = (into ? setxattr : lsetxattr)(name, attribute, "value", draw(6), flags < 3 ? flags : 0);
        } else if (how == 2) got = (into ? removexattr : lremovexattr)(name, attribute);
        else got = (into ? getxattr : lgetxattr)(name, attribute, value, room);
        sprintf(more, "%s %s", attribute, how > 2 && got > 0 && room > 0 ? value : "");
        /* What others keep there is theirs to say. */
        if (strncmp(attribute, "user.", 5) != 0) got = 0;
        told(number, how > 2 ? "getxattr" : "setxattr", got, more);
        break;
    }
    case 40: {
        char value[256] = "";
        size_t room = draw(2) ? sizeof value - 1 : draw(9);
        if (!may_change(AT_FDCWD, name)) break;
        got = draw(2) ? listxattr(name, value, room) : llistxattr(name, value, room);
        /* In no order; and those that a system gives each file are not compared. */
        int count = 0;
        for (char *next = value; got > 0 && room > 0 && next < value + got; next += strlen(next) + 1) count += !strncmp(next, "user.", 5);
        told(number, "listxattr", got < 0 ? got : 0, got > 0 && room > 8 ? (sprintf(more, "%d", count), more) : "");
        break;
    }
    case 41: case 42: case 43: {
        if (!may_change(at, name)) break;
        /* The same by what is open. */
        int file = openat(at, name, O_RDWR | (draw(2) ? O_CREAT : 0), 0644);
        if (file < 0) { told(number, "open", -1, ""); break; }
        struct timespec times[2] = {{1, UTIME_OMIT}, {draw(100000), 5}};
        char value[64] = "";
        long results[7] = {fchmod(file, draw(01000)), futimens(file, times), fsetxattr(file, "user.a", "value", 5, 0),
                           fgetxattr(file, "user.a", value, 63), fremovexattr(file, draw(2) ? "user.a" : "user.z"),
                           fchown(file, -1, -1), ftruncate(file, draw(100))};
        if (fstat(file, &seen) == 0) shown(more, &seen);
        close(file);
        for (int one = 0; one < 7; one++) sprintf(more + strlen(more), " %ld", results[one]);
        told(number, "set", 0, more);
        break;
    }
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
        if (asprintf(&below, "%s/%s", name, entry) < 0) abort();
        if (lstat(below, &seen) < 0) {
            printf("%*s%s: %s\n", depth * 2, "", entry, strerrorname_np(errno));
            free(below);
            continue;
        }
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
