// SPDX-License-Identifier: Apache-2.0
#include "base/os.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#endif

enum { out_buffer_bytes = 1 << 20 };

static ew_status io_failure(const char *verb, const char *path) {
    return ew__fail(EW_IO, "cannot %s \"%s\": %s", verb, path, strerror(errno));
}

static uint64_t modified_ns(const struct stat *info) {
#if defined(__APPLE__)
    const struct timespec *at = &info->st_mtimespec;
#else
    const struct timespec *at = &info->st_mtim;
#endif
    return (uint64_t)at->tv_sec * 1000000000u + (uint64_t)at->tv_nsec;
}

/* Opens a regular file for reading and gives its size and time of change. */
static ew_status open_regular(const char *path, int *fd, size_t *size, uint64_t *modified) {
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return io_failure("open", path);
    ew_status status = EW_OK;
    if (fstat(*fd, &info) != 0)
        status = io_failure("read", path);
    else if (S_ISDIR(info.st_mode))
        status = ew__fail(EW_IO, "\"%s\" is a folder, a file is needed", path);
    else if (!S_ISREG(info.st_mode))
        status = ew__fail(EW_IO, "\"%s\" is not a regular file", path);
    else if ((uint64_t)info.st_size > SIZE_MAX)
        status = ew__fail(EW_LIMIT, "\"%s\" is too large for this machine", path);
    else
        *size = (size_t)info.st_size;
    *modified = status == EW_OK ? modified_ns(&info) : 0;
    if (status != EW_OK)
        close(*fd);
    return status;
}

ew_status ew__file_map_open(const char *path, struct ew__file_map *out) {
    int fd;
    *out = (struct ew__file_map){0};
    EW__TRY(open_regular(path, &fd, &out->size, &out->modified_ns));
    ew_status status = EW_OK;
    if (out->size != 0) {
        void *data = mmap(NULL, out->size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED)
            status = io_failure("map", path);
        else
            out->data = data;
    }
    close(fd);
    return status;
}

void ew__file_map_close(struct ew__file_map *map) {
    if (map->data != NULL)
        munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct ew__file_map){0};
}

void ew__file_map_hint(const void *data, size_t n, ew__pages what) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)data, end = begin + n;
    if (what == EW__PAGES_WILL_NEED) {
        begin = begin / page * page;
    } else { // only whole pages may go
        begin = (begin + page - 1) / page * page;
        end = end / page * page;
    }
    if (begin >= end)
        return;
    void *start = (void *)begin;
    if (what == EW__PAGES_DONE) {
        (void)madvise(start, end - begin, MADV_DONTNEED);
        return;
    }
#if defined(MADV_HUGEPAGE)
    (void)madvise(start, end - begin, MADV_HUGEPAGE);
#endif
    (void)madvise(start, end - begin, MADV_WILLNEED);
}

/* --- files filled through a map --- */

/* A limit on file sizes would end the process with a signal, so it is looked at first. */
static ew_status take_space(int fd, const char *path, size_t size) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (uint64_t)limit.rlim_cur < size)
        return ew__fail(EW_IO, "cannot make \"%s\": its %zu bytes are over this process's limit",
                        path, size);
    if (size > (uint64_t)INT64_MAX)
        return ew__fail(EW_LIMIT, "cannot make \"%s\": it is too large", path);
#if defined(__APPLE__) // without holes only by writing; a full disk shows when it is flushed
    if (ftruncate(fd, (off_t)size) != 0)
        return io_failure("take space for", path);
#else
    int error = posix_fallocate(fd, 0, (off_t)size);
    if (error != 0) {
        errno = error;
        return io_failure("take space for", path);
    }
#endif
    return EW_OK;
}

static ew_status map_for_writing(struct ew__file_build *out) {
    EW__TRY(take_space(out->fd, out->path, out->size));
    void *data = mmap(NULL, out->size, PROT_READ | PROT_WRITE, MAP_SHARED, out->fd, 0);
    if (data == MAP_FAILED)
        return io_failure("map", out->path);
    out->data = data;
    return EW_OK;
}

