/* Monotonic time. Never goes into a file that must be reproducible. */
#ifndef ECGFM_BASE_CLOCK_H
#define ECGFM_BASE_CLOCK_H

/* Seconds since some fixed moment; for differences. */
double clock_seconds(void);

#endif
