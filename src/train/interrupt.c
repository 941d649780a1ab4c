#include "train/interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t received;

static void handle(int number) { received = number; }

void interrupt_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = handle;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
}

bool interrupt_requested(void) { return received != 0; }

const char *interrupt_name(void)
{
    return received == SIGTERM ? "SIGTERM" : received == SIGUSR1 ? "SIGUSR1" : "SIGINT";
}