ew_status ew__file_build_open(struct ew__file_build *out, const char *path, size_t size) {
    static const char suffix[] = ".tmp-XXXXXX";
    size_t n = strlen(path);
    *out = (struct ew__file_build){.fd = -1, .size = size};
    out->path = ew__strndup(path, n);
    out->temporary = ew__alloc(n + sizeof suffix);
    ew_status status = out->path != NULL && out->temporary != NULL ? EW_OK : EW_NO_MEMORY;
    if (status == EW_OK) {
        memcpy(out->temporary, path, n);
        memcpy(out->temporary + n, suffix, sizeof suffix);
        out->fd = mkstemp(out->temporary);
        status = out->fd < 0 ? io_failure("create a file beside", path) : map_for_writing(out);
    }
    if (status != EW_OK)
        ew__file_build_drop(out);
    return status;
}

ew_status ew__file_build_keep(struct ew__file_build *build, struct ew__file_map *map) {
    struct stat info;
    ew_status status = EW_OK;
    *map = (struct ew__file_map){0};
    if (msync(build->data, build->size, MS_SYNC) != 0 || fsync(build->fd) != 0)
        status = io_failure("flush", build->path);
    else if (mprotect(build->data, build->size, PROT_READ) != 0 || fstat(build->fd, &info) != 0)
        status = io_failure("finish", build->path);
    else if (rename(build->temporary, build->path) != 0)
        status = io_failure("rename the finished file to", build->path);
    if (status != EW_OK)
        return status;
    *map = (struct ew__file_map){build->data, build->size, modified_ns(&info)};
    build->data = NULL;
    ew__free(build->temporary);
    build->temporary = NULL;
    ew__file_build_drop(build);
    return EW_OK;
}

void ew__file_build_drop(struct ew__file_build *build) {
    if (build->path == NULL)
        return;
    if (build->data != NULL)
        munmap(build->data, build->size);
    if (build->fd >= 0) {
        close(build->fd);
        if (build->temporary != NULL)
            unlink(build->temporary);
    }
    ew__free(build->path);
    ew__free(build->temporary);
    *build = (struct ew__file_build){.fd = -1};
}

ew_status ew__file_out_open(struct ew__file_out *out, const char *path) {
    static const char suffix[] = ".tmp-XXXXXX";
    size_t n = strlen(path);
    *out = (struct ew__file_out){.fd = -1};
    out->path = ew__strndup(path, n);
    out->temporary = ew__alloc(n + sizeof suffix);
    out->buffer = ew__alloc(out_buffer_bytes);
    if (out->path == NULL || out->temporary == NULL || out->buffer == NULL) {
        ew__file_out_abort(out);
        return EW_NO_MEMORY;
    }
    memcpy(out->temporary, path, n);
    memcpy(out->temporary + n, suffix, sizeof suffix);
    out->fd = mkstemp(out->temporary);
    if (out->fd < 0) {
        ew_status status = io_failure("create a file beside", path);
        ew__file_out_abort(out);
        return status;
    }
    mode_t mask = umask(0);
    umask(mask);
    (void)fchmod(out->fd, 0666 & ~mask); // mkstemp makes it private; a model is an ordinary file
    return EW_OK;
}

