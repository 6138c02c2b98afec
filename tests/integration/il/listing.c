/* Directories as streams: what they have, and their descriptors. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int count(DIR *dir) {
    int found = 0;
    while (readdir(dir)) found++;
    return found;
}

int main(int words, char **word) {
    struct stat seen, also;
    if (words != 2 || chdir(word[1]) != 0) return 2;
    for (int turn = 0; turn < 10; turn++) stat(".", &seen);
    if (mkdir("d", 0755) != 0 || mkdir("d/one", 0755) != 0 || mkdir("e", 0755) != 0) return 2;
    DIR *dir = opendir("d");
    if (!dir) return 3;
    printf("%d\n", count(dir));
    if (stat("d", &seen) == 0 && fstat(dirfd(dir), &also) == 0 && seen.st_ino == also.st_ino && dirfd(dir) == dirfd(dir)) puts("same");
    closedir(dir);
    /* By then something else is there. */
    dir = opendir("d");
    if (rename("d", "f") != 0 || rename("e", "d") != 0) return 4;
    if (dirfd(dir) < 0) puts(strerrorname_np(errno));
    printf("%d\n", count(dir));
    closedir(dir);
    int place = open("f", O_RDONLY | O_DIRECTORY);
    dir = fdopendir(place);
    if (dirfd(dir) != place) return 5;
    closedir(dir);
    if (fcntl(place, F_GETFD) < 0) puts("closed");
    dir = opendir("f");
    if (mkdir("f/two", 0755) != 0) return 6;
    rewinddir(dir);
    printf("%d\n", count(dir));
    closedir(dir);
    /* The program goes elsewhere meanwhile. */
    dir = opendir("f");
    if (mkdir("f/three", 0755) != 0 || chdir("/") != 0) return 7;
    rewinddir(dir);
    printf("%d\n", count(dir));
    if (dirfd(dir) >= 0) puts("found");
    closedir(dir);
    if (chdir(word[1]) != 0) return 8;
    close(open("file", O_CREAT | O_WRONLY, 0644));
    if (!opendir("none")) puts(strerrorname_np(errno));
    if (!opendir("file")) puts(strerrorname_np(errno));
    if (!fdopendir(77)) puts(strerrorname_np(errno));
    return 0;
}
