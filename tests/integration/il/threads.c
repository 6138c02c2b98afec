/* Threads and children that write to one file at once: at places of their own, at an offset that they share, at its end. No byte may be
   lost, or be there twice. Meanwhile a signal reads and writes as well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define CHILDREN 3
#define ROUNDS 200
#define LINE 64

static int places, shared, ends, beside;
static volatile sig_atomic_t signals;

static void must(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void on_signal(int number) {
    (void)number;
    char byte = 's', back;
    int before = errno;
    if (pwrite(beside, &byte, 1, signals) == 1 && pread(beside, &back, 1, signals) == 1 && back == byte) signals++;
    errno = before;
}

static void work(int who) {
    char line[LINE + 1], back[LINE];
    for (int round = 0; round < ROUNDS; round++) {
        off_t at = ((off_t)round * (THREADS + CHILDREN) + who) * LINE;
        snprintf(line, sizeof line, "%0*d\n", LINE - 1, who * ROUNDS + round);
        must(pwrite(places, line, LINE, at) == LINE, "pwrite");
        must(pread(places, back, LINE, at) == LINE && memcmp(line, back, LINE) == 0, "pread");
        must(write(shared, line, LINE) == LINE, "write");
        must(write(ends, line, LINE) == LINE, "append");
        /* Memory of the program's, in the middle of which the signal comes. */
        free(malloc(100 + round));
    }
}

static void *thread(void *who) {
    work((int)(intptr_t)who);
    return NULL;
}

int main(int count, char **words) {
    must(count == 2 && chdir(words[1]) == 0, "chdir");
    places = open("places", O_RDWR | O_CREAT | O_TRUNC, 0644);
    shared = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0644);
    ends = open("ends", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644);
    beside = open("beside", O_RDWR | O_CREAT | O_TRUNC, 0644);
    must(places >= 0 && shared >= 0 && ends >= 0 && beside >= 0, "open");
    /* By the library only what makes no file longer. */
    off_t all = (off_t)ROUNDS * (THREADS + CHILDREN) * LINE;
    must(ftruncate(places, all) == 0 && ftruncate(shared, all) == 0 && ftruncate(beside, 1 << 20) == 0, "ftruncate");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {{0, 5000}, {0, 5000}};
    setitimer(ITIMER_REAL, &often, NULL);
    pthread_t threads[THREADS];
    for (intptr_t who = 0; who < THREADS; who++) pthread_create(&threads[who], NULL, thread, (void *)who);
    pid_t children[CHILDREN];
    for (int child = 0; child < CHILDREN; child++) {
        children[child] = fork();
        if (children[child] == 0) {
            work(THREADS + child);
            _exit(0);
        }
    }
    for (int who = 0; who < THREADS; who++) pthread_join(threads[who], NULL);
    for (int child = 0; child < CHILDREN; child++) {
        int status;
        while (waitpid(children[child], &status, 0) != children[child]) must(errno == EINTR, "waitpid");
        must(status == 0, "a child");
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%d\n", signals > 0);
    return 0;
}