static ew_status write_all(struct ew__file_out *out, const char *bytes, size_t n) {
    while (n != 0) {
        ssize_t done = write(out->fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return io_failure("write", out->path);
        bytes += done;
        n -= (size_t)done;
    }
    return EW_OK;
}

static ew_status flush(struct ew__file_out *out) {
    size_t n = out->buffered;
    out->buffered = 0;
    return write_all(out, out->buffer, n);
}

ew_status ew__file_out_write(struct ew__file_out *out, const void *bytes, size_t n) {
    if (n > out_buffer_bytes - out->buffered)
        EW__TRY(flush(out));
    if (n > out_buffer_bytes) {
        EW__TRY(write_all(out, bytes, n));
    } else if (n != 0) {
        memcpy(out->buffer + out->buffered, bytes, n);
        out->buffered += n;
    }
    out->written += n;
    return EW_OK;
}

ew_status ew__file_out_commit(struct ew__file_out *out) {
    ew_status status = flush(out);
    if (status == EW_OK && fsync(out->fd) != 0)
        status = io_failure("flush", out->path);
    if (status == EW_OK && rename(out->temporary, out->path) != 0)
        status = io_failure("rename the finished file to", out->path);
    if (status == EW_OK) {
        ew__free(out->temporary);
        out->temporary = NULL;
    }
    ew__file_out_abort(out);
    return status;
}

void ew__file_out_abort(struct ew__file_out *out) {
    if (out->fd >= 0) {
        close(out->fd);
        if (out->temporary != NULL)
            unlink(out->temporary);
    }
    ew__free(out->path);
    ew__free(out->temporary);
    ew__free(out->buffer);
    *out = (struct ew__file_out){.fd = -1};
}

ew_status ew__file_read(const char *path, size_t max, struct ew__buf *buf) {
    int fd;
    size_t size = 0;
    uint64_t modified;
    ew__buf_init(buf, max);
    EW__TRY(open_regular(path, &fd, &size, &modified));
    ew_status status =
        size <= max ? ew__buf_reserve(buf, size)
                    : ew__fail(EW_LIMIT, "\"%s\" has %zu bytes, %zu are allowed", path, size, max);
    while (status == EW_OK && buf->n < size) {
        ssize_t got = read(fd, buf->bytes + buf->n, size - buf->n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = io_failure("read", path);
        else if (got == 0)
            break;
        else
            buf->n += (size_t)got;
    }
    if (status == EW_OK && buf->bytes != NULL)
        buf->bytes[buf->n] = '\0';
    close(fd);
    if (status != EW_OK)
        ew__buf_release(buf);
    return status;
}

bool ew__path_is_dir(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool ew__path_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

ew_status ew__make_dir(const char *path) {
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && ew__path_is_dir(path)))
        return EW_OK;
    return io_failure("make the folder", path);
}

ew_status ew__make_private_dirs(const char *path) {
    size_t n = strlen(path);
    char *part = ew__strndup(path, n);
    if (part == NULL)
        return EW_NO_MEMORY;
    ew_status status = EW_OK;
    for (size_t i = 1; i <= n && status == EW_OK; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && !ew__path_is_dir(part))
            status = io_failure("make the folder", part);
        part[i] = i == n ? '\0' : '/';
    }
    ew__free(part);
    return status;
}

bool ew__file_facts(const char *path, uint64_t *size, uint64_t *modified) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    *size = (uint64_t)info.st_size;
    *modified = modified_ns(&info);
    return true;
}

bool ew__file_touch(const char *path) {
    return utimensat(AT_FDCWD, path, NULL, 0) == 0;
}

bool ew__file_remove(const char *path) {
    return unlink(path) == 0;
}

uint64_t ew__disk_free(const char *dir) {
    char path[EW__PATH_BYTES_MAX + 1];
    struct statvfs info;
    if (strlen(dir) >= sizeof path)
        return 0;
    memcpy(path, dir, strlen(dir) + 1);
    while (statvfs(path, &info) != 0) { // a folder that is not there yet: its parent, and so on
        char *slash = strrchr(path, '/');
        if (slash == NULL || path[1] == '\0')
            return 0;
        slash[slash == path] = '\0';
    }
    return (uint64_t)info.f_bavail * (uint64_t)info.f_frsize;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Reads all names of a folder; the caller frees them, also after a failure. */
static ew_status read_names(DIR *dir, char ***names, size_t *count) {
    size_t capacity = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*count == capacity) {
            capacity = capacity == 0 ? 32 : capacity * 2;
            char **more = ew__realloc(*names, capacity * sizeof *more);
            if (more == NULL)
                return EW_NO_MEMORY;
            *names = more;
        }
        char *name = ew__strndup(entry->d_name, strlen(entry->d_name));
        if (name == NULL)
            return EW_NO_MEMORY;
        (*names)[(*count)++] = name;
    }
    return EW_OK;
}

ew_status ew__list_dir(const char *path, ew_status (*visit)(void *context, const char *name),
                       void *context) {
    DIR *dir = opendir(path);
    if (dir == NULL)
        return io_failure("read the folder", path);
    char **names = NULL;
    size_t count = 0;
    ew_status status = read_names(dir, &names, &count);
    closedir(dir);
    if (count != 0)
        qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        if (status == EW_OK)
            status = visit(context, names[i]);
        ew__free(names[i]);
    }
    ew__free(names);
    return status;
}

uint64_t ew__now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ew__time_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

size_t ew__peak_rss_bytes(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#if defined(__APPLE__)
    return (size_t)usage.ru_maxrss;
#else
    return (size_t)usage.ru_maxrss * 1024;
#endif
}

size_t ew__rss_bytes(void) {
    unsigned long total, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    int fields = fscanf(file, "%lu %lu", &total, &resident);
    fclose(file);
    return fields == 2 ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

size_t ew__memory_bytes(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
}
