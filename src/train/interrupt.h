/* SIGTERM, SIGINT and SIGUSR1 ask a long run to save its state and stop; the handler only sets a flag. */
#ifndef ECGFM_TRAIN_INTERRUPT_H
#define ECGFM_TRAIN_INTERRUPT_H

#include <stdbool.h>

/* Installs the handlers; a second SIGINT ends the process as usual. */
void interrupt_install(void);
/* True once a signal has come. */
bool interrupt_requested(void);
/* Its name, "SIGTERM". */
const char *interrupt_name(void);

#endif
