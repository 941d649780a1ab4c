#define _GNU_SOURCE /* sched_getaffinity */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define THREADS_MAX 1024

static bool read_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool ok = fgets(line, (int)size, f) != NULL;
    fclose(f);
    if (ok)
        line[strcspn(line, "\n")] = '\0';
    return ok;
}

/* quota / period rounded up; 0 if there is no bound. */
static int quota_cores(const char *quota_text, const char *period_text)
{
    int64_t quota, period;
    if (!str_to_i64(quota_text, &quota) || !str_to_i64(period_text, &period) || quota <= 0 ||
        period <= 0)
        return 0;
    int64_t cores = (quota - 1) / period + 1;
    return cores > THREADS_MAX ? THREADS_MAX : (int)cores;
}

/* Bound set by the control group of a container; 0 if there is none. */
static int cgroup_cores(void)
{
    char line[256], period[256];
    if (read_line("/sys/fs/cgroup/cpu.max", line, sizeof line)) { /* version 2: "max 100000" */
        char *space = strchr(line, ' ');
        if (space == NULL)
            return 0;
        *space = '\0';
        return quota_cores(line, space + 1);
    }
    if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof line) &&
        read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof period))
        return quota_cores(line, period);
    return 0;
}

int cpu_count(void)
{
    long count = 0;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    else /* more cores than a cpu_set_t holds */
        count = sysconf(_SC_NPROCESSORS_ONLN);
    int bound = cgroup_cores();
    if (bound > 0 && bound < count)
        count = bound;
    return count < 1 ? 1 : count > THREADS_MAX ? THREADS_MAX : (int)count;
}

struct pool_job {
    void (*work)(void *context, int64_t i);
    void *context;
    int64_t n;
    atomic_llong next;
};

static void *pool_thread(void *arg)
{
    struct pool_job *job = arg;
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (i >= job->n)
            return NULL;
        job->work(job->context, i);
    }
}

void pool_for(int threads, int64_t n, void (*work)(void *context, int64_t i), void *context)
{
    if (threads < 1)
        threads = 1;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    if (threads > n)
        threads = n > 0 ? (int)n : 1;
    struct pool_job job = {.work = work, .context = context, .n = n};
    atomic_init(&job.next, 0);
    int others = 0;
    pthread_t *handles = threads > 1 ? calloc((size_t)threads - 1, sizeof *handles) : NULL;
    /* A thread that cannot be had is no failure: the others do its share. */
    while (handles != NULL && others < threads - 1 &&
           pthread_create(&handles[others], NULL, pool_thread, &job) == 0)
        others++;
    pool_thread(&job);
    for (int i = 0; i < others; i++)
        pthread_join(handles[i], NULL);
    free(handles);
}
