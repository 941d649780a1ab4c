/* Talk. Only cli/ prints: it installs a sink; without one, messages are dropped. Thread safe. */
#ifndef ECGFM_BASE_LOG_H
#define ECGFM_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Called for one message at a time, without a newline in it. */
typedef void log_sink(enum log_level level, const char *message, void *context);
void log_set_sink(log_sink *sink, void *context);

/* Formats one line (cut at 2 KB, control characters replaced) and hands it to the sink. */
void log_message(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)

#endif
