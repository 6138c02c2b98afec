/* What a program may not do, and what it may do to descriptors that it does not know. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

static char data[4096];
/* What a compiler would see through. */
static void *volatile nowhere, *volatile low = (void *)16;
static volatile int many = 2000;

static void told(const char *what, long result) {
    if (result < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, result);
}

int main(int count, char **words) {
    if (count != 2 || chdir(words[1]) != 0) return 2;
    int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    /* Taken over by the library, where it can. */
    for (int turn = 0; turn < 8; turn++) told("pwrite", pwrite(file, data, sizeof data, turn * 4096));
    int reads = open("file", O_RDONLY), writes = open("file", O_WRONLY);
    for (int turn = 0; turn < 4; turn++) {
        told("write to what reads", write(reads, data, 10));
        told("read of what writes", read(writes, data, 10));
        told("pread before the beginning", pread(file, data, 10, -1));
        told("pwrite behind the end", pwrite(file, data, 10, 0x7ffffffffffffff8));
        told("read nothing", read(file, data, 0));
        told("read to nowhere", read(file, nowhere, 10));
        told("write from nowhere", pwrite(file, low, 10, 0));
        struct iovec parts[2] = {{data, 10}, {nowhere, 10}};
        told("writev from nowhere", pwritev(file, parts, 2, 1 << 20));
        told("readv of too many", readv(file, parts, many));
        told("readv of none", readv(file, parts, 0));
        told("preadv2 with what is unknown", preadv2(file, parts, 1, 0, 1 << 30));
        told("a directory", read(open(".", O_RDONLY), data, 10));
    }
    /* Closed and another file, by ways that nobody sees. */
    int pipes[2];
    if (pipe(pipes) != 0) return 2;
    FILE *stream = fdopen(dup(file), "r+");
    int number = fileno(stream);
    for (int turn = 0; turn < 6; turn++) told("read", pread(number, data, 10, 0));
    fclose(stream);
    told("the number is free", fcntl(number, F_DUPFD, 0));
    int again = dup(pipes[1]);
    told("the same number", again - number);
    told("write to a pipe", write(again, "pipe", 4));
    told("read of a pipe", read(pipes[0], data, 10));
    told("pread of a pipe", pread(again, data, 10, 0));
    /* All that is not known is closed. */
    told("close_range", close_range(200, ~0u, 0));
    for (int other = 200; other < 1100; other++) close(other);
    for (int turn = 0; turn < 6; turn++) told("pwrite after that", pwrite(file, "after", 5, turn));
    closefrom(300);
    told("pread after that", pread(file, data, 5, 5));
    for (int other = 700; other < 1020; other++) told("a number that is chosen", dup2(pipes[1], other) - other);
    for (int turn = 0; turn < 40; turn++) told("pwrite beside it", pwrite(file, "beside", 6, turn));
    char byte;
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    told("nothing is in the pipe", read(pipes[0], &byte, 1));
    struct rlimit limit = {8192, 8192};
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
    told("too far", pwrite(file, data, 10, 9000));
    told("up to there", pwrite(file, data, 10, 8187));
    told("unmapped", (long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, 5000, 0));
    return 0;
}
