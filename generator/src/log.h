/* What DPDK logs: it goes to our standard error, and its last lines are kept, for its error numbers say little. */
#pragma once

#include <stdbool.h>

bool log_listen(void);

/* What was logged since the last call, on one line; never empty. */
const char *log_last_words(void);
