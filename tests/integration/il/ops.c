/* Random operations on files of a directory, the same for the same seed; tells each result. What is told must be the same on any file
   system, however programs reach it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIPTORS 8
#define FILES 3
#define PLACE 40
#define SIZE 200000

static uint64_t state;
static unsigned char data[SIZE];

static uint64_t draw(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static unsigned long sum(const unsigned char *bytes, ssize_t len) {
    unsigned long all = 5381;
    for (ssize_t at = 0; at < len; at++) all = all * 33 + bytes[at];
    return all;
}

static void told(const char *what, long result, unsigned long more) {
    if (result < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld %lx\n", what, result, more);
}

static void fill(size_t len) {
    unsigned char first = draw(256);
    for (size_t at = 0; at < len; at++) data[at] = first + at % 251;
}

static size_t length(void) { return draw(4) ? 1 + draw(9000) : draw(70000); }

static int split(struct iovec *parts, size_t len) {
    int count = 1 + draw(4);
    for (int part = 0; part < count; part++) {
        parts[part].iov_base = data + len * part / count;
        parts[part].iov_len = len * (part + 1) / count - len * part / count;
    }
    return count;
}

static void open_one(int place, int number) {
    static const int how[] = {O_RDWR, O_RDWR | O_CREAT, O_RDONLY, O_WRONLY | O_CREAT, O_RDWR | O_APPEND | O_CREAT,
                              O_RDWR | O_CREAT | O_EXCL, O_RDWR | O_TRUNC, O_WRONLY | O_APPEND};
    char name[32];
    int file = draw(FILES), flags = how[draw(8)];
    snprintf(name, sizeof name, "%s%d", draw(2) ? "" : "./sub/../", file);
    int opened = open(name, flags, 0644);
    if (opened >= 0) {
        if (dup2(opened, place) != place) abort();
        close(opened);
    }
    char what[64];
    snprintf(what, sizeof what, "%d open %d %x", number, file, flags);
    told(what, opened < 0 ? -1 : 0, 0);
}

static void step(int number) {
    int place = PLACE + draw(DESCRIPTORS), other = PLACE + draw(DESCRIPTORS);
    char what[64];
    struct iovec parts[4];
    struct stat seen;
    size_t len = length();
    off_t at = draw(SIZE);
    long got;
#define TELL(name, result, more) snprintf(what, sizeof what, "%d " name, number), told(what, result, more)
    switch (draw(24)) {
    case 0: case 1: case 2: open_one(place, number); break;
    case 3: got = close(place); TELL("close", got, 0); break;
    case 4: case 5: case 6: got = read(place, data, len); TELL("read", got, sum(data, got)); break;
    case 7: case 8: case 9: fill(len); got = write(place, data, len); TELL("write", got, 0); break;
    case 10: case 11: got = pread(place, data, len, at); TELL("pread", got, sum(data, got)); break;
    case 12: case 13: fill(len); got = pwrite(place, data, len, at); TELL("pwrite", got, 0); break;
    case 14: memset(data, 0, len); got = readv(place, parts, split(parts, len)); TELL("readv", got, sum(data, got)); break;
    case 15: fill(len); got = writev(place, parts, split(parts, len)); TELL("writev", got, 0); break;
    case 16: got = lseek(place, draw(2) ? at : -(off_t)draw(3000), draw(3)); TELL("lseek", got, 0); break;
    case 17: got = ftruncate(place, draw(2) ? at : 0); TELL("ftruncate", got, 0); break;
    case 18: got = fstat(place, &seen); TELL("fstat", got, got < 0 ? 0 : (unsigned long)seen.st_size); break;
    case 19:
        got = draw(2) ? dup2(place, other) : dup3(place, other == place ? PLACE - 1 : other, O_CLOEXEC);
        TELL("dup", got, 0);
        break;
    case 20:
        got = preadv2(place, parts, split(parts, len), draw(2) ? at : -1, 0);
        TELL("preadv2", got, sum(data, got));
        break;
    case 21: {
        /* A child and its parent have one offset. */
        fflush(stdout);
        fill(len);
        pid_t child = fork();
        if (child == 0) {
            long first = read(place, data, 1 + len / 3);
            TELL("in a child", first, sum(data, first));
            fill(len % 5000 + 1);
            first = write(place, data, len % 5000 + 1);
            TELL("in a child", first, 0);
            fflush(stdout);
            _exit(0);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child) abort();
        got = lseek(place, 0, SEEK_CUR);
        TELL("after a child", got, (unsigned long)status);
        break;
    }
    case 22: {
        if (fstat(place, &seen) < 0 || seen.st_size == 0) break;
        int shares = draw(2) && (fcntl(place, F_GETFL) & O_ACCMODE) == O_RDWR;
        unsigned char *map = mmap(NULL, seen.st_size, shares ? PROT_READ | PROT_WRITE : PROT_READ,
                                  shares ? MAP_SHARED : MAP_PRIVATE, place, 0);
        if (map == MAP_FAILED) {
            TELL("mmap", -1, 0);
            break;
        }
        TELL("mmap", 0, sum(map, seen.st_size));
        if (shares) {
            map[at % seen.st_size] = number;
            if (pwrite(place, "within", 6, 0) == 6) TELL("through", 0, sum(map, seen.st_size < 6 ? seen.st_size : 6));
        }
        munmap(map, seen.st_size);
        break;
    }
    case 23: {
        off_t from = at;
        struct stat there;
        /* What becomes of a file that is sent to a part of itself depends on how large the pieces are. */
        if (fstat(place, &seen) == 0 && fstat(other, &there) == 0 && seen.st_ino == there.st_ino) break;
        got = sendfile(other, place, &from, len);
        if (got < 0 && errno == EINVAL) errno = EBADF;
        TELL("sendfile", got, 0);
        break;
    }
    }
}

int main(int count, char **words) {
    if (count != 4 || chdir(words[1]) != 0) return 2;
    state = strtoull(words[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    mkdir("sub", 0755);
    for (int number = 0; number < atoi(words[3]); number++) step(number);
    for (int file = 0; file < FILES; file++) {
        char name[32];
        snprintf(name, sizeof name, "%d", file);
        int opened = open(name, O_RDONLY);
        if (opened < 0) continue;
        unsigned long all = 0;
        ssize_t got;
        while ((got = read(opened, data, 3000)) > 0) all = all * 31 + sum(data, got);
        printf("%s: %lx %ld\n", name, all, (long)got);
        close(opened);
    }
    return 0;
}
