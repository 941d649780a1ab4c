#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static log_sink *current_sink;
static void *current_context;

void log_set_sink(log_sink *sink, void *context)
{
    pthread_mutex_lock(&mutex);
    current_sink = sink;
    current_context = context;
    pthread_mutex_unlock(&mutex);
}

void log_message(enum log_level level, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return;
    /* One message is one line, and names inside it may be hostile. */
    str_clean(text);
    pthread_mutex_lock(&mutex);
    if (current_sink != NULL)
        current_sink(level, text, current_context);
    pthread_mutex_unlock(&mutex);
}
